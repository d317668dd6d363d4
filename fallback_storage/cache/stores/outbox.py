"""What a shared store has to be told as soon as it can be reached again."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from fallback_storage.utils import forks

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    # Names, or None for all.
    Names = frozenset[str] | None

# An invalidation can be added while earlier ones are being delivered. After so many
# rounds the next caller may go on.
DELIVERY_ROUNDS = 3


class Outbox:
    """Invalidations that were not delivered, each for the place where it was made.

    A place is what ``Store.place`` says: who delivers may be another tenant than who
    wrote. Beyond ``max_names`` names a place is forgotten whole. Thread-safe; but one
    caller at a time delivers.
    """

    def __init__(self, max_names: int = 1000) -> None:
        self._max_names = max_names
        # Grows with every addition: voids leases from before.
        self.epoch = 0
        self.after_fork()
        forks.register(self)

    def after_fork(self) -> None:
        """Begin empty: the parent delivers what the parent noted."""
        self._lock = threading.RLock()
        self._names: dict[Hashable, set[str] | None] = {}
        # What is being delivered. Here, so that no interrupt loses it.
        self._leaving: dict[Hashable, set[str] | None] = {}

    def __len__(self) -> int:
        """How many names are kept; all names of a place count as one."""
        with self._lock:
            kept = (*self._names.values(), *self._leaving.values())
            return sum(1 if names is None else len(names) for names in kept)

    def add(self, place: Hashable, names: Names) -> None:
        """Keep names, or with None all names, of a place."""
        with self._lock:
            self.epoch += 1
            kept = self._names.setdefault(place, set())
            if names is None or kept is None:
                self._names[place] = None
                return
            kept |= names
            if len(self) > self._max_names:
                self._names[place] = None

    def deliver(self, tell: Callable[[Hashable, Names], None]) -> bool:
        """Call ``tell`` for each place; return whether nothing is left."""
        for _ in range(DELIVERY_ROUNDS):
            with self._lock:
                if not self._leaving:
                    self._leaving, self._names = self._names, {}
                left = list(self._leaving.items())
            if not left:
                return True
            for place, names in left:
                tell(place, None if names is None else frozenset(names))
                self._leaving.pop(place, None)
        return not self
