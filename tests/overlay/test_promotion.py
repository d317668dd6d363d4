"""Copies on the first read: whole or not at all, and the read always succeeds."""

from __future__ import annotations

import errno
import io
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage
from fakes import SOME_TIME, RecordingStorage
from overlay.parts import (
    Guard,
    InPlace,
    content_of,
    read_only,
    staging_left,
    writable,
)

from fallback_storage import staging
from fallback_storage.namelocks import copying
from fallback_storage.storage import FallbackStorage

NAME = "d/a.txt"
CONTENT = b"all of production's bytes"
FULL = OSError(errno.ENOSPC, "No space left on device")


class Source(Guard):
    """Production, whose next files break off: each a number of bytes and an error."""

    def __init__(self, *breaks, announced=None):
        super().__init__("production", {NAME: CONTENT})
        self.breaks = list(breaks)
        self.announced = len(CONTENT) if announced is None else announced
        self.reading = lambda: None

    def _open(self, name, mode="rb"):
        opened = super()._open(name, mode)
        after, error = self.breaks.pop(0) if self.breaks else (None, None)
        stream = Stream(opened.read(), after, error, self.reading)
        file = File(stream, name)
        file.__dict__["size"] = self.announced
        return file


class Stream(io.RawIOBase):
    """A connection: it can be read once, and may end early, with an error or without."""

    def __init__(self, content, after, error, reading):
        self.content = io.BytesIO(content[:after])
        self.error = error
        self.reading = reading

    def read(self, size=-1):
        self.reading()
        data = self.content.read(size)
        if not data and self.error is not None:
            raise self.error
        return data

    def readable(self):
        return True


class FullDisk(FileSystemStorage):
    """A disk that is full after some bytes; it is staged on like any other."""

    full = True

    def __getattribute__(self, attribute):
        if attribute == "_save" and self.full:
            return self.save_half
        return super().__getattribute__(attribute)

    def save_half(self, name, content):
        data = b"".join(content.chunks())
        FileSystemStorage._save(self, name, ContentFile(data[:5]))
        raise FULL


class FullDiskInPlace(InPlace):
    """The same, where nothing can be staged."""

    full = True

    def _save(self, name, content):
        if not self.full:
            return super()._save(name, content)
        data = b"".join(content.chunks())
        super()._save(name, ContentFile(data[:5]))
        raise FULL


class FullBucket(RecordingStorage):
    """An object store that keeps the part that it got."""

    full = True

    def _save(self, name, content):
        super()._save(name, content)
        if self.full:
            self.files[name] = self.files[name][:5]
            raise FULL
        return name


class Renaming(RecordingStorage):
    """An object store that gives every file a name of its own."""

    def _save(self, name, content):
        return super()._save(f"renamed/{name}", content)


HOMES = {"staged": FileSystemStorage, "in-place": InPlace, "flat": RecordingStorage}


@pytest.fixture(params=HOMES)
def home(request, tmp_path):
    klass = HOMES[request.param]
    return klass() if klass is RecordingStorage else klass(tmp_path / "home")


@pytest.fixture
def disk(tmp_path):
    return FileSystemStorage(tmp_path / "home")


def make(home, source, cache=None, **options):
    options = {"promote": True, **options}
    return FallbackStorage([writable(home), read_only(source)], cache, **options)


def users(lock, name):
    """How many threads hold or await the lock of a name."""
    return lock.__self__._locks.get(name, (None, 0))[1]


def wait_until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline


def files_of(home):
    """The names in a home, but for the files to lock."""
    if isinstance(home, RecordingStorage):
        return sorted(home.files)
    root = Path(home.location)
    names = [
        path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()
    ]
    return sorted(
        name for name in names if not name.startswith(f"{staging.FOLDER}/lock-")
    )


