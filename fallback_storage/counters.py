"""Counters that several threads add to."""

from __future__ import annotations

import threading


class Counters:
    """Named integers under one lock. A name that was never added to is absent."""

    def __init__(self, *names: str) -> None:
        self._lock = threading.RLock()
        self._counts = dict.fromkeys(names, 0)

    def add(self, name: str, by: int = 1) -> None:
        """Add ``by`` to the counter ``name``."""
        with self._lock:
            self._counts[name] = self._counts.get(name, 0) + by

    def snapshot(self) -> dict[str, int]:
        """Return a copy of all counters."""
        with self._lock:
            return dict(self._counts)
