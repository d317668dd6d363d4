"""How often a backend was called, how often that failed, how long it took."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from fallback_storage.signals import called, send

if TYPE_CHECKING:
    import weakref


class Calls:
    """The counters of a backend. ``owner``: the chain that it is part of."""

    def __init__(self, name: str, owner: weakref.ref[Any] | None) -> None:
        self.name = name
        self.owner = owner
        self.calls = 0
        self.failures = 0
        self.given_up = 0
        self.seconds = 0.0
        self._lock = threading.RLock()

    def count(self, seconds: float, *, failed: bool = False) -> None:
        """Add one call to the counters that ``stats()`` shows."""
        # (Within one of these no thread gets its turn. Where there is no GIL, a call may be
        # lost.)
        self.calls += 1
        self.seconds += seconds
        if failed:
            self.failures += 1
        if called.receivers:
            data = {"backend": self.name, "seconds": seconds, "failed": failed}
            send(called, self.owner, **data)

    def count_many(self, calls: int, seconds: float) -> None:
        """Add calls that took so long in all, and of which none failed."""
        with self._lock:
            self.calls += calls
            self.seconds += seconds
        if called.receivers:
            data = {"backend": self.name, "seconds": seconds / calls, "failed": False}
            for _ in range(calls):
                send(called, self.owner, **data)

    def count_given_up(self) -> None:
        """Add one call that is not waited for any more."""
        with self._lock:
            self.given_up += 1

    def counts(self) -> dict[str, Any]:
        """Return how often the storage was called, how often it failed, how long.

        And how many calls were given up.
        """
        with self._lock:
            return {
                "calls": self.calls,
                "failures": self.failures,
                "seconds": self.seconds,
                "given_up": self.given_up,
            }
