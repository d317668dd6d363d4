"""Sync where somebody else is at work, or names are not what they seem."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage, InMemoryStorage
from fakes import RecordingStorage
from overlay.parts import InPlace, read_only, writable
from synced import content, errors, make, results

from fallback_storage.exceptions import CorruptCopyError, NameBlockedError
from fallback_storage.jobs.sync import Result, sync
from fallback_storage.storage import FallbackStorage


class Hooked(FileSystemStorage):
    """Calls ``while_read`` once, when a file of it is read."""

    while_read = None

    def _open(self, name, mode="rb"):
        return HookedFile(super()._open(name, mode).file, self)


class HookedFile(File):
    def __init__(self, file, storage):
        super().__init__(file)
        self._storage = storage

    def read(self, *args):
        hook, self._storage.while_read = self._storage.while_read, None
        if hook:
            hook()
        return self.file.read(*args)


class FailsOnce(InPlace):
    fails = True

    def _save(self, name, content):
        if self.fails and not name.startswith(".fallback"):
            self.fails = False
            raise OSError(errno.EIO, "once")
        return super()._save(name, content)


@pytest.fixture
def source(tmp_path):
    source = Hooked(tmp_path / "source")
    source.save("a.txt", ContentFile(b"hello world"))
    return source


def write(storage, name, data):
    with storage.open(name, "wb") as file:
        file.write(data)


def test_a_file_saved_while_its_copy_is_made_is_not_taken_for_half_of_it(
    tmp_path, source
):
    """It may be the beginning of the old one: the next run leaves it alone."""
    home = InPlace(tmp_path / "home")
    chain = make(home, source)
    source.while_read = lambda: write(chain, "a.txt", b"hello")
    assert results(sync(chain, jobs=1)) == {"a.txt": Result.PRESENT}
    assert content(home) == {"a.txt": b"hello"}
    assert results(sync(chain, jobs=1))["a.txt"] is not Result.COPIED
    assert content(home) == {"a.txt": b"hello"}


def test_a_file_saved_after_a_copy_failed_is_not_taken_for_half_of_it(tmp_path, source):
    home = FailsOnce(tmp_path / "home")
    chain = make(home, source)
    assert results(sync(chain, jobs=1)) == {"a.txt": Result.FAILED}
    write(chain, "a.txt", b"")
    assert results(sync(chain, jobs=1))["a.txt"] is not Result.COPIED
    assert content(home) == {"a.txt": b""}


def test_a_directory_that_is_in_the_way_is_told_of(tmp_path):
    home = FileSystemStorage(tmp_path / "home")
    home.save("f/own", ContentFile(b""))
    source = InMemoryStorage()
    source.save("f", ContentFile(b"x"))
    chain = make(home, source)
    (step,) = sync(chain, jobs=1)
    assert step.result is Result.FAILED
    assert isinstance(step.error, NameBlockedError)
    assert step.error.place == "f"


@pytest.mark.parametrize("home_class", [FileSystemStorage, InPlace])
def test_a_name_that_is_no_text_is_a_name(tmp_path, home_class):
    """Linux has file names of any bytes, and Python a spelling for them."""
    (tmp_path / "source").mkdir()
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/source/bad\xff.txt")).write_bytes(
            b"x"
        )
    except OSError:
        pytest.skip("not on this file system")
    home = home_class(tmp_path / "home")
    chain = make(
        home, read_only(FileSystemStorage(tmp_path / "source")), on_delete="whiteout"
    )
    name = "bad\udcff.txt"
    assert results(sync(chain, jobs=1)) == {name: Result.COPIED}
    chain.delete(name)
    assert not chain.exists(name)


def test_verify_reads_what_no_listing_tells(tmp_path, source):
    home = FileSystemStorage(tmp_path / "home")
    home.save("a.txt", ContentFile(b"HELLO WORLD"))
    chain = make(home, source)
    assert results(sync(chain)) == {"a.txt": Result.PRESENT}
    assert results(sync(chain, verify=True)) == {"a.txt": Result.DIFFERENT}


def test_what_a_backend_in_front_shows_is_not_copied_from_behind(tmp_path, source):
    front, home = (FileSystemStorage(tmp_path / part) for part in ("front", "home"))
    front.save("a.txt", ContentFile(b"shown"))
    chain = FallbackStorage(
        [read_only(front, "front"), writable(home), read_only(source)]
    )
    assert results(sync(chain)) == {"a.txt": Result.PRESENT}
    assert content(home) == {}


def test_a_source_that_is_rewritten_meanwhile_is_not_copied_half(tmp_path, source):
    home = FileSystemStorage(tmp_path / "home")
    path = Path(source.path("a.txt"))

    def rewrite():
        path.write_bytes(b"HELLO WORLD")
        os.utime(path, (0, 0))

    source.while_read = rewrite
    chain = make(home, source)
    steps = list(sync(chain, jobs=1))
    assert [kind for *_, kind in errors(steps)] == [CorruptCopyError]
    assert results(sync(chain)) == {"a.txt": Result.COPIED}


def test_links_that_lead_to_each_other_are_followed_once(tmp_path):
    root = tmp_path / "source"
    for name in ("a/f", "b/g", "z"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    (root / "a/x").symlink_to("../b")
    (root / "b/y").symlink_to("../a")
    home = FileSystemStorage(tmp_path / "home")
    steps = results(sync(make(home, FileSystemStorage(root))))
    assert set(steps.values()) == {Result.COPIED}
    assert {"a/f", "b/g", "z", "a/x/g", "b/y/f"} == set(steps)


# Listings that show what cannot be opened


class Mangling(RecordingStorage):
    """Lists its files under other names than it opens them by."""

    def listdir(self, path):
        directories, files = super().listdir(path)
        return directories, [f"container-{name}" for name in files]


def test_a_name_that_was_just_listed_and_cannot_be_opened_has_failed():
    """It was not deleted meanwhile: the listing still shows it."""
    home, source = RecordingStorage("home"), Mangling("source", {"a": b"1"})
    (step,) = sync(FallbackStorage([home, source]))
    assert (step.name, step.result) == ("container-a", Result.FAILED)


def test_what_is_passed_over_is_told():
    """The names that the source lists, and that none of its files has."""

    class Recursive(RecordingStorage):
        def listdir(self, path):
            start = f"{path}/" if path else ""
            return [], [name for name in self.files if name.startswith(start)]

    home = RecordingStorage("home")
    source = Recursive("source", {"a": b"1", "b/c": b"2"})
    steps = list(sync(FallbackStorage([home, source])))
    assert {(step.name, step.result) for step in steps} == {
        ("a", Result.COPIED),
        ("b/c", Result.PASSED_OVER),
    }