@pytest.mark.parametrize("cache", [None, False], ids=["memo", "no-memo"])
@pytest.mark.parametrize("mode", ["rb", "r"])
def test_a_file_is_copied_by_the_first_read(home, cache, mode):
    """The second read needs the remote no more."""
    source = Source()
    chain = make(home, source, cache)
    assert chain.exists(NAME)
    with chain.open(NAME, mode) as file:
        found = file.read()
    assert found in {CONTENT, CONTENT.decode()}
    assert content_of(home, NAME) == CONTENT
    source.fail("_open")
    source.fail("exists")
    assert content_of(chain, NAME) == CONTENT
    assert chain.url(NAME) == chain.url(NAME)
    assert chain.resolve(NAME).backend == "home"
    assert files_of(home) == [NAME]


def test_questions_copy_nothing(home):
    """Only who reads the bytes anyway pays for a copy."""
    source = Source()
    chain = make(home, source)
    for method in ("exists", "size", "url", "get_modified_time", "resolve"):
        getattr(chain, method)(NAME)
    assert chain.listdir("d")[1] == ["a.txt"]
    assert source.count("_open") == 0
    assert files_of(home) == []


def test_a_copy_keeps_the_time_of_the_original(disk):
    """Conditional requests and thumbnails go by it."""
    chain = make(disk, Source())
    before = chain.get_modified_time(NAME)
    chain.open(NAME).close()
    assert chain.resolve(NAME).backend == "home"
    assert chain.get_modified_time(NAME) == before == SOME_TIME


def test_a_source_that_knows_no_time_is_copied(disk):
    """The copy has the time at which it was made."""
    source = Source()
    source.unsupported.add("get_modified_time")
    before = datetime.now(tz=UTC).timestamp()
    make(disk, source).open(NAME).close()
    assert disk.get_modified_time(NAME).timestamp() > before - 60


def test_a_copy_has_the_permissions_of_a_saved_file(tmp_path):
    """As the storage says, for the file and for new directories; what is staged too."""
    disk = FileSystemStorage(
        tmp_path / "home", file_permissions_mode=0o640, directory_permissions_mode=0o750
    )
    chain = make(disk, Source(), on_delete="whiteout")
    chain.delete("other.txt")  # makes the files to lock
    chain.open(NAME).close()
    root = tmp_path / "home"
    assert (root / NAME).stat().st_mode & 0o777 == 0o640
    for folder in ("d", staging.FOLDER):
        assert (root / folder).stat().st_mode & 0o777 == 0o750


@pytest.mark.parametrize("size", [0, len(CONTENT) - 1, len(CONTENT), None])
def test_the_size_of_what_is_copied_is_bounded(disk, size):
    """A larger file is read from where it is; its path stays unknown."""
    source = Source()
    chain = make(disk, source, promote_max_size=size)
    assert content_of(chain, NAME) == CONTENT
    small = size is None or size >= len(CONTENT)
    assert disk.exists(NAME) is small
    if not small:
        with pytest.raises(NotImplementedError):
            chain.path(NAME)
        assert source.count("_open") == 1


def test_a_size_that_nobody_knows_counts_as_too_large(disk):
    """Object stores ask their server for it, which may fail in its own way."""

    class Unknown(Guard):
        def _open(self, name, mode="rb"):
            return Sizeless(super()._open(name, mode).file, name)

    class Sizeless(File):
        @property
        def size(self):
            raise RuntimeError("HEAD failed")

    source = Unknown("production", {NAME: CONTENT})
    assert content_of(make(disk, source, promote_max_size=1000), NAME) == CONTENT
    assert not disk.exists(NAME)
    assert content_of(make(disk, source), NAME) == CONTENT
    assert disk.exists(NAME)


def test_the_path_of_a_remote_file_is_that_of_its_copy(disk):
    """For whoever needs a file on disk: image libraries, ffmpeg."""
    source = Source()
    chain = make(disk, source)
    assert chain.path(NAME) == disk.path(NAME)
    assert Path(chain.path(NAME)).read_bytes() == CONTENT
    assert source.count("_open") == 1


def test_without_promotion_a_remote_file_has_no_path(disk):
    """Wagtail and easy-thumbnails depend on NotImplementedError."""
    with pytest.raises(NotImplementedError):
        make(disk, Source(), promote=False).path(NAME)


