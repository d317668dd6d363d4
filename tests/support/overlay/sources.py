"""What is copied, and where to: sources that break off, homes that are full."""

from __future__ import annotations

import errno
import io
import os
import time
from pathlib import Path

from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage
from fakes import RecordingStorage
from overlay.parts import Guard, InPlace, read_only, writable

from fallback_storage.storage import FallbackStorage

NAME = "d/a.txt"
CONTENT = b"all of production's bytes"
FULL = OSError(errno.ENOSPC, "No space left on device")
HOMES = {"staged": FileSystemStorage, "in-place": InPlace, "flat": RecordingStorage}


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

    def _ensure_location_group_id(self, full_path):
        """The last that is done before a file gets its name."""
        if self.full:
            os.truncate(full_path, 5)
            raise FULL
        super()._ensure_location_group_id(full_path)


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


def make(home, source, cache=None, **options):
    options = {"promote": True, **options}
    return FallbackStorage([writable(home), read_only(source)], cache, **options)


def wait_until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline


def files_of(home):
    """The names in a home."""
    if isinstance(home, RecordingStorage):
        return sorted(home.files)
    root = Path(home.location)
    return sorted(
        path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()
    )
