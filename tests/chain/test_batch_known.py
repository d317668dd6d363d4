"""What is known of a page already: it costs nothing to be told again, and is kept."""

from __future__ import annotations

import os

import pytest
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.storage import FileSystemStorage
from fakes import RecordingStorage
from hypothesis import given
from hypothesis import strategies as st
from proofs import searching

from fallback_storage import signals
from fallback_storage.chain.names import clean_name
from fallback_storage.chain.singleflight import Flight, Flights
from fallback_storage.storage import FallbackStorage

PAGE = [f"d/{number}" for number in range(30)]


@pytest.fixture
def home():
    return RecordingStorage("home")


@pytest.fixture
def below():
    return RecordingStorage("below", dict.fromkeys(PAGE, b""))


@pytest.fixture
def overlay(home, below):
    """A chain in which a whiteout may hide what the last backend holds."""
    lower = {"BACKEND": "typing.cast", "OPTIONS": {"typ": object, "val": below}}
    chain = FallbackStorage([home, {**lower, "READ_ONLY": True}], on_delete="whiteout")
    chain.prefetch(PAGE)
    return chain


def test_a_prefetch_takes_nothing_of_what_is_known_away(home, below):
    """It ends before the last backend, which is known to be the holder."""
    chain = FallbackStorage([home, below])
    chain.resolve_many(PAGE)
    chain.prefetch(PAGE)
    below.reset()
    assert all(map(chain.exists, PAGE))
    assert below.calls == []


def test_a_page_that_is_known_needs_no_whiteouts(overlay, home):
    home.reset()
    overlay.prefetch(PAGE)
    assert home.calls == []


def test_nor_does_a_url_that_listeners_are_told_of(overlay, home):
    """Nothing is answered from memory alone while somebody listens."""

    def listener(**kwargs):
        pass

    home.reset()
    signals.resolved.connect(listener)
    try:
        assert overlay.url(PAGE[0])
    finally:
        signals.resolved.disconnect(listener)
    assert home.count("exists") == 0


def test_a_whiteout_is_seen_by_the_next_page(overlay):
    overlay.delete(PAGE[0])
    overlay.prefetch(PAGE)
    found = overlay.resolve_many(PAGE[:2])
    assert [each.hidden for each in found.values()] == [True, False]


def test_names_in_a_directory_are_looked_at_as_exists_does(tmp_path):
    """Files, directories, broken links, names that no file system takes."""
    (tmp_path / "d" / "folder").mkdir(parents=True)
    (tmp_path / "d" / "file").touch()
    (tmp_path / "d" / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "top").touch()
    storage = FileSystemStorage(tmp_path)
    chain = FallbackStorage([storage, RecordingStorage()])
    names = [
        *("d/file", "d/file/", "d/folder", "d/folder/", "d/link", "d/gone", "d/.file"),
        *(
            "d/file/below",
            "d/file/below2",
            "d/" + "x" * 300,
            "top",
            "gone",
            "e/a",
            "e/b",
        ),
    ]
    found = chain.resolve_many(names)
    assert {name: each.index == 0 for name, each in found.items()} == {
        name: storage.exists(name) for name in names
    }


@pytest.mark.skipif(os.name != "posix", reason="makes each path by itself")
def test_each_look_into_a_directory_counts(tmp_path):
    """Once for each name, in ``stats`` and for who listens."""
    (tmp_path / "d").mkdir()
    chain = FallbackStorage([FileSystemStorage(tmp_path), RecordingStorage()])
    told = []

    def listener(backend, **kwargs):
        told.append(backend)

    signals.called.connect(listener)
    try:
        chain.prefetch(PAGE)
    finally:
        signals.called.disconnect(listener)
    (first, _) = chain.stats()["backends"].values()
    assert first["calls"] == len(PAGE) == len(told)


class Text(str):
    """Takes the long way through ``clean_name``."""

    __slots__ = ()


def cleaned(name):
    try:
        return clean_name(name)
    except SuspiciousFileOperation:
        return SuspiciousFileOperation


@searching(100)
@given(st.text(alphabet="./\\\0aC:", max_size=8))
def test_a_name_without_anything_to_fold_is_clean(text):
    assert cleaned(text) == cleaned(Text(text))


def test_one_flight_for_many_names():
    flights, flight = Flights(), Flight()
    other, third = Flight(), Flight()
    with flight.under_way, other.under_way:
        assert [flights.board(name, flight) for name in "ab"] == [flight] * 2
        assert flights.board("a", other) is flight
        flights.land("b", flight)
        assert flights.board("b", other) is other
        before = flights.landings
        flights.land("ab", flight)
        assert flights.landings == before + 1
        # Somebody else's by now.
        assert flights.board("b", third) is other
        assert flights.board("a", third) is third
