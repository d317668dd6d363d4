"""A save whose first backend fails: the next gets every byte, no part stays behind."""

from __future__ import annotations

import errno
import fcntl
import os
import traceback
import zlib
from pathlib import Path

import pytest
from django.core.exceptions import SuspiciousOperation
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from fakes import RecordingStorage
from halfway import Cut, HalfBucket, HalfDisk, stored

from fallback_storage.exceptions import AllBackendsFailed
from fallback_storage.storage import FallbackStorage

NAME = "a/b/picture.jpg"


ERRORS = {
    "full": OSError(errno.ENOSPC, "No space left on device"),
    "reset": ConnectionError("reset by peer"),
    "gone": FileNotFoundError("the temporary part went away"),
    "enoent": FileNotFoundError(errno.ENOENT, "No such file or directory"),
    "too-long": OSError(errno.ENAMETOOLONG, "File name too long"),
    "no-directory": NotADirectoryError(errno.ENOTDIR, "Not a directory"),
    "not-implemented": NotImplementedError("multipart upload"),
    "bug": ValueError("a bug of the backend"),
}


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("kind", ["disk", "bucket"])
def test_whatever_the_error_no_part_shadows_the_saved_file(tmp_path, kind, error):
    """A part is removed whichever exception the save ended with."""
    error = ERRORS[error]
    first = HalfBucket(error=error)
    if kind == "disk":
        first = HalfDisk(tmp_path, 4, error)
    second = RecordingStorage("second")
    chain = FallbackStorage([first, second])
    assert chain.save(NAME, ContentFile(b"all of it")) == NAME
    assert stored(first, NAME) is None
    assert stored(chain, NAME) == b"all of it"


def test_an_error_that_is_raised_at_once_leaves_no_part(tmp_path):
    """No other backend is asked, and still no part of the file stays behind."""
    first = HalfDisk(tmp_path, 4, SuspiciousOperation("a virus"))
    second = RecordingStorage("second")
    with pytest.raises(SuspiciousOperation, match="a virus"):
        FallbackStorage([first, second]).save(NAME, ContentFile(b"all of it"))
    assert not first.exists(NAME)
    assert second.count("_save") == 0


def test_all_backends_full_raises_all_errors_and_leaves_no_part(tmp_path):
    """When every backend fails their errors are raised and nothing is half there."""
    first, second = HalfDisk(tmp_path, 3), HalfBucket()
    with pytest.raises(AllBackendsFailed) as caught:
        FallbackStorage([first, second]).save(NAME, ContentFile(b"all of it"))
    assert list(caught.value.exceptions) == [first.error, second.error]
    assert not first.exists(NAME)
    assert second.files == {}


# What another writer stored under the same name is his


class Overtaken(FileSystemStorage):
    """Another process takes the name first; then our own save fails."""

    def __init__(self, location, theirs, *, reads):
        super().__init__(location)
        self.theirs, self.reads = theirs, reads
        self.descriptor = None

    def _save(self, name, content):
        path = Path(self.path(name))
        path.parent.mkdir(parents=True)
        self.descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        os.write(self.descriptor, self.theirs)
        if self.reads:
            # FileSystemStorage itself sees the name taken and makes another one.
            cut = Cut(content, 4, OSError(errno.ENOSPC, "full"))
            return super()._save(name, cut)
        raise OSError(errno.ENOSPC, "full")


@pytest.mark.parametrize(
    ("theirs", "reads"),
    [
        (b"theirs", False),
        (b"theirs", True),
        (b"all of it", False),
        (b"all of it", True),
        # Beginnings of ours. An empty one is only told from ours where ours was
        # written elsewhere: a disk that fails before it reads leaves one as well.
        (b"all", False),
        (b"all", True),
        (b"", True),
    ],
)
def test_another_writers_complete_file_is_never_removed(tmp_path, theirs, reads):
    """Not even if it happens to be a beginning of ours, or empty."""
    first = Overtaken(tmp_path, theirs, reads=reads)
    chain = FallbackStorage([first, RecordingStorage("second")])
    chain.save(NAME, ContentFile(b"all of it"))
    os.close(first.descriptor)
    assert Path(first.path(NAME)).read_bytes() == theirs


@pytest.mark.parametrize("reads", [False, True], ids=["unread", "elsewhere"])
@pytest.mark.parametrize("theirs", [b"", b"all", b"theirs"])
def test_another_writers_file_in_progress_is_never_removed(tmp_path, theirs, reads):
    """FileSystemStorage locks what it writes; a locked file is not ours to remove."""

    class Locked(Overtaken):
        def _save(self, name, content):
            try:
                return super()._save(name, content)
            finally:
                fcntl.flock(self.descriptor, fcntl.LOCK_EX)

    first = Locked(tmp_path, theirs, reads=reads)
    chain = FallbackStorage([first, RecordingStorage("second")])
    chain.save(NAME, ContentFile(b"all of it"))
    os.write(first.descriptor, b" the rest")
    os.close(first.descriptor)
    assert Path(first.path(NAME)).read_bytes() == theirs + b" the rest"


