"""Content of every kind survives a backend that fails: the next gets every byte."""

from __future__ import annotations

import io
import os
from contextlib import ExitStack
from pathlib import Path

import pytest
from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage, storages
from django.core.files.uploadedfile import (
    InMemoryUploadedFile,
    SimpleUploadedFile,
    TemporaryUploadedFile,
)
from fakes import RecordingStorage
from halfway import HalfBucket, HalfDisk, stored

from fallback_storage.operations import files
from fallback_storage.operations.partial import Found, compare
from fallback_storage.storage import FallbackStorage

NAME = "a/b/picture.jpg"
SIZES = [0, 1, 3_000_000]
INVERT = bytes(range(255, -1, -1))


def data_of(size):
    return (b"\xff\xd8picture\n" * (size // 10 + 1))[:size]


# Contents: each gives a file object that holds ``data``


class Transforming(ContentFile):
    """Makes its chunks as it goes, as a compressor or a cipher does."""

    def chunks(self, chunk_size=None):
        for chunk in super().chunks(chunk_size):
            yield chunk.translate(INVERT)


class ReadsOn(File):
    """Its chunks go on from where the file stands, which is not always its start."""

    def chunks(self, chunk_size=None):
        while chunk := self.read(7777):
            yield chunk


class Pipe:
    """Can be read once and not rewound; has ``read`` and nothing else."""

    def __init__(self, data):
        self.read = io.BytesIO(data).read


class Chunks:
    """The least that Django's storages ask of content."""

    name = "chunks"

    def __init__(self, data):
        self.parts = (data[at : at + 7777] for at in range(0, len(data), 7777))

    def chunks(self):
        return self.parts


class NamelessChunks:
    """As little as that, and no name: FileSystemStorage saves it."""

    def __init__(self, data):
        self.chunks = Chunks(data).chunks


def temporary_upload(data):
    upload = TemporaryUploadedFile("x.jpg", "image/jpeg", len(data), None)
    upload.write(data)
    upload.flush()
    return upload


def memory_upload(data):
    return InMemoryUploadedFile(
        io.BytesIO(data), "file", "x.jpg", "image/jpeg", len(data), None
    )


def transforming(data):
    return Transforming(data.translate(INVERT))


def half_read(data):
    content = ContentFile(data)
    content.read(len(data) // 2)
    return content


CONTENTS = {
    "bytes": ContentFile,
    "text": lambda data: ContentFile("ü€" + data.decode("latin-1")),
    "bare-bytesio": io.BytesIO,
    "half-read": half_read,
    "reads-on": lambda data: ReadsOn(io.BytesIO(data), "x"),
    "pipe": Pipe,
    "pipe-file": lambda data: File(Pipe(data), name="x"),
    "chunks": Chunks,
    "chunks-without-name": NamelessChunks,
    "temporary-upload": temporary_upload,
    "memory-upload": memory_upload,
    "simple-upload": lambda data: SimpleUploadedFile("x.jpg", data),
    "transforming": transforming,
}


@pytest.fixture
def make():
    """A factory of contents that are closed, as a request closes its uploads."""
    with ExitStack() as stack:

        def make_content(kind, data):
            made = CONTENTS[kind](data)
            if hasattr(made, "temporary_file_path"):
                stack.enter_context(made)
            return made

        yield make_content


def expected_of(kind, data):
    return ("ü€" + data.decode("latin-1")).encode() if kind == "text" else data


# Backends that fail at every stage of a save


class UnreadBucket(RecordingStorage):
    """Fails before it has read anything; an earlier reader left content at its end."""

    def _save(self, name, content):
        content.seek(0, os.SEEK_END)
        raise ConnectionError("no route to host")


BROKEN = {
    "disk-full-at-0": lambda root: HalfDisk(root, 0),
    "disk-full-at-1": lambda root: HalfDisk(root, 1),
    "disk-full-at-100000": lambda root: HalfDisk(root, 100_000),
    "bucket": lambda root: HalfBucket(),
    "bucket-closes": lambda root: HalfBucket(closes=True),
    "bucket-unread": lambda root: UnreadBucket("unread"),
    # chmod comes after the file was written or, if it was temporary, moved.
    "chmod-fails": lambda root: FileSystemStorage(root, file_permissions_mode="rw"),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", CONTENTS)
@pytest.mark.parametrize("broken", BROKEN)
def test_the_next_backend_gets_every_byte(tmp_path, make, broken, kind, size):
    """Whatever the first backend did to the content, the second stores all of it."""
    first, second = BROKEN[broken](tmp_path), RecordingStorage("second")
    chain = FallbackStorage([first, second])
    data = data_of(size)
    expected = expected_of(kind, data)
    name = chain.save(NAME, make(kind, data))
    assert name == NAME
    assert second.files == {NAME: expected}
    assert stored(first, NAME) in {None, expected}
    assert stored(chain, NAME) == expected


@pytest.mark.parametrize("kind", CONTENTS)
@pytest.mark.parametrize("broken", BROKEN)
def test_two_failures_leave_the_third_every_byte(tmp_path, make, broken, kind):
    """The content is rewound before every further attempt, not the second alone."""
    first, second = BROKEN[broken](tmp_path / "1"), BROKEN[broken](tmp_path / "2")
    third = FileSystemStorage(tmp_path / "3")
    expected = expected_of(kind, data_of(100))
    chain = FallbackStorage([first, second, third])
    assert chain.save(NAME, make(kind, data_of(100))) == NAME
    assert Path(third.path(NAME)).read_bytes() == expected
    assert stored(chain, NAME) == expected


def test_a_real_pipe_is_kept_whole(tmp_path):
    """Content of the operating system that cannot seek is spooled, never truncated."""
    read_end, write_end = os.pipe()
    data = data_of(60_000)
    os.write(write_end, data)
    os.close(write_end)
    second = RecordingStorage("second")
    chain = FallbackStorage([HalfDisk(tmp_path, 10), second])
    with os.fdopen(read_end, "rb") as pipe:
        assert chain.save(NAME, File(pipe, name="x")) == NAME
    assert second.files == {NAME: data}


@pytest.mark.parametrize("broken", ["disk-full-at-1", "bucket", "bucket-closes"])
@pytest.mark.parametrize("kind", CONTENTS)
def test_a_failed_save_with_one_writable_backend_leaves_no_part(
    settings, tmp_path, make, broken, kind
):
    """With nowhere to fall back to the error is the backend's; nothing is stored."""
    settings.STORAGES = {"production": {"BACKEND": "fakes.RecordingStorage"}}
    only = BROKEN[broken](tmp_path)
    chain = FallbackStorage([only, {"ALIAS": "production", "READ_ONLY": True}])
    with pytest.raises(OSError, match=r"No space|reset by peer"):
        chain.save(NAME, make(kind, data_of(100)))
    assert stored(only, NAME) is None
    assert set(storages["production"].counts()) == {"exists"}


# What the module itself promises


@pytest.mark.parametrize("movable", [True, False])
def test_a_guarded_upload_looks_like_the_upload(make, movable):
    """What storages look for in content is there, the path to move only if movable."""
    upload = make("temporary-upload", b"data")
    guarded = files.Guarded(upload, movable=movable)
    assert isinstance(guarded, File)
    assert (guarded.name, guarded.size) == ("x.jpg", 4)
    assert (guarded.content_type, guarded.charset) == ("image/jpeg", None)
    assert hasattr(guarded, "temporary_file_path") is movable
    assert not hasattr(guarded, "no_such_attribute")


def test_a_guarded_file_is_not_closed_by_a_storage():
    """Closing what a storage was given leaves its owner's file open."""
    original = ContentFile(b"data")
    with files.Guarded(original, movable=True) as guarded:
        guarded.close()
    assert original.read() == b"data"
    assert not original.closed


def test_seekable_content_is_not_copied():
    """Content that can be rewound is handed on as it is, at its start."""
    original = ContentFile(b"data")
    original.read()
    with files.rewindable(original) as source:
        assert source is original
        assert source.tell() == 0


@pytest.mark.parametrize("size", [10, files.SPOOL_MEMORY + 1])
def test_spooled_content_can_be_read_many_times(size):
    """Small content is kept in memory, large content in a temporary file."""
    data = data_of(size)
    with files.rewindable(Chunks(data)) as source:
        for _ in range(3):
            source.seek(0)
            assert b"".join(source.chunks()) == data
        assert source.name == "chunks"
        assert source.file._rolled is (size > files.SPOOL_MEMORY)


@pytest.mark.parametrize(
    ("partial", "whole", "cut"),
    [
        (b"", b"data", True),
        (b"da", b"data", True),
        (b"data", b"data", False),
        (b"", b"", False),
        (b"data+", b"data", False),
        (b"xa", b"data", False),
        (b"other", b"data", False),
        ("dä".encode(), "dät", True),
        ("dät".encode(), "dät", False),
        (data_of(200_000), data_of(200_001), True),
        (data_of(200_000), data_of(200_000), False),
        (data_of(200_000)[:-1] + b"!", data_of(200_001), False),
    ],
)
def test_only_a_true_beginning_is_cut_short(partial, whole, cut):
    """All of it, more than it, or anything else is not a part of what was saved."""
    found = compare(ContentFile(partial), ContentFile(whole))
    assert (found is Found.PART) is cut
    assert (found is Found.WHOLE) is (partial == files.as_bytes(whole))


# What stands in front of a file answers as the file itself does


def closed():
    content = ContentFile(b"a\nb", "x")
    content.close()
    return content


ORIGINALS = {
    "unnamed": lambda: ContentFile(b"a\nb"),
    "named": lambda: ContentFile(b"a\nb", "x"),
    "empty": lambda: ContentFile(b""),
    "plain": lambda: File(io.BytesIO(b"a\nb")),
    "plain-named": lambda: File(io.BytesIO(b"a\nb"), "x"),
    "upload": lambda: memory_upload(b"a\nb"),
    "pipe": lambda: File(Pipe(b"a\nb"), "x"),
    "closed": closed,
}
VIEWS = {
    "saved": lambda original: files.Guarded(original, movable=True),
    "read": lambda original: files.ReadFile(original, "x", None),
    "written": lambda original: files.WrittenFile(original, "x", lambda: None),
}
QUESTIONS = {
    "bool": bool,
    "len": len,
    "size": lambda file: file.size,
    "lines": list,
    "chunks": lambda file: list(file.chunks(2)),
    "name": lambda file: file.name,
    "mode": lambda file: file.mode,
    "closed": lambda file: file.closed,
    "readable": lambda file: file.readable(),
    "seekable": lambda file: file.seekable(),
    "read-again": lambda file: (file.read(1), file.open(None).read()),
    "or": lambda file: (file or io.BytesIO()).read(),
}


def answer(ask, file):
    try:
        return ask(file)
    except Exception as error:
        return type(error)


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("original", ORIGINALS)
@pytest.mark.parametrize("view", VIEWS)
def test_a_view_answers_as_the_file_does(view, original, question):
    """An unnamed file is false on some versions of Django, and ContentFile never is."""
    make, ask = ORIGINALS[original], QUESTIONS[question]
    expected = {"bool": True, "or": b"a\nb"}.get(question)
    if (view, original) != ("saved", "plain") or expected is None:
        expected = answer(ask, make())
    # (But what is saved is true: else of that one nothing would be stored.)
    assert answer(ask, VIEWS[view](make())) == expected


class Hasty(RecordingStorage):
    """Takes "no content" for none, as an HTTP client's ``data or {}`` does."""

    def _save(self, name, content):
        return super()._save(name, content or ContentFile(b""))

    def _open(self, name, mode="rb"):
        return super()._open(name, mode) or ContentFile(b"")


def test_content_without_a_name_is_content():
    """Django's own ContentFile is true without one; so is what a storage is given."""
    hasty = Hasty("hasty")
    chain = FallbackStorage([hasty])
    chain.save("x", ContentFile(b"data"))
    assert hasty.files == {"x": b"data"}


def test_a_plain_file_of_a_read_only_backend_has_a_size(tmp_path):
    """Not every storage opens a File of Django's."""
    (tmp_path / "x").write_bytes(b"data")
    with (tmp_path / "x").open("rb") as opened:
        assert files.ReadFile(opened, "x", None).size == 4


def test_what_the_content_raises_is_told_from_what_its_reader_does():
    def chunks():
        yield b"a"
        raise OSError("content")

    guarded = files.Guarded(ContentFile(b"a"), movable=False)
    reader = guarded._each(chunks())
    assert next(reader) == b"a"
    reader.close()  # as of one that fails itself
    assert guarded.failure is None
    with pytest.raises(OSError, match="content") as caught:
        list(guarded._each(chunks()))
    assert guarded.failure is caught.value
    assert list(guarded.chunks()) == [b"a"]
    assert guarded.failure is None
