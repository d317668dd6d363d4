"""What a look at a local directory tells: what ``exists`` tells, and whether it is a file."""

from __future__ import annotations

import os
import string
from pathlib import Path

import pytest
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.storage import FileSystemStorage, InMemoryStorage
from fakes import RecordingStorage
from hypothesis import given
from hypothesis import strategies as st
from proofs import searching

from fallback_storage.chain.look import glance_at, kind_of, look_again_at, look_at
from fallback_storage.chain.names import clean_name
from fallback_storage.chain.outcomes import Outcome

HELD, TAKEN, ABSENT = Outcome.HELD, Outcome.TAKEN, Outcome.ABSENT


class OwnExists(FileSystemStorage):
    """Holds what no directory shows, and hides what one shows."""

    def exists(self, name):
        return name.endswith("1") or (name == "d" and super().exists(name))


class OwnPath(FileSystemStorage):
    def path(self, name):
        return super().path(name.replace("/", "-"))


class Moving(FileSystemStorage):
    """Its place is another one at each look."""

    places: list[str]

    @property
    def location(self):
        return self.places.pop(0)


@pytest.fixture
def things(tmp_path):
    """Name -> what it is."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "file").touch()
    found = {"d": TAKEN, "d/file": HELD, "nothing": ABSENT, "d/file/below": ABSENT}
    found |= {"d/": TAKEN, "": TAKEN, "n" * 300: ABSENT}
    links = {"to-file": "d/file", "to-dir": "d", "to-nothing": "gone", "loop": "loop"}
    kinds = dict(zip(links, (HELD, TAKEN, TAKEN, TAKEN), strict=True))
    for name, target in links.items():
        (tmp_path / name).symlink_to(target)
    (tmp_path / "to-to-file").symlink_to("to-file")
    return found | kinds | {"to-to-file": HELD}


@pytest.mark.parametrize("make", [FileSystemStorage, OwnPath])
def test_what_is_there_is_a_file_or_takes_a_name(tmp_path, things, make):
    """And it is there for a look if, and only if, it is for ``exists``."""
    storage = make(tmp_path)
    look = look_at(storage)
    for name, kind in things.items():
        if make is FileSystemStorage:
            assert look(name) is kind, name
        assert (look(name) is not ABSENT) is storage.exists(name), name


def test_no_other_storage_is_looked_at():
    for storage in (InMemoryStorage(), RecordingStorage("remote"), object()):
        assert look_at(storage) is None
        assert look_again_at(storage) is None


def test_a_storage_with_an_exists_of_its_own_is_asked(tmp_path):
    """What it says is there is no directory only where its path shows one."""
    look = look_at(OwnExists(tmp_path))
    (tmp_path / "d").mkdir()
    (tmp_path / "x").touch()
    assert [look(name) for name in ("d", "x", "y1")] == [TAKEN, ABSENT, HELD]
    instance = FileSystemStorage(tmp_path)
    instance.exists = lambda name: True
    assert look_at(instance)("nothing") is HELD
    instance.path = None  # it has none
    assert look_at(instance)("d") is HELD


def test_what_such_a_storage_raises_is_raised_but_forgets_nothing(tmp_path):
    class Down(FileSystemStorage):
        def exists(self, name):
            raise ConnectionError

    class NoPlace(FileSystemStorage):
        @property
        def location(self):
            raise ConnectionError

    for storage in (Down(tmp_path), NoPlace()):
        with pytest.raises(ConnectionError):
            look_at(storage)("a")
        again = look_again_at(storage)
        assert again("a") is HELD
        assert glance_at(storage, again)("a")


def test_the_place_may_change(tmp_path, settings):
    """By a setting, by hand, or at every call."""
    for place in "ab":
        (tmp_path / place).mkdir()
    (tmp_path / "b" / "file").touch()
    settings.MEDIA_ROOT = str(tmp_path / "a")
    by_setting, by_hand = FileSystemStorage(), FileSystemStorage(tmp_path / "a")
    looks = look_at(by_setting), look_at(by_hand)
    glances = [glance_at(by_setting, looks[0]), glance_at(by_hand, looks[1])]
    assert {look("file") for look in looks} == {ABSENT}
    assert {glance("file") for glance in glances} == {False}
    settings.MEDIA_ROOT = str(tmp_path / "b")
    by_hand.location = str(tmp_path / "b")
    assert {look("file") for look in looks} == {HELD}
    assert {glance("file") for glance in glances} == {True}
    moving = Moving()
    look = look_at(moving)
    moving.places = [str(tmp_path / place) for place in "aabbaa"] * 2
    assert look("file") is ABSENT


def test_a_place_that_is_no_plain_path_is_left_to_the_storage(tmp_path, monkeypatch):
    """To climb out of a link by hand is not what ``path`` does."""
    (tmp_path / "far" / "x").mkdir(parents=True)
    (tmp_path / "link").symlink_to("far/x")
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    for place in (tmp_path / "link" / "..", Path(), f"{tmp_path}/"):
        storage = FileSystemStorage(tmp_path)
        storage.location = str(place)
        assert Path(storage.path("file")) == tmp_path / "file"
        assert look_at(storage)("file") is HELD
        assert look_at(storage)("d") is ABSENT


@pytest.mark.parametrize("name", ["../file", "d/../../file", ".."])
def test_a_look_leaves_no_storage(tmp_path, name):
    """Names are clean where it is asked; it does not depend on that."""
    (tmp_path / "file").touch()
    (tmp_path / "media" / "d").mkdir(parents=True)
    with pytest.raises(SuspiciousFileOperation):
        look_at(FileSystemStorage(tmp_path / "media"))(name)


PARTS = st.one_of(
    st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1),
    st.text("./\\~ -%\n" + string.ascii_letters[:2], min_size=1, max_size=6),
)


@pytest.mark.skipif(os.name != "posix", reason="elsewhere the storage makes the path")
@searching(100)
@given(
    name=st.lists(PARTS, min_size=1, max_size=4).map("/".join),
    place=st.sampled_from(["/", "//", "/srv/media", "//srv", "/a b/ü"]),
)
def test_the_path_is_that_of_the_storage(name, place):
    """For every clean name: which file is looked at decides what is believed."""
    try:
        clean = clean_name(name)
    except SuspiciousFileOperation:
        return
    looked, storage = [], FileSystemStorage(place)
    storage.__dict__["location"] = place  # abspath() leaves it as it is

    def lstat(path):
        looked.append(path)
        raise FileNotFoundError(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "lstat", lstat)
        assert look_at(storage)(clean) is ABSENT
    assert looked == [storage.path(clean)]


def test_what_keeps_from_looking_is_what_keeps_exists(tmp_path):
    """A name that the system does not take, a directory that is closed."""
    storage = FileSystemStorage(tmp_path)
    look = look_at(storage)
    for name in ("\udcff\ud800", "n" * 5000, "a\nb"):
        assert look(name) is ABSENT
        assert not storage.exists(name)
    assert kind_of("a\0b") is ABSENT
