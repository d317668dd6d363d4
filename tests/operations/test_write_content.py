"""What goes wrong with the content of a save is no backend's failure."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage
from django.core.files.uploadedfile import TemporaryUploadedFile
from fakes import Bucket, RecordingStorage, read

from fallback_storage.signals import backend_failed
from fallback_storage.storage import FallbackStorage


class Broken(Exception):
    """The content's own."""


class Interrupt(BaseException):
    """A worker's time-out, raised where the content is read."""


class Breaking(io.BytesIO):
    """Fails behind its first bytes; every time, or as an interrupt does, once."""

    def __init__(self, error):
        super().__init__(b"a" * 100)
        self.error = error

    def read(self, size=-1):
        left = 50 - self.tell()
        if self.error is None or 0 <= size <= left:
            return super().read(size)
        if left > 0 and size > 0:
            return super().read(left)
        error = self.error
        if isinstance(error, Interrupt):
            self.error = None
        raise error

    def readline(self):
        return self.read(1000)

    def __iter__(self):
        return iter(self.readline, b"")


class Chunks(File):
    """Makes its chunks as it goes."""

    def __init__(self, error):
        super().__init__(Breaking(error), "x")

    def chunks(self, chunk_size=None):
        self.seek(0)
        yield from iter(lambda: self.file.read(10), b"")


class Stream:
    """Can be read once."""

    name = "x"

    def __init__(self, error):
        self.error = error

    def chunks(self, chunk_size=None):
        yield b"a" * 50
        raise self.error


class Writing(RecordingStorage):
    """Writes what it reads as it comes, and leaves it there if no more does."""

    how = staticmethod(lambda content: content.chunks())

    def _save(self, name, content):
        self.act("_save", name)
        self.files[name] = b""
        for chunk in self.how(content):
            self.files[name] += chunk
        return name


class Reading(Writing):
    how = staticmethod(lambda content: iter(lambda: content.read(20), b""))


class Lines(Writing):
    how = staticmethod(iter)


class Wrapping(Reading):
    """Raises an error of its own, as boto3 does, with no trace of the first."""

    def _save(self, name, content):
        failed = False
        try:
            return super()._save(name, content)
        except BaseException:
            failed = True
        if failed:
            raise ConnectionError("Upload failed")
        return name


class Hesitant(Reading):
    """Fails by itself, after a read that failed and was tried again."""

    def _save(self, name, content):
        with pytest.raises(Broken):
            content.read()
        assert content.read(10) == b"a" * 10
        raise ConnectionError("down")


class Disk(FileSystemStorage):
    """With a ``_save`` of its own: what it writes can be seen meanwhile."""

    def _save(self, name, content):
        return super()._save(name, content)


