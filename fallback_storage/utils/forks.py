"""What a forked child must not inherit: locks held by threads that it does not have.

gunicorn's ``--preload`` builds storages and then forks. Whatever registers here is
told in the child, before it runs anything else.

The package's locks are reentrant: the garbage collector may come while one is held, and
close a file that was opened for writing, which invalidates.
"""

from __future__ import annotations

import os
import threading
from typing import Protocol

from fallback_storage.utils.living import Living


class ForkSensitive(Protocol):
    """An object that can start afresh in a forked child."""

    def after_fork(self) -> None:
        """Replace locks and drop what belongs to the parent process."""


_objects: Living[ForkSensitive] = Living()
_build_lock = threading.RLock()


def register(instance: ForkSensitive) -> None:
    """Call ``instance.after_fork()`` in every forked child, while it lives."""
    _objects.add(instance)


def build_lock() -> threading.RLock:
    """Return the lock under which storages and chains are built.

    One for all: storages contain storages, and locks of their own could be taken in
    two orders.
    """
    return _build_lock


def _in_child() -> None:
    global _build_lock  # noqa: PLW0603 - replaced, never reused
    _build_lock = threading.RLock()
    for instance in _objects.all():
        instance.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