@pytest.mark.parametrize(
    ("after", "error"),
    [(7, ConnectionError("reset by peer")), (7, None), (0, TimeoutError()), (0, None)],
    ids=["breaks-off", "short", "breaks-at-once", "empty"],
)
@pytest.mark.parametrize("mode", ["rb", "r"])
def test_a_remote_that_does_not_deliver_all_is_not_copied(home, mode, after, error):
    """The read is answered by a new request, and the next one makes the copy."""
    source = (
        Source((after, error)) if mode == "rb" else Source((None, None), (after, error))
    )
    chain = make(home, source)
    with chain.open(NAME, mode) as file:
        assert file.read() in {CONTENT, CONTENT.decode()}
    assert files_of(home) == []
    assert content_of(chain, NAME) == CONTENT
    assert files_of(home) == [NAME]


def test_more_bytes_than_announced_are_all_copied(home):
    """What is stored compressed announces its compressed size."""
    chain = make(home, Source(announced=4))
    assert content_of(chain, NAME) == CONTENT
    assert content_of(home, NAME) == CONTENT


@pytest.mark.parametrize("kind", [FullDisk, FullDiskInPlace, FullBucket])
def test_a_full_disk_does_not_stop_reading(tmp_path, kind, caplog):
    """No part of the copy stays, and it is made when there is room again."""
    home = kind("home") if kind is FullBucket else kind(tmp_path / "home")
    chain = make(home, Source())
    for _ in range(2):
        assert content_of(chain, NAME) == CONTENT
        assert files_of(home) == []
    assert "was not copied from 'production' to 'home': OSError" in caplog.text
    home.full = False
    assert content_of(chain, NAME) == CONTENT
    assert files_of(home) == [NAME]


def test_a_home_that_renames_gets_no_copy():
    """A second name for a file is no copy of it."""
    home = Renaming("home")
    chain = make(home, Source())
    for _ in range(2):
        assert content_of(chain, NAME) == CONTENT
        assert home.files == {}


def test_a_home_whose_copy_cannot_be_opened_does_not_stop_reading(home, monkeypatch):
    """Whatever it raises."""

    def refuse(name, mode="rb"):
        raise RuntimeError("InternalError")

    monkeypatch.setattr(home, "_open", refuse)
    assert content_of(make(home, Source()), NAME) == CONTENT


def test_a_file_in_the_way_of_a_directory_does_not_stop_reading(disk):
    """The copy cannot be made; that is all."""
    disk.save("d", ContentFile(b"a file"))
    assert content_of(make(disk, Source()), NAME) == CONTENT
    assert files_of(disk) == ["d"]


def test_a_disk_without_hard_links_gets_copies(disk, monkeypatch):
    """FAT and some network shares have none. Taken names are respected all the same."""

    def refuse(*args, **kwargs):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    chain = make(disk, Source())
    assert content_of(chain, NAME) == CONTENT
    assert files_of(disk) == [NAME]
    saved = chain.save("new.txt", ContentFile(b"1"))
    with (
        staging.staged(disk, ContentFile(b"2")) as path,
        pytest.raises(FileExistsError),
    ):
        staging.publish(disk, path, saved, replace=False)
    assert content_of(disk, saved) == b"1"
    assert staging_left(disk.location) == []


