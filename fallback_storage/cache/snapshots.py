"""What one call learned of many names, for the rest of the request that asked.

``FallbackStorage.prefetch`` asks a shared store once for all names of a page. Its
answers are kept here, so that the page does not ask again for each of them. They are
those of the moment of the call: a write of this process voids them, on any thread; one
of another process does not. So they are given to the request that called ``prefetch``
and to nobody else, and end with it, or after ``MAX_SECONDS``.

"The request" is the context (``contextvars``) of the call: the thread, or under ASGI the
task. Django's ``request_started`` and ``request_finished`` end it.
"""

from __future__ import annotations

import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from django.core.signals import request_finished, request_started

from fallback_storage.utils import forks
from fallback_storage.utils.living import Living

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

# Seconds that answers are used where no request ends: in a command, or a task queue.
MAX_SECONDS = 5.0
# Calls of one request whose answers are kept: a page has a few parts.
MAX_CALLS = 8


class Snapshot:
    """The codes of some names, of one memo. ``clock`` returns seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._expiry = clock() + MAX_SECONDS
        self._lock = threading.RLock()
        self._codes: dict[str, int] = {}
        # What was written since the snapshot was begun. None: everything.
        self._void: set[str] | None = set()

    def peek(self, name: str) -> int | None:
        """Return the code of a name, or None."""
        code = self._codes.get(name)
        return code if code is None or self._clock() < self._expiry else None

    def is_over(self) -> bool:
        """Whether nothing can be known of it any more."""
        return self._void is None or self._clock() >= self._expiry

    def keep(self, codes: Mapping[str, int]) -> None:
        """Keep codes that were read after the snapshot was begun."""
        with self._lock:
            void = self._void
            if void is not None and void.isdisjoint(codes):
                self._codes.update(codes)
            elif void is not None:
                self._codes.update(
                    (name, code) for name, code in codes.items() if name not in void
                )

    def invalidate(self, names: Collection[str]) -> None:
        """Forget names, also those that are not kept yet."""
        with self._lock:
            if self._void is None or self._clock() >= self._expiry:
                # Where no request ends it, it must not grow with every write.
                self._void = None
                self._codes.clear()
                return
            self._void.update(names)
            for name in names:
                self._codes.pop(name, None)

    def clear(self) -> None:
        """Forget everything, and keep nothing any more."""
        with self._lock:
            self._void = None
            self._codes.clear()


# By the memo's token, since a page may show files of several storages; newest first.
_current: ContextVar[Mapping[object, tuple[Snapshot, ...]] | None] = ContextVar(
    "fallback_storage_snapshots", default=None
)


# What it holds: None if this request keeps none, as most.
kept = _current.get


def current(token: object) -> tuple[Snapshot, ...]:
    """Return this request's snapshots of the memo that ``token`` stands for.

    Newest first.
    """
    snapshots = _current.get()
    return snapshots.get(token, ()) if snapshots else ()


def begin(token: object, clock: Callable[[], float]) -> Snapshot:
    """Begin a snapshot for this request. Read only afterwards what it is to keep.

    (Each has to know what was written since it was begun, so none goes on with an
    earlier one.)
    """
    snapshot = Snapshot(clock)
    _live.snapshots.add(snapshot)
    kept = {
        other: tuple(each for each in snapshots if not each.is_over())
        for other, snapshots in (_current.get() or {}).items()
    }
    kept = {other: snapshots for other, snapshots in kept.items() if snapshots}
    kept[token] = (snapshot, *kept.get(token, ())[: MAX_CALLS - 1])
    _current.set(kept)
    return snapshot


def end(**kwargs: Any) -> None:
    """End this request's snapshots."""
    _current.set(None)


class _Live:
    """The snapshots of this process, for the invalidations that must reach them."""

    def __init__(self) -> None:
        self.after_fork()
        forks.register(self)

    def after_fork(self) -> None:
        """Forget them: their locks may be the parent's."""
        self.snapshots: Living[Snapshot] = Living()
        _current.set(None)


_live = _Live()


def invalidate(names: Collection[str]) -> None:
    """Forget names in every snapshot. Call it after the shared stores were told."""
    for snapshot in _live.snapshots.all():
        snapshot.invalidate(names)


def clear() -> None:
    """Forget everything in every snapshot."""
    for snapshot in _live.snapshots.all():
        snapshot.clear()


request_started.connect(end, dispatch_uid="fallback_storage.snapshots")
request_finished.connect(end, dispatch_uid="fallback_storage.snapshots")
