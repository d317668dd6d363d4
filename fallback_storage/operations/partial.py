"""What a failed save leaves behind, and how to tell it from another writer's file."""

from __future__ import annotations

import enum
import errno
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.files import locks
from django.core.files.storage import FileSystemStorage

from fallback_storage.operations.files import as_bytes
from fallback_storage.operations.staging import can_stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fallback_storage.chain.backend import Backend

logger = logging.getLogger("fallback_storage")


CHUNK = 64 * 1024


class Found(enum.Enum):
    """What a file has of the content that was to be saved."""

    PART = enum.auto()  # a true beginning, not all
    WHOLE = enum.auto()
    OTHER = enum.auto()


class Claim:
    """What may be removed after a failed save: a part of what that save wrote.

    Another process may have saved a file under the name meanwhile. So only a file that
    is a true beginning of the content goes, and nobody may be writing it
    (FileSystemStorage locks a file while it does). What was there, unlocked, when the
    storage began to read the content, is another's if FileSystemStorage lost a race and
    wrote elsewhere; a storage with a ``_save`` of its own may have created it just
    before. Only the latter grows.
    """

    def __init__(self, backend: Backend, name: str) -> None:
        self._backend = backend
        self._name = name
        self._size_at_first: int | None = None
        self.begun = False

    def begin(self) -> None:
        """Note that the storage begins to read the content."""
        self.begun = True
        storage = self._backend.storage
        # (Of what is staged, nothing lies under the name before it is whole.)
        if isinstance(storage, FileSystemStorage) and not can_stage(storage):
            try:
                with Path(storage.path(self._name)).open("rb") as file:
                    if is_idle(file):
                        self._size_at_first = os.fstat(file.fileno()).st_size
            except OSError:
                self._size_at_first = None  # nothing there yet

    def remove_partial(self, content: Any) -> bool:
        """Remove the part, if it is one; return whether the name can go elsewhere.

        That is: what is read under it is all of the content, or what the next backend
        has. Failures are logged.
        """
        storage = self._backend.storage
        if can_stage(storage) or self._backend.profile.whole:
            return True  # never was a part of ours under this name
        try:
            return self._clear(storage, content)
        except Exception as error:  # noqa: BLE001 - the save's failure is what counts
            logger.warning(
                "save(%r): what the failed save left in %r could not be removed: %s",
                self._name,
                self._backend.name,
                type(error).__name__,
            )
            return False

    def _clear(self, storage: Any, content: Any) -> bool:
        if not self._backend.ask(storage.exists, self._name):
            return True
        found = self._look_at(storage, content)
        if found is not Found.PART:
            return found is Found.WHOLE
        storage.delete(self._name)
        return not self._backend.ask(storage.exists, self._name)

    def _look_at(self, storage: Any, content: Any) -> Found:
        """Return what is there; a part only if it is ours."""
        with storage.open(self._name) as file:
            found = compare(file, content) if is_idle(file) else Found.OTHER
            if not self.begun:
                # Nothing was read: only an empty file can be ours.
                file.seek(0)
                is_ours = not file.read(1)
            else:
                first = self._size_at_first
                is_ours = first is None or storage.size(self._name) > first
        return found if is_ours or found is not Found.PART else Found.OTHER


def compare(file: Any, content: Any) -> Found:
    """Return what a file has of a content, which is read from its start."""
    content.seek(0)
    chunks = content.chunks()
    expected = b""
    while read := file.read(CHUNK):
        while len(expected) < len(read):
            chunk = next(chunks, None)
            if chunk is None:
                return Found.OTHER
            expected += as_bytes(chunk)
        if not expected.startswith(read):
            return Found.OTHER
        expected = expected[len(read) :]
    return Found.PART if expected or _goes_on(chunks) else Found.WHOLE


def _goes_on(chunks: Iterator[Any]) -> bool:
    try:
        return next(chunks, None) is not None
    except Exception:  # noqa: BLE001 - what cannot be read on was cut off there
        return True


def is_idle(file: Any) -> bool:
    """Whether no other open file object of this file is locked, if that can be told."""
    try:
        descriptor = file.fileno()
    except (AttributeError, OSError, ValueError):
        return True
    try:
        return bool(locks.lock(descriptor, locks.LOCK_EX | locks.LOCK_NB))
    except OSError as error:
        return error.errno not in {errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK}
