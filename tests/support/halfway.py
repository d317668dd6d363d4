"""Backends that fail after they have taken something."""

from __future__ import annotations

import errno

from django.core.files.storage import FileSystemStorage
from fakes import RecordingStorage


class Cut:
    """Content that ends with an error after ``after`` bytes (or characters)."""

    def __init__(self, content, after, error):
        self.content, self.after, self.error = content, after, error

    def chunks(self):
        left = self.after
        if left:
            for chunk in self.content.chunks():
                yield chunk[:left]
                left -= len(chunk)
                if left <= 0:
                    break
        raise self.error


class HalfDisk(FileSystemStorage):
    """A disk that is full after ``after`` bytes."""

    def __init__(self, location, after, error=None):
        super().__init__(location)
        self.after = after
        self.error = error or OSError(errno.ENOSPC, "No space left on device")

    def _save(self, name, content):
        return super()._save(name, Cut(content, self.after, self.error))


class HalfBucket(RecordingStorage):
    """An object store that keeps a part, then raises; ``closes`` its content first."""

    def __init__(self, after=4, *, closes=False, error=None):
        super().__init__("half")
        self.after, self.closes = after, closes
        self.error = error or ConnectionError("reset by peer")

    def _save(self, name, content):
        super()._save(name, content)
        self.files[name] = self.files[name][: self.after]
        if self.closes:
            content.close()
        raise self.error


def stored(storage, name):
    """The bytes that a storage holds under a name, or None."""
    if not storage.exists(name):
        return None
    with storage.open(name) as file:
        data = file.read()
    return data.encode() if isinstance(data, str) else data
