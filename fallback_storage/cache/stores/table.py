"""A bounded table of names, read without a lock, which no scan spoils.

What goes when there is no room is chosen by SIEVE: a *hand* passes over the names, from
the oldest to the newest and round again, and takes out the first whose entry is *fresh*,
that is, which nobody has used since the hand was there. Names that a scan asks for once
go before those that are asked for again; and who uses a name changes nothing else, and
that once for each time that the hand comes round.

All but ``get`` is called under the owner's lock. That is reentrant: a file that the
garbage collector closes may forget names wherever something was called, and an interrupt
may end a method there. CONTRIBUTING ("The table") tells the rules that follow.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

from fallback_storage.cache.entry import NOWHERE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

# Entries that are kept to be shared. (Those that are not any more are still right.)
SHARED = 64


class Entry:
    """What is known, until ``deadline``. Never changed: who has got it has all of it."""

    __slots__ = ("code", "deadline", "fresh")

    facts = ""

    def __init__(self, code: int, deadline: float, fresh: bool) -> None:
        self.code = code
        self.deadline = deadline
        self.fresh = fresh


class NotedEntry(Entry):
    """One with facts of a file, which no other name shares."""

    __slots__ = ("facts",)

    def __init__(self, entry: Entry, facts: str) -> None:
        super().__init__(entry.code, entry.deadline, entry.fresh)
        self.facts = facts


# What is over before it begins, and goes when the hand comes.
FORGOTTEN = Entry(NOWHERE, -math.inf, fresh=True)


class Table:
    """Keeps at most ``bound`` names; ``clock`` returns seconds.

    ``get(name)`` returns an entry, also one that is over, or None.
    """

    __slots__ = ("_ahead", "_bound", "_clock", "_queues", "_shared", "entries", "get")

    def __init__(self, bound: int, clock: Callable[[], float]) -> None:
        self.entries: dict[str, Entry] = {}
        self.get = self.entries.get
        self._bound = max(1, bound)
        self._clock = clock
        # The names before and behind the hand, and which are which.
        self._queues: tuple[deque[str], deque[str]] = deque(), deque()
        self._ahead = 0
        self._shared: dict[tuple[int, float, bool], Entry] = {}

    def __len__(self) -> int:
        """How many names something is known of, also if that is over."""
        return len(self.entries) - list(self.entries.values()).count(FORGOTTEN)

    def room(self) -> int:
        """How many more names there is room for."""
        return self._bound - len(self.entries)

    def entry(
        self, code: int, deadline: float, facts: str = "", *, fresh: bool = True
    ) -> Entry:
        """Return an entry, the same one to many: what is equal costs nothing."""
        key = code, deadline, fresh
        found = self._shared.get(key)
        if found is None:
            if len(self._shared) >= SHARED:
                self._shared.clear()
            found = self._shared[key] = Entry(code, deadline, fresh)
        return NotedEntry(found, facts) if facts else found

    def put(
        self,
        name: str,
        entry: Entry,
        leases: Sequence[object],
        group: int,
        lease: object,
    ) -> bool:
        """Let a name have a fresh entry, if ``leases[group]`` is the lease then, too.

        Whether somebody has used the name stays as it is.
        """
        entries = self.entries
        old = entries.get(name)
        if old is None:
            while len(entries) >= self._bound:
                self._move_on()
            queue = self._queues[self._ahead]
            queue.append(name)
            if lease is not leases[group] or not queue or queue[-1] is not name:
                return False
        else:
            if not old.fresh:
                entry = self._turned(entry)
            if lease is not leases[group] or name not in entries:
                return False
        entries[name] = entry  # nothing is called between the look and this
        return True

    def use(self, name: str, entry: Entry) -> None:
        """Note that somebody used a fresh entry, if that is still there."""
        self.replace(name, entry, self._turned(entry))

    def replace(self, name: str, old: Entry, new: Entry) -> bool:
        """Put one entry in another one's place, if that is still there."""
        entries = self.entries
        if name in entries and entries[name] is old:
            entries[name] = new  # as above
            return True
        return False

    def forget(self, names: Collection[str]) -> None:
        """Know nothing of some names any more."""
        entries = self.entries
        if entries.keys().isdisjoint(names):
            return
        for name in names:
            if name in entries:
                entries[name] = FORGOTTEN  # as above: it is still in a queue

    def clear(self) -> None:
        """Know nothing of any name."""
        queues: tuple[deque[str], deque[str]] = deque(), deque()
        self._queues = queues
        self.entries.clear()  # as above: no name is left that is in no queue

    def _turned(self, entry: Entry) -> Entry:
        return self.entry(
            entry.code, entry.deadline, entry.facts, fresh=not entry.fresh
        )

    def _move_on(self) -> None:
        """Let the hand pass one name."""
        entries, ahead = self.entries, self._queues[self._ahead]
        if not ahead:
            self._ahead = 1 - self._ahead
            return
        passed = self._queues[1 - self._ahead]
        name = ahead[0]
        entry = entries.get(name)
        if entry is None or entry.fresh or entry.deadline <= self._clock():
            entries.pop(name, None)
            if name in entries:  # it came back
                return
        else:
            passed.append(name)
            self.replace(name, entry, self._turned(entry))
        # A name leaves a queue last: nobody would ever come to its entry.
        if ahead and ahead[0] is name:
            ahead.popleft()
