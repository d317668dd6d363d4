"""Copies on the first read: whole or not at all, and the read always succeeds."""

from __future__ import annotations

import errno
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage
from fakes import SOME_TIME, RecordingStorage
from overlay.parts import Guard, content_of, staging_left, without
from overlay.sources import (
    CONTENT,
    HOMES,
    NAME,
    FullBucket,
    FullDisk,
    FullDiskInPlace,
    Renaming,
    Source,
    files_of,
    make,
)

from fallback_storage.operations import staging


@pytest.fixture(params=HOMES)
def home(request, tmp_path):
    klass = HOMES[request.param]
    return klass() if klass is RecordingStorage else klass(tmp_path / "home")


@pytest.fixture
def disk(tmp_path):
    return FileSystemStorage(tmp_path / "home")


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
    """As the storage says, for the file and for new directories."""
    disk = FileSystemStorage(
        tmp_path / "home", file_permissions_mode=0o640, directory_permissions_mode=0o750
    )
    chain = make(disk, Source(), on_delete="whiteout")
    chain.delete("other.txt")  # makes the root, to lock it
    chain.open(NAME).close()
    root = tmp_path / "home"
    assert (root / NAME).stat().st_mode & 0o777 == 0o640
    for folder in (root, root / "d"):
        assert folder.stat().st_mode & 0o777 == 0o750


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

    without(monkeypatch, "link", errno.EPERM)
    chain = make(disk, Source())
    assert content_of(chain, NAME) == CONTENT
    assert files_of(disk) == [NAME]
    saved = chain.save("new.txt", ContentFile(b"1"))
    with (
        staging.staged(disk, ContentFile(b"2"), saved) as path,
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


@pytest.mark.parametrize("mode", ["rb", "ab"])
def test_an_object_with_a_directorys_name_is_not_copied(disk, mode):
    """As "Create folder" of S3's console makes: a file would be in the way for ever."""

    class Console(Source):
        def _open(self, name, mode="rb"):
            return ContentFile(b"") if name == "photos/" else super()._open(name, mode)

        def exists(self, name):
            return name == "photos/" or super().exists(name)

    chain = make(disk, Console())
    if mode == "rb":
        assert content_of(chain, "photos/") == b""
    else:
        with pytest.raises(IsADirectoryError):
            chain.open("photos/", mode)
    assert not disk.exists("photos")
    assert chain.save("photos/dog.jpg", ContentFile(b"dog")) == "photos/dog.jpg"
