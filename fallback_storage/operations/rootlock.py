"""A lock on a storage's directory, against other processes of this machine.

The directory itself is locked: there is no file to keep for it. It is the one of the
whole storage, which does not come and go with the files: all processes mean the same.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from django.core.files import locks

from fallback_storage.operations.directories import in_directory
from fallback_storage.utils.locks import NameLocks
from fallback_storage.utils.logs import warner

if TYPE_CHECKING:
    from collections.abc import Iterator

# Within this process they wait for a lock of Python's: what the system blocks is the
# thread, and where threads are green (gevent), the one that holds the lock with it.
_in_turn = NameLocks()

# The directories that a thread has locked: it must not wait for itself.
_held = threading.local()


@contextmanager
def exclusive(storage: Any) -> Iterator[bool]:
    """Lock the directory of a ``FileSystemStorage``; yield whether that could be done.

    What there is to do is done without a lock, too, as it is without this package.
    """
    directory = storage.location
    opened: list[int] = []
    try:
        try:
            # Made if it is missing: else one process finds nothing to delete and to
            # lock, while another makes it for a copy.
            in_directory(storage, "x", partial(_open, directory, opened))
        except OSError as error:
            _warn(directory, error)
            yield False
            return
        found = os.fstat(opened[0])
        place = found.st_dev, found.st_ino  # a directory may be reached by two paths
        held: set[tuple[int, int]] = _held.__dict__.setdefault("places", set())
        if place in held:
            yield True
            return
        with _in_turn(f"{place}"):
            locked = False
            try:
                locked = _lock(opened[0], directory)
                if locked:
                    held.add(place)
                yield locked
            finally:
                held.discard(place)
                if locked:
                    # Closing is not enough: a child that was forked meanwhile has it
                    # open, too.
                    locks.unlock(opened[0])
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _open(directory: str, opened: list[int]) -> None:
    opened += map(os.open, (directory,), (os.O_RDONLY | getattr(os, "O_DIRECTORY", 0),))


def _lock(descriptor: int, directory: str) -> bool:
    try:
        return bool(locks.lock(descriptor, locks.LOCK_EX))
    except OSError as error:  # some network file systems
        _warn(directory, error)
        return False


def _warn(directory: str, error: OSError) -> None:
    warner.warn(
        ("unlocked", directory),
        "%s cannot be locked (%s): a file may come back that one process deletes while"
        " another copies it; and if there are no hard links either, a file that is saved"
        " is empty for a moment",
        directory,
        error.strerror or type(error).__name__,
    )
