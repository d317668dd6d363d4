"""All ways of giving content to a save, and backends that fail in front of the right one."""

from __future__ import annotations

import hashlib
import io
import random
from contextlib import contextmanager

from django.core.files.base import ContentFile, File
from django.core.files.uploadedfile import (
    InMemoryUploadedFile,
    SimpleUploadedFile,
    TemporaryUploadedFile,
)
from fakes import RecordingStorage

# Not compressible, and of no round size.
DATA = random.Random(1).randbytes(200_003)
TEXT = "Größe: 日本語\n" * 5_000


class Unseekable(io.RawIOBase):
    """A pipe, or a request's body."""

    def __init__(self, data):
        self._left = io.BytesIO(data)

    def readable(self):
        return True

    def seekable(self):
        return False

    def readinto(self, buffer):
        # Never more than it feels like, as sockets do.
        return self._left.readinto(memoryview(buffer)[:7001])


class Made(File):
    """A file that is made as it is read: an export. It cannot be rewound."""

    def __init__(self, data):
        super().__init__(None, "made.bin")
        self._data = data
        self.size = len(data)

    def chunks(self, chunk_size=None):
        for start in range(0, len(self._data), 9001):
            yield self._data[start : start + 9001]
        self._data = b""

    def __iter__(self):
        return self.chunks()

    def read(self, size=-1):
        size = len(self._data) if size is None or size < 0 else size
        data, self._data = self._data[:size], self._data[size:]
        return data

    def seekable(self):
        return False

    def close(self):
        """There is nothing."""


@contextmanager
def temporary_upload(data):
    with TemporaryUploadedFile("up.bin", "application/x-data", len(data), None) as file:
        file.write(data)
        file.seek(0)
        yield file


@contextmanager
def on_disk(data, path, *, named):
    path.write_bytes(data)
    with path.open("rb") as file:
        yield File(file) if named else File(io.BytesIO(file.read()))


@contextmanager
def plain(content):
    yield content


def in_memory(data):
    file = io.BytesIO(data)
    kind = "application/x-data"
    return InMemoryUploadedFile(file, "file", "up.bin", kind, len(data), None)


# Way of giving it -> (function of data and a path that makes it, data).
WAYS = {
    "ContentFile": (lambda data, path: plain(ContentFile(data)), DATA),
    "named": (lambda data, path: plain(ContentFile(data, "named.bin")), DATA),
    "nothing": (lambda data, path: plain(ContentFile(data)), b""),
    "unnamed nothing": (lambda data, path: plain(File(io.BytesIO(data))), b""),
    "File": (lambda data, path: on_disk(data, path, named=True), DATA),
    "unnamed": (lambda data, path: on_disk(data, path, named=False), DATA),
    "upload": (lambda data, path: plain(in_memory(data)), DATA),
    "simple": (lambda data, path: plain(SimpleUploadedFile("up.bin", data)), DATA),
    "temporary": (lambda data, path: temporary_upload(data), DATA),
    "stream": (lambda data, path: plain(File(Unseekable(data), "pipe")), DATA),
    "generator": (lambda data, path: plain(Made(data)), DATA),
    "read already": (lambda data, path: plain(half_read(data)), DATA),
    # The last: a storage may never recover from it.
    "text": (lambda data, path: plain(ContentFile(data.decode())), TEXT.encode()),
}


def half_read(data):
    content = ContentFile(data, "read.bin")
    content.read(len(data) // 2)
    return content


class Refusing(RecordingStorage):
    """A backend that takes no file, and does not look at it."""

    def _save(self, name, content):
        raise ConnectionError("refused")


class Breaking(RecordingStorage):
    """A backend that breaks after half of the content."""

    def _save(self, name, content):
        left = content.size // 2
        for chunk in content.chunks(1000):
            left -= len(chunk)
            if left <= 0:
                break
        raise ConnectionError("broken")


class Closing(RecordingStorage):
    """A backend that reads it all, closes it, and then fails."""

    def _save(self, name, content):
        content.read()
        content.close()
        raise ConnectionError("closed")


FRONTS = {"alone": None, "refused": Refusing, "halfway": Breaking, "closed": Closing}


def digest(data):
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()
