"""What a shared store has to be told as soon as it can be reached again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

    # Names, or None for all.
    Names = frozenset[str] | None


class Outbox:
    """Invalidations that were not delivered, each for the place where it was made.

    A place is what ``Store.place`` says: who delivers may be another tenant than who
    wrote. Beyond ``max_names`` names a place is forgotten whole.

    Not thread-safe: whoever has it has a lock.
    """

    def __init__(self, max_names: int = 1000) -> None:
        self._max_names = max_names
        self._names: dict[Hashable, set[str] | None] = {}

    def __len__(self) -> int:
        """How many names are kept; all names of a place count as one."""
        return sum(1 if each is None else len(each) for each in self._names.values())

    def add(self, place: Hashable, names: Names) -> None:
        """Keep names, or with None all names, of a place."""
        kept = self._names.setdefault(place, set())
        if names is None or kept is None:
            self._names[place] = None
            return
        kept |= names
        if len(self) > self._max_names:
            self._names[place] = None

    def take(self) -> list[tuple[Hashable, Names]]:
        """Return what is kept, and keep it no longer."""
        taken, self._names = self._names, {}
        return [
            (place, None if names is None else frozenset(names))
            for place, names in taken.items()
        ]