def test_a_volume_mounted_below_the_home_gets_whole_files(disk, tmp_path):
    """No link and no renaming leads from one file system to another."""
    other = Path("/dev/shm")
    if not os.access(other, os.W_OK) or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system to write to")
    folder = other / f"fallback-storage-{os.getpid()}"
    folder.mkdir()
    try:
        Path(disk.location).mkdir()
        (Path(disk.location) / "d").symlink_to(folder)
        chain = make(disk, Source())
        assert content_of(chain, NAME) == CONTENT
        assert (folder / "a.txt").read_bytes() == CONTENT
        assert disk.get_modified_time(NAME) == SOME_TIME
        assert chain.save("d/b.txt", ContentFile(b"saved")) == "d/b.txt"
        assert content_of(chain, "d/b.txt") == b"saved"
        assert staging_left(folder) == staging_left(disk.location) == []
        directories, files = chain.listdir("d")
        assert (directories, sorted(files)) == ([], ["a.txt", "b.txt"])
    finally:
        for path in sorted(folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        folder.rmdir()


# While a copy is made


@pytest.fixture
def interrupted():
    """A source that waits once half of it is read; and how to go on."""

    class Interrupted(Source):
        def __init__(self):
            super().__init__()
            self.started, self.go_on = threading.Event(), threading.Event()
            self.reading = self.wait

        def wait(self):
            self.reading = lambda: None
            self.started.set()
            assert self.go_on.wait(30)

    return Interrupted()


def during(source, chain, *steps):
    """Read; while the copy is under way do the steps. Returns what was read."""
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(content_of, chain, NAME)
        assert source.started.wait(30)
        try:
            for step in steps:
                step()
        finally:
            source.go_on.set()
        return reading.result(30)


@pytest.mark.parametrize("cache", [None, False], ids=["memo", "no-memo"])
def test_a_file_deleted_meanwhile_is_not_brought_back(home, interrupted, cache):
    """Whoever began to read it reads it; it is gone all the same."""
    chain = make(home, interrupted, cache, on_delete="whiteout")
    assert during(interrupted, chain, lambda: chain.delete(NAME)) == CONTENT
    assert not chain.exists(NAME)
    assert not home.exists(NAME)


def test_a_file_deleted_by_a_process_that_no_lock_reaches_is_not_brought_back():
    """A home that is an object store: the delete comes while the copy is sent."""
    home = RecordingStorage("home")
    chain = make(home, Source(), on_delete="whiteout")
    # In the same thread, which the locks let pass as they do another process.
    home.before("_save", lambda name: name == NAME and chain.delete(NAME))
    assert content_of(chain, NAME) == CONTENT
    assert NAME not in home.files
    assert not chain.exists(NAME)


@pytest.mark.parametrize("overwrites", [False, True])
@pytest.mark.parametrize("links", [True, False])
def test_a_file_saved_meanwhile_is_not_overwritten(
    tmp_path, interrupted, monkeypatch, overwrites, links
):
    """Deleted and uploaded anew: the upload stays, also where saves may overwrite."""

    def refuse(*args, **kwargs):
        raise OSError(errno.EPERM, "Operation not permitted")

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    disk = FileSystemStorage(tmp_path / "home")
    disk._allow_overwrite = overwrites
    chain = make(disk, interrupted, on_delete="whiteout")
    during(
        interrupted,
        chain,
        lambda: chain.delete(NAME),
        lambda: chain.save(NAME, ContentFile(b"uploaded")),
    )
    assert content_of(chain, NAME) == b"uploaded"
    assert files_of(disk) == [NAME]


def test_a_file_written_meanwhile_is_not_overwritten(home, interrupted):
    """An edit is not undone by the copy of what was edited."""
    chain = make(home, interrupted)

    def edit():
        with chain.open(NAME, "wb") as file:
            file.write(b"edited")

    during(interrupted, chain, edit)
    assert content_of(chain, NAME) == b"edited"


def test_a_file_deleted_and_shown_again_meanwhile_is_there(home, interrupted):
    """Which of the two holds it is all the same."""
    chain = make(home, interrupted, on_delete="whiteout")
    steps = (lambda: chain.delete(NAME), lambda: chain.unhide(NAME))
    assert during(interrupted, chain, *steps) == CONTENT
    assert content_of(chain, NAME) == CONTENT


def test_a_file_deleted_from_a_writable_source_meanwhile_is_not_brought_back(
    disk, interrupted
):
    """The last copy was deleted: this one would be a file nobody has."""
    source = RecordingStorage("second", {NAME: CONTENT})
    source.before("get_modified_time", lambda name: interrupted.wait())
    entries = [writable(disk), writable(source, "second")]
    chain = FallbackStorage(entries, promote=True, on_delete="all")
    with pytest.raises(FileNotFoundError):
        during(interrupted, chain, lambda: chain.delete(NAME))
    assert not chain.exists(NAME)
    assert files_of(disk) == []


def test_a_copy_that_a_sweep_meets_is_not_swept(disk, interrupted):
    """It has the time of its original, which may be years back."""
    interrupted.reading = lambda: None

    class Sweeping(FileSystemStorage):
        swept = False

        def path(self, name):
            if name == NAME and not self.swept and staging_left(self.location):
                self.swept = True
                staging._sweep(Path(self.location) / staging.FOLDER)
            return super().path(name)

    sweeping = Sweeping(disk.location)
    assert content_of(make(sweeping, interrupted), NAME) == CONTENT
    assert sweeping.swept
    assert files_of(disk) == [NAME]


def test_threads_that_read_one_cold_file_copy_it_once(tmp_path):
    """Each gets all of it, from the one copy."""
    saves = []

    class Counting(FileSystemStorage):
        def __getattribute__(self, attribute):
            if attribute == "_save":
                saves.append(threading.get_ident())
            return super().__getattribute__(attribute)

    disk = Counting(tmp_path / "home")
    source = Source()
    chain = make(disk, source)
    copies = []

    def reading():
        """Go on when all the others wait for this copy, or one makes another."""
        copies.append(threading.get_ident())
        wait_until(lambda: users(copying, NAME) == 8 or len(set(copies)) > 1)

    source.reading = reading

    def read(number):
        return content_of(chain, NAME)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(read, range(8))) == {CONTENT}
    assert len(saves) == 1
    assert files_of(disk) == [NAME]


