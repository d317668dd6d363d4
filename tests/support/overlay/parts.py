"""Storages for the overlay's tests: guards that may not be changed, homes that fail."""

from __future__ import annotations

import hashlib
import inspect
import os
from pathlib import Path

from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, Storage
from fakes import RecordingStorage

from fallback_storage.operations.drafts import draft, is_unnamed

# All that may be called of a storage that is only read. What a later Django adds
# counts as changing until somebody has read what it does.
READS = frozenset(
    {
        "open", "_open", "exists", "size", "url", "path", "listdir",
        "get_accessed_time", "get_created_time", "get_modified_time",
        "get_valid_name", "get_alternative_name", "get_available_name",
        "is_name_available", "generate_filename",
    }
)  # fmt: skip
STORAGE_API = frozenset(
    name
    for name, _ in inspect.getmembers(Storage, inspect.isfunction)
    if name[:1] != "_"
) | {"_open", "_save"}
CHANGES = STORAGE_API - READS


class GuardError(BaseException):
    """Not an Exception: nothing that handles failures handles this one."""


class Guarding:
    """Refuses every call that could change the storage."""

    def __getattribute__(self, attribute):
        if attribute in CHANGES:
            raise GuardError(f"{attribute} of a read-only backend")
        found = super().__getattribute__(attribute)
        return _only_reading(found) if attribute in {"open", "_open"} else found


def _only_reading(function):
    def guarded(name, mode="rb"):
        if set(mode) - set("rbt"):
            raise GuardError(f"{function.__name__}({name!r}, {mode!r})")
        return function(name, mode)

    return guarded


class Guard(Guarding, RecordingStorage):
    """An object store that may only be read."""


class GuardFiles(Guarding, FileSystemStorage):
    """A directory that may only be read. Only its files say whether it was."""

    def digest(self):
        """A hash of all names and bytes."""
        return digest(self.location)


def digest(root):
    total = hashlib.sha256()
    for path in sorted(Path(root).rglob("*")):
        content = path.read_bytes() if path.is_file() else b"directory"
        total.update(repr((str(path.relative_to(root)), content)).encode())
    return total.hexdigest()


class Failing:
    """Raises in the methods that ``down`` names; with ``half`` it does a part first."""

    down = frozenset()
    half = False

    def __getattribute__(self, attribute):
        found = super().__getattribute__(attribute)
        # What is saved whole is not saved with ``_save``; this is its last step before
        # the file gets its name.
        method = "_save" if attribute == "_ensure_location_group_id" else attribute
        if method in STORAGE_API and method in self.down:
            return _broken(self, attribute, found)
        return found


class Trouble(OSError):
    """What fails, and is no outage: nobody is left alone for it."""


def _broken(storage, attribute, function):
    def broken(name, *args, **kwargs):
        if storage.half and attribute == "_save":
            data = b"".join(args[0].chunks())
            function(name, ContentFile(data[: len(data) // 2]))
        elif storage.half and attribute == "delete":
            function(name)
        raise Trouble(attribute)

    return broken


class FailingFiles(Failing, FileSystemStorage):
    """A directory on a disk that fails. Its class saves as Django does."""


class FailingFlat(Failing, RecordingStorage):
    """An object store that fails; what is written to it arrives at close."""

    def act(self, method, name):
        if method == "close" and "close" in self.down:
            if self.half:
                self.files[name] = b""
            raise Trouble(method)
        super().act(method, name)


class InPlace(FileSystemStorage):
    """A directory that cannot stage: it saves in a way of its own."""

    def _save(self, name, content):
        return super()._save(name, content)


def given(storage):
    return storage


def entry(storage, name, **policy):
    """Return a backend entry that gives an instance a policy."""
    options = {"storage": storage}
    return {
        "BACKEND": "overlay.parts.given",
        "OPTIONS": options,
        "NAME": name,
        **policy,
    }


def read_only(storage, name="production"):
    return entry(storage, name, READ_ONLY=True)


def writable(storage, name="home"):
    return entry(storage, name, READ_ONLY=False)


def staging_left(root):
    """Our folders in a home, and what lies in them."""
    return sorted(
        path.relative_to(root).as_posix()
        for path in Path(root).rglob("*")
        if ".fallback-staging" in path.parts
    )


def need_unnamed_files(directory):
    """Skip the test where there are none."""
    import pytest

    with draft(str(directory)) as path:
        if not is_unnamed(path):
            pytest.skip("this file system has no unnamed files")


def without_unnamed_files(monkeypatch):
    """As on a system that has none: macOS, some file systems."""
    monkeypatch.delattr(os, "O_TMPFILE", raising=False)


def without(monkeypatch, function, number):
    """Let a function of ``os`` fail as where the file system does not have it."""

    def refuse(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, function, refuse)


def content_of(storage, name):
    """Return the bytes that a storage gives for a name."""
    with storage.open(name) as file:
        return file.read()
