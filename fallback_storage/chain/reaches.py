"""Who shares the way to a server: all chains of the process that have the same backend."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from django.core.files.storage import FileSystemStorage

from fallback_storage.chain.reach import Reach
from fallback_storage.utils import forks

if TYPE_CHECKING:
    from collections.abc import Hashable

    from fallback_storage.chain.backend import Backend

# Seconds for which a backend is left alone at first.
RETRY_AFTER: Final = 10.0

_reaches: WeakValueDictionary[Hashable, Reach] = WeakValueDictionary()


def reach_of(backend: Backend) -> Reach:
    """Return the way to the backend's server, that of all who have the same one."""
    deadline, retry_after = backend.deadline, backend.policy.retry_after
    if retry_after is None:
        retry_after = 0.0 if backend.is_chain else RETRY_AFTER
    clock = getattr(backend.owner and backend.owner(), "clock", time.monotonic)
    place = _place_of(backend)
    if place is None:
        return Reach(deadline, retry_after, clock)
    key = place, deadline, retry_after, clock
    with forks.build_lock():
        reach = _reaches.get(key)
        if reach is None:
            reach = _reaches[key] = Reach(deadline, retry_after, clock)
        return reach


def _place_of(backend: Backend) -> str | None:
    """Return where the backend's files are; None: it is a world of its own."""
    if isinstance(backend.storage, FileSystemStorage):
        return None  # there is no server
    from fallback_storage.chain.fingerprint import identity

    with suppress(Exception):  # of a class that nobody here knows
        return identity(backend)
    return None


def forget_all() -> None:
    """Have chains that are built from now on begin anew."""
    with forks.build_lock():
        _reaches.clear()