def test_other_instances_go_to_the_copy_after_one_read(disk):
    """What they remember of the remote is forgotten with the first read."""
    source = Source()
    early, other = make(disk, source), make(disk, source)
    assert early.resolve(NAME).backend == other.resolve(NAME).backend == "production"
    # As another process does: no invalidation reaches this one.
    disk.save(NAME, ContentFile(CONTENT))
    assert content_of(early, NAME) == CONTENT
    source.reset()
    assert content_of(early, NAME) == content_of(other, NAME) == CONTENT
    assert source.calls == []


def test_a_file_of_the_home_is_not_copied():
    """Nor one of a backend above it."""
    first = Guard("first", {NAME: CONTENT})
    home = RecordingStorage("home", {"own.txt": b"own"})
    chain = FallbackStorage([read_only(first), writable(home)], promote=True)
    assert content_of(chain, NAME) == CONTENT
    assert content_of(chain, "own.txt") == b"own"
    assert home.files == {"own.txt": b"own"}


def test_a_chain_without_a_home_copies_nothing():
    """All backends are read-only: reading works as ever."""
    chain = FallbackStorage([read_only(Guard("one", {NAME: CONTENT}))], promote=True)
    assert content_of(chain, NAME) == CONTENT


def test_a_delete_works_where_no_lock_can_be_made(disk, monkeypatch):
    """On a full disk above all."""
    chain = make(disk, Source())
    assert content_of(chain, NAME) == CONTENT
    original = Path.open

    def full(self, mode="r", *args, **kwargs):
        if self.name.startswith("lock-"):
            raise FULL
        return original(self, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", full)
    chain.delete(NAME)
    assert files_of(disk) == []


def test_chains_over_one_home_do_not_wait_for_each_other(disk):
    """A chain in a chain with the same directory deletes in both."""
    inner = FallbackStorage([writable(disk), read_only(Source())], promote=True)
    outer = FallbackStorage(
        [writable(disk), writable(inner, "inner")], promote=True, on_delete="all"
    )
    outer.save("own.txt", ContentFile(b"x"))
    with ThreadPoolExecutor(1) as pool:
        pool.submit(outer.delete, "own.txt").result(30)
    assert not outer.exists("own.txt")