@pytest.mark.parametrize("theirs", [b"theirs", b"all of it", b"all of it, and more"])
def test_another_writers_object_is_never_removed(theirs):
    """An object store has no locks: what is no beginning of ours is not ours."""

    class Overwritten(HalfBucket):
        def _save(self, name, content):
            try:
                super()._save(name, content)
            finally:
                self.files[name] = theirs

    first = Overwritten()
    chain = FallbackStorage([first, RecordingStorage("second")])
    chain.save(NAME, ContentFile(b"all of it"))
    assert first.files == {NAME: theirs}


@pytest.mark.parametrize("method", ["exists", "_open", "delete"])
def test_a_part_that_cannot_be_removed_is_not_read(caplog, method):
    """The save goes on under another name, and the log says what lies where."""
    first, second = HalfBucket(), RecordingStorage("second")
    chain = FallbackStorage([first, second])
    error = ConnectionError("secret-endpoint is down")
    # Up while the name is chosen, down afterwards.
    first.before("_save", lambda name: first.fail(method, error))
    saved = chain.save(NAME, ContentFile(b"all of it"))
    first.heal(method)
    assert saved != NAME
    assert stored(chain, saved) == b"all of it"
    assert second.files == {saved: b"all of it"}
    assert f"save({NAME!r})" in caplog.text
    assert "could not be removed: ConnectionError" in caplog.text
    assert "secret-endpoint" not in caplog.text


# Storages that write in a way of their own


class OwnDisk(FileSystemStorage):
    """Creates the file, then copies the content into it; the disk is full half way."""

    header = b""
    after = 3

    def _save(self, name, content):
        path = Path(self.path(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.write(self.header)
            for chunk in Cut(
                content, self.after, OSError(errno.ENOSPC, "full")
            ).chunks():
                file.write(self.form(chunk))
        return name

    def form(self, chunk):
        return chunk


class Unbuffered(OwnDisk):
    """What it creates is there, and empty, when it begins to read."""

    def form(self, chunk):
        assert not stored(FileSystemStorage(self.location), NAME)
        return chunk


class Compressing(OwnDisk):
    """What it stores is no beginning of what it was given."""

    def form(self, chunk):
        return zlib.compress(chunk)


class WithHeader(OwnDisk):
    header = b"v1\n"


class Undeletable(OwnDisk):
    """A delete that fails without an error."""

    def delete(self, name):
        pass


@pytest.mark.parametrize("after", [0, 3])
@pytest.mark.parametrize("kind", [OwnDisk, Unbuffered])
def test_a_part_is_removed_whoever_created_its_file(tmp_path, kind, after):
    """Not only where Django's own _save created it, which locks it meanwhile."""
    first, second = kind(tmp_path), RecordingStorage("second")
    first.after = after
    chain = FallbackStorage([first, second])
    saved = chain.save(NAME, ContentFile(b"all of it"))
    assert stored(chain, saved) == b"all of it"
    if after:
        assert saved == NAME
        assert not first.exists(NAME)


@pytest.mark.parametrize("kind", [Compressing, WithHeader, Undeletable])
def test_what_may_be_anothers_stays_and_its_name_goes_to_no_other_backend(
    tmp_path, kind
):
    """Else what is read under the name would be the part."""
    first, second = kind(tmp_path), RecordingStorage("second")
    chain = FallbackStorage([first, second])
    saved = chain.save(NAME, ContentFile(b"all of it"))
    assert saved != NAME
    assert stored(chain, saved) == b"all of it"
    assert list(second.files) == [saved]


def test_the_other_name_has_no_more_characters_than_were_asked_for(tmp_path):
    """A FileField's max_length is that of its column."""
    first, second = Compressing(tmp_path), RecordingStorage("second")
    chain = FallbackStorage([first, second])
    saved = chain.save(NAME, ContentFile(b"all of it"), max_length=len(NAME) + 3)
    assert saved != NAME
    assert len(saved) <= len(NAME) + 3
    assert stored(chain, saved) == b"all of it"


# Content whose own reading fails


class BrokenContent(ContentFile):
    """Can seek; its reading fails after the first chunk, every time."""

    def chunks(self, chunk_size=None):
        yield b"all"
        raise OSError("the upload was cut")


class BrokenPipe:
    """Cannot seek; its reading fails after the first chunk."""

    name = "pipe"

    def chunks(self):
        yield b"all"
        raise OSError("the upload was cut")


def test_content_that_cannot_be_read_leaves_nothing_anywhere(tmp_path):
    """Its error is raised, and every backend's part is removed."""
    first, second = FileSystemStorage(tmp_path / "1"), FileSystemStorage(tmp_path / "2")
    chain = FallbackStorage([first, second])
    with pytest.raises((OSError, AllBackendsFailed)) as caught:
        chain.save(NAME, BrokenContent(b"all of it"))
    assert "the upload was cut" in "".join(traceback.format_exception(caught.value))
    assert not first.exists(NAME)
    assert not second.exists(NAME)
    assert chain.exists(NAME) is False


def test_content_that_cannot_be_read_or_rewound_reaches_no_backend():
    """It is spooled first; its own error is raised, and no backend saw any of it."""
    first, second = RecordingStorage("first"), RecordingStorage("second")
    with pytest.raises(OSError, match="the upload was cut"):
        FallbackStorage([first, second]).save(NAME, BrokenPipe())
    assert first.count("_save") == second.count("_save") == 0
