"""What is known of a page already: it costs nothing to be told again, and is kept."""

from __future__ import annotations

import os

import pytest
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.storage import FileSystemStorage
from fakes import RecordingStorage
from hypothesis import example, given
from hypothesis import strategies as st
from proofs import searching

from fallback_storage import signals
from fallback_storage.chain import batch
from fallback_storage.chain.names import are_plain, clean_name, is_plain
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


@pytest.fixture
def no_walks(monkeypatch):
    """Let nothing more be asked of a batch; return how that is begun."""

    def begin():
        monkeypatch.setattr(batch, "Walk", None)

    return begin


def test_names_that_the_memo_answers_need_no_walk(home, below, no_walks):
    """What is told of them is what a walk tells, and what is known of each kind."""
    home.files["own"] = b""
    chain = FallbackStorage([home, below])
    names = ["own", *PAGE, "nowhere"]
    walked = chain.resolve_many(names)
    before = chain.stats()
    no_walks()
    found = chain.resolve_many([*reversed(names), *PAGE])
    assert list(found) == list(reversed(names))
    assert found == {name: chain.resolve(name) for name in names}
    for name, each in walked.items():
        assert (each.name, each.index, each.held) == (name, *found[name][1:4:2])
    after = chain.stats()
    assert after["hits"] - before["hits"] == 2 * (len(names) - 1)
    assert after["negative_hits"] - before["negative_hits"] == 2
    assert after["misses"] == before["misses"]


def test_a_file_that_is_gone_has_one(tmp_path, below):
    """Of many codes the same, but not of the same file any more."""
    for name in "abc":
        (tmp_path / name).touch()
    chain = FallbackStorage([FileSystemStorage(tmp_path), below])
    chain.resolve_many(["a", "b", "c"])
    (tmp_path / "b").unlink()
    found = chain.resolve_many(["a", "b", "c"])
    assert [each.index for each in found.values()] == [0, None, 0]
    (tmp_path / "b").touch()
    assert chain.resolve_many(["a", "b"])["b"].index == 0


def test_what_is_never_remembered_is_asked_of_each(home, below):
    """``ALWAYS_PROBE``: the code suffices, and does not tell of that backend."""
    live = {"BACKEND": "typing.cast", "OPTIONS": {"typ": object, "val": home}}
    chain = FallbackStorage([{**live, "ALWAYS_PROBE": True}, below])
    chain.resolve_many(PAGE)
    home.files[PAGE[3]] = b""
    found = chain.resolve_many(PAGE)
    assert [name for name, each in found.items() if each.index == 0] == [PAGE[3]]


def test_who_listens_is_told_of_each_name(home, below):
    chain = FallbackStorage([home, below])
    found = chain.resolve_many(PAGE), chain.resolve_many(PAGE)
    told = []

    def listener(resolution, **kwargs):
        told.append(resolution)

    signals.resolved.connect(listener)
    try:
        chain.resolve_many(PAGE)
    finally:
        signals.resolved.disconnect(listener)
    assert told == list(found[1].values())


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


@searching(200)
@example(["a/"])
@example(["a/", "a"])
@example(["a", "/a"])
@example(["", ""])
@given(st.lists(st.text(alphabet="./\\\0a\n", max_size=4), max_size=4))
def test_names_are_found_plain_at_once_if_each_is(texts):
    """Not the other way round: a line break passes for the end of a name."""
    assert all(map(is_plain, texts)) or not are_plain(texts)
    if not any("\n" in text for text in texts) and texts:
        assert are_plain(texts) == all(map(is_plain, texts))


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
