"""What a failed save leaves behind, and how to tell it from another writer's file."""

from __future__ import annotations

import errno
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.files import locks
from django.core.files.storage import FileSystemStorage

from fallback_storage.operations.files import is_cut_short
from fallback_storage.operations.staging import can_stage

if TYPE_CHECKING:
    from fallback_storage.chain.backend import Backend

logger = logging.getLogger("fallback_storage")


class Claim:
    """What may be removed after a failed save: a part of what that save wrote.

    Another process may have saved a file under the name meanwhile. So only a file that
    is a true beginning of the content goes; nobody may be writing it (FileSystemStorage
    locks a file while it does); and if the name was there, unlocked, when the storage
    began to read the content, FileSystemStorage lost a race and wrote elsewhere.
    """

    def __init__(self, backend: Backend, name: str) -> None:
        self._backend = backend
        self._name = name
        self._elsewhere = False
        self.begun = False

    def begin(self) -> None:
        """Note that the storage begins to read the content."""
        self.begun = True
        storage = self._backend.storage
        if isinstance(storage, FileSystemStorage):
            try:
                with Path(storage.path(self._name)).open("rb") as file:
                    self._elsewhere = is_idle(file)
            except OSError:
                self._elsewhere = False  # nothing there yet

    def remove_partial(self, content: Any) -> None:
        """Remove the part, if it is one. Failures are logged."""
        storage = self._backend.storage
        if can_stage(storage):
            return  # nothing of ours was ever under this name
        try:
            if self._elsewhere or not storage.exists(self._name):
                return
            with storage.open(self._name) as partial:
                ours = is_idle(partial) and is_cut_short(partial, content)
                if not self.begun:
                    # Nothing was read: only an empty file can be ours.
                    partial.seek(0)
                    ours = ours and not partial.read(1)
            if ours:
                storage.delete(self._name)
        except Exception as error:  # noqa: BLE001 - the save's failure is what counts
            logger.warning(
                "save(%r): what the failed save left in %r could not be removed: %s",
                self._name,
                self._backend.name,
                type(error).__name__,
            )


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
