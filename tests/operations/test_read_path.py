"""``path`` tells whether a file is a local one, and asks nobody else for that."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from fakes import Bucket, RecordingStorage

from fallback_storage.exceptions import OperationNotSupportedError
from fallback_storage.storage import FallbackStorage

DISK = "django.core.files.storage.FileSystemStorage"


class BrokenDisk(FileSystemStorage):
    def exists(self, name):
        raise PermissionError("this volume is not there")


@pytest.fixture
def disk(tmp_path):
    return FileSystemStorage(tmp_path / "home")


@pytest.fixture
def archive(tmp_path):
    """The second local directory: an entry of a chain, and the storage."""
    entry = {
        "BACKEND": DISK,
        "OPTIONS": {"location": str(tmp_path / "archive")},
        "READ_ONLY": True,
    }
    return entry, FileSystemStorage(tmp_path / "archive")


@pytest.mark.parametrize("cache", [None, False])
@pytest.mark.parametrize("order", [1, -1])
def test_a_question_for_a_path_costs_no_request(disk, cache, order):
    """easy-thumbnails asks path("test"), compressor the path of every file."""
    bucket = Bucket(files={"there.jpg": b"1"})
    chain = FallbackStorage([disk, bucket][::order], cache=cache)
    disk.save("here.jpg", ContentFile(b"1"))
    for _ in range(3):
        assert chain.path("here.jpg") == disk.path("here.jpg")
        for name in ("test", "there.jpg", "a/b"):
            with pytest.raises(NotImplementedError, match="'Bucket' without paths"):
                chain.path(name)
    assert bucket.calls == []


def test_in_an_outage_there_is_no_path(disk):
    """Wagtail takes one for "it is here", and offers to delete what is not."""
    bucket = Bucket(files={"x": b"1"})
    bucket.fail("exists")
    for promote in (False, True):
        chain = FallbackStorage([disk, bucket], promote=promote)
        with pytest.raises(OperationNotSupportedError):
            chain.path("x")


def test_of_directories_alone_one_that_cannot_be_asked_is_told(disk, tmp_path):
    """Never a path for a file that could not be looked for."""
    broken = BrokenDisk(tmp_path / "broken")
    for backends in ([disk, broken], [broken, disk]):
        with pytest.raises(PermissionError, match="this volume"):
            FallbackStorage(backends).path("x")
    disk.save("x", ContentFile(b"1"))
    assert FallbackStorage([broken, disk]).path("x") == disk.path("x")


def test_what_nobody_holds_would_be_in_the_first_writable_one(disk, archive):
    """Not in the read-only directory before it."""
    entry, storage = archive
    chain = FallbackStorage([entry, disk])
    assert chain.path("new.jpg") == disk.path("new.jpg")
    assert FallbackStorage([entry]).path("new.jpg") == storage.path("new.jpg")
    storage.save("old.jpg", ContentFile(b"1"))
    assert chain.path("old.jpg") == storage.path("old.jpg")


def test_a_deleted_file_has_the_path_of_home(disk, archive):
    """Not that of the copy that a whiteout hides, wherever it lies in the chain."""
    entry, storage = archive
    storage.save("x", ContentFile(b"1"))
    for backends in ([disk, entry], [entry, disk]):
        chain = FallbackStorage(backends, on_delete="whiteout")
        chain.delete("x")
        assert chain.path("x") == disk.path("x")
        chain = FallbackStorage([Bucket(), *backends], on_delete="whiteout")
        chain.delete("x")
        with pytest.raises(NotImplementedError):
            chain.path("x")


@pytest.mark.parametrize("cache", [None, False])
def test_promotion_gives_a_remote_file_a_path(disk, cache):
    """Once; what is not there, or too large, has none."""
    bucket = Bucket(files={"x": b"remote", "large": b"0" * 100})
    options = {"promote": True, "promote_max_size": 50, "cache": cache}
    chain = FallbackStorage([disk, bucket], **options)
    for name in ("none", "large"):
        with pytest.raises(NotImplementedError):
            chain.path(name)
    assert Path(chain.path("x")).read_bytes() == b"remote"
    bucket.reset()
    assert chain.path("x") == disk.path("x")
    assert bucket.calls == []


def test_a_storage_that_refuses_when_asked_has_no_paths(disk):
    """It implements the method, and what it holds is in no other backend."""
    refusing = RecordingStorage(files={"x": b"1"})
    for backends in ([disk, refusing], [refusing, disk]):
        with pytest.raises(NotImplementedError, match="'RecordingStorage' without"):
            FallbackStorage(backends).path("x")


def test_a_chain_within_a_chain_says_itself_what_is_local(disk, archive):
    """Its remote backends are not asked; one without any is a local directory."""
    entry, storage = archive
    bucket = Bucket(files={"there": b"1"})
    inner = FallbackStorage([disk, bucket])
    disk.save("here", ContentFile(b"1"))
    storage.save("old", ContentFile(b"1"))
    for backends in ([inner, entry], [entry, inner]):
        chain = FallbackStorage(backends)
        assert chain.path("here") == disk.path("here")
        assert chain.path("old") == storage.path("old")
        for name in ("there", "nowhere"):
            with pytest.raises(NotImplementedError):
                chain.path(name)
    assert bucket.calls == []
    chain = FallbackStorage([FallbackStorage([disk]), entry])
    assert chain.path("old") == storage.path("old")
    assert chain.path("nowhere") == disk.path("nowhere")
