"""Objects that others keep alive, and a list of them at any moment, on any thread."""

from __future__ import annotations

import weakref
from functools import partial
from typing import Any, Generic, TypeVar

Member = TypeVar("Member")


class Living(Generic[Member]):
    """Keeps no member alive, and may have a note of each. Needs no lock.

    (A ``WeakSet`` cannot be listed while members come and go on other threads, or are
    collected in the middle: its size changes. Here every step is one of a ``dict`` that
    nothing comes in between, and members are told apart by identity.)
    """

    def __init__(self) -> None:
        self._entries: dict[int, tuple[weakref.ref[Member], Any]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, member: Member, note: Any = None) -> None:
        """List a member from now on, while it lives."""
        entries, key = self._entries, id(member)
        # It is called before another object can have this identity; and in C, where no
        # interrupt comes in, which would be lost.
        gone = weakref.ref(member, partial(entries.pop, key))
        entries[key] = gone, note

    def discard(self, member: Member) -> None:
        """List a member no longer."""
        self._entries.pop(id(member), None)

    def items(self) -> list[tuple[Member, Any]]:
        """Return the members and their notes, as they were added."""
        if not self._entries:
            return []
        entries = list(self._entries.values())
        alive = ((reference(), note) for reference, note in entries)
        return [(member, note) for member, note in alive if member is not None]

    def all(self) -> list[Member]:
        """Return the members, as they were added."""
        return [member for member, _ in self.items()]