BACKENDS = {
    "local": lambda path: FileSystemStorage(path),
    "own save": Disk,
    "chunks": lambda path: Writing(),
    "read": lambda path: Reading(),
    "lines": lambda path: Lines(),
    "wraps": lambda path: Wrapping(),
    "chain": lambda path: FallbackStorage([Wrapping(), Writing()]),
}
CONTENTS = {
    "file": lambda error: File(Breaking(error), "x"),
    "chunks": Chunks,
    "stream": Stream,
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("error", [Broken("disk"), OSError(5, "I/O"), Interrupt()])
def test_a_content_that_cannot_be_read(tmp_path, backend, content, error):
    """Is raised as it is, at once; no other backend is tried, and nothing is left."""
    first, second = BACKENDS[backend](tmp_path), Bucket("second")
    chain = FallbackStorage([first, second])
    failures = []

    def note(**given):
        failures.append(given)

    backend_failed.connect(note)
    try:
        with pytest.raises(type(error)) as caught:
            chain.save("d/x.txt", CONTENTS[content](error))
    finally:
        backend_failed.disconnect(note)
    assert caught.value is error
    assert second.count("_save") == 0
    assert failures == []
    assert not chain.exists("d/x.txt")
    assert [path for path in Path(tmp_path).rglob("*") if path.is_file()] == []
    # Nothing is held, and nothing wrong is remembered.
    assert chain.save("d/x.txt", ContentFile(b"1")) == "d/x.txt"


def test_a_backend_that_fails_is_still_passed_over():
    """Reading that failed once, and then did not, is nobody's failure."""
    content = File(Breaking(Broken()), "x")
    with pytest.raises(Broken):
        FallbackStorage([Hesitant(), Reading()]).save("x", content)
    second = RecordingStorage("second")
    again = ContentFile(b"a" * 100)
    down = RecordingStorage("first")
    down.fail("_save")
    assert FallbackStorage([down, second]).save("x", again) == "x"
    assert len(second.files["x"]) == 100


def test_only_reading_is_the_contents():
    """What a storage raises of its own after it has read all is its own failure."""

    class Late(RecordingStorage):
        def _save(self, name, content):
            super()._save(name, content)
            del self.files[name]
            raise Broken

    second = RecordingStorage("second")
    FallbackStorage([Late(), second]).save("x", ContentFile(b"12"))
    assert second.files == {"x": b"12"}


# Temporary uploads


def upload():
    file = TemporaryUploadedFile("x.txt", "text/plain", 5, None)
    file.write(b"12345")
    file.flush()
    file.seek(0)
    return file


def refused(error=None):
    storage = RecordingStorage("refusing")
    storage.fail("_save", error)
    return storage


@pytest.mark.parametrize("kind", ["remote", "two", "local", "unsupported"])
def test_an_upload_is_moved_where_others_have_not_touched_it(tmp_path, kind):
    """As by Django's storage alone: the same file, and none left."""
    (tmp_path / "taken").write_bytes(b"")
    before = {
        "remote": [refused()],
        "two": [refused(), refused()],
        "local": [FileSystemStorage(tmp_path / "taken")],
        "unsupported": [refused(NotImplementedError())],
    }[kind]
    home = FileSystemStorage(tmp_path / "home")
    content = upload()
    path = Path(content.temporary_file_path())
    inode, device = path.stat().st_ino, path.stat().st_dev
    assert FallbackStorage([*before, home]).save("a/x.txt", content) == "a/x.txt"
    content.close()
    saved = Path(home.path("a/x.txt"))
    assert saved.read_bytes() == b"12345"
    assert not path.exists()
    if saved.stat().st_dev == device:
        assert saved.stat().st_ino == inode


def test_an_upload_that_was_read_is_copied(tmp_path):
    """It may have been moved, or cut: its open file has every byte."""

    class Reads(RecordingStorage):
        def _save(self, name, content):
            content.read(2)
            raise ConnectionError

    home = FileSystemStorage(tmp_path)
    content = upload()
    FallbackStorage([Reads(), home]).save("x.txt", content)
    assert Path(content.temporary_file_path()).exists()
    assert read(home, "x.txt") == b"12345"
    content.close()


# Text


class WantsBytes(RecordingStorage):
    """Stores no text, as S3Storage, or only as much of it as it has characters."""

    def _save(self, name, content):
        data = content.read()
        if isinstance(data, str):
            raise TypeError("a bytes-like object is required, not 'str'")
        return super()._save(name, ContentFile(data))


@pytest.mark.parametrize("size", [1, 100_000])
def test_text_is_encoded_for_who_is_known_to_want_bytes(size):
    """In UTF-8, as FileSystemStorage writes it."""
    text = "Größe\r\n" * size
    for content in (ContentFile(text), File(io.StringIO(text))):
        wants = {"BACKEND": "fakes.RecordingStorage", "PROFILE": {"WANTS_BYTES": True}}
        chain = FallbackStorage([wants])
        storage = chain.backends[0].__dict__["storage"] = WantsBytes("bytes")
        assert chain.save("x", content) == "x"
        assert storage.files["x"] == text.encode()


def test_who_is_not_known_to_want_bytes_is_given_what_there_is():
    """Its own business, as without a chain."""
    with pytest.raises(TypeError):
        FallbackStorage([WantsBytes("bytes")]).save("x", ContentFile("text"))


def test_content_is_true_whatever_its_name():
    """A storage that sends "the content or nothing" sends all of it."""

    class OrNothing(RecordingStorage):
        def _save(self, name, content):
            return super()._save(name, content or ContentFile(b""))

    storage = OrNothing("or nothing")
    FallbackStorage([storage]).save("x", File(io.BytesIO(b"four")))
    assert storage.files == {"x": b"four"}
