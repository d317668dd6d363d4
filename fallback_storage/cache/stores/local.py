"""The store in process memory: two bounded tables (``table.py``).

A hit takes no lock. What changes a table, or more than looks at it, does.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING

from fallback_storage.cache.entry import (
    NOWHERE,
    facts_of,
    is_held,
    may_follow,
    noted,
)
from fallback_storage.cache.stores.base import EVERY, Store
from fallback_storage.cache.stores.leases import GROUPS, leases
from fallback_storage.cache.stores.table import FORGOTTEN, Entry, Table
from fallback_storage.utils import forks

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterable, Mapping

# What is filled within a part of its lifetime ends together, and is one entry: so many
# parts, of so many seconds at the most.
GRAINS, GRAIN = 4096, 1 / 256


class LocalStore(Store):
    """The entries of this process and of one memo.

    Names held by no backend live in a table of their own, a tenth of the size: a flood
    of unknown names cannot evict what is known. Who held a file by an entry that is
    over, or that less was said after, is kept for ``grace`` seconds: in its place, or in
    the room that known names leave.

    ``max_entries`` bounds the known names. ``clock`` returns seconds and never goes
    back; tests pass one that they tick by hand.
    """

    has_peek = True
    in_process = True

    def __init__(
        self,
        max_entries: int = 100_000,
        clock: Callable[[], float] = time.monotonic,
        grace: float = 0.0,
    ) -> None:
        self.grace = grace
        self._max_entries = max_entries
        self._clock = clock
        self.after_fork()
        forks.register(self)

    def after_fork(self) -> None:
        """Know nothing, by contract."""
        self.known = Table(self._max_entries, self._clock)
        self.absent = Table(self._max_entries // 10, self._clock)
        self.over: OrderedDict[str, Entry] = OrderedDict()
        # By code: the lifetime for which an entry was made, until when it will do, and it.
        self._made: dict[int, tuple[float, float, Entry]] = {}
        self._hits = self._negative_hits = 0

    def peek(self, name: str) -> int | None:
        # The hot path: nothing here is for beauty. An entry is right when it is read;
        # what happens to it before this returns is as if it happened afterwards.
        table = self.known
        entry = table.get(name)
        if entry is None or entry.deadline <= self._clock():
            table = self.absent
            entry = table.get(name)
            if entry is None or entry.deadline <= self._clock():
                return None
        if entry.fresh:
            self._use(table, name, entry)
        code = entry.code
        # (Within one of these no thread gets its turn. Where there is no GIL, one may be
        # lost.)
        if code:
            self._hits += 1
        else:
            self._negative_hits += 1
        return code

    def _use(self, table: Table, name: str, entry: Entry) -> None:
        """Note a hit, unless that would mean to wait; the next one comes soon."""
        lock = leases.lock
        free: list[bool] = []
        try:
            free += map(lock.acquire, (False,))
            if free[0]:
                table.use(name, entry)
        finally:
            if free and free[0]:
                lock.release()

    def lease(self, name: str) -> object:
        """Return what ``look_up`` does with a miss, for a name of a file."""
        return leases.current[hash(name) % GROUPS]  # (as ``group_of``)

    def leases_of_unknown(self, names: Iterable[str]) -> dict[str, object]:
        """Return the same for each of many names of which nothing is known."""
        now, current = self._clock(), leases.current
        known, absent = self.known.get, self.absent.get
        found: dict[str, object] = {}
        for name in names:
            entry = known(name)
            if entry is None or entry.deadline <= now:
                entry = absent(name)
                if entry is None or entry.deadline <= now:
                    found[name] = current[hash(name) % GROUPS]
        return found

    def knew(self, name: str) -> bool:
        """Whether anything is kept of a name, also if its lifetime is over."""
        return name in self.known.entries or name in self.over

    def look_up_one(self, name: str) -> tuple[int | None, object]:
        return self._leased(name, self._clock())

    def look_up(
        self, names: Collection[str]
    ) -> Mapping[str, tuple[int | None, object]]:
        now = self._clock()
        return {name: self._leased(name, now) for name in names}

    def _leased(self, name: str, now: float) -> tuple[int | None, object]:
        # First the lease: what is forgotten after that voids it.
        lease = leases.of(name)
        for table in (self.known, self.absent):
            entry = table.get(name)
            if entry is None or entry is FORGOTTEN:
                continue
            if entry.deadline > now:
                if entry.fresh:
                    self._use(table, name, entry)
                # What completes an entry rests on it, also when it has gone by then.
                return noted(entry.code, entry.facts), (lease, entry.deadline)
            if not (self.grace and is_held(entry.code)):
                with leases.lock:
                    table.replace(name, entry, FORGOTTEN)
        return None, lease

    def look_up_held(self, names: Collection[str]) -> Mapping[str, int]:
        with leases.lock:
            oldest = self._clock() - self.grace
            found = {}
            for name in names:
                found[name] = self._held(name, oldest)
        return {name: code for name, code in found.items() if code is not None}

    def _held(self, name: str, oldest: float) -> int | None:
        entry = self.known.get(name)
        if entry is None or not is_held(entry.code):
            entry = self.over.get(name)  # what is older
        return entry.code if entry is not None and entry.deadline > oldest else None

    def fill(self, name: str, lease: object, code: int, ttl: float) -> bool:
        with leases.lock:
            return self._fill(name, lease, code, ttl, self._clock())

    def fill_many(self, fills: Mapping[str, tuple[object, int, float]]) -> int:
        with leases.lock:
            now = self._clock()
            return sum(
                self._fill(name, lease, code, ttl, now)
                for name, (lease, code, ttl) in fills.items()
            )

    def _fill(  # noqa: C901 - as in ``peek``
        self, name: str, lease: object, code: int, ttl: float, now: float
    ) -> bool:
        last = None
        if type(lease) is tuple:
            lease, last = lease
        group = -1 if name == EVERY else hash(name) % GROUPS  # (as ``group_of``)
        if lease is not leases.current[group]:
            return False
        entry = self._entry(code, ttl, now, last)
        if entry is None:
            return False
        table, other = self.known, self.absent
        if self.grace:
            self._keep_held(name, code, group, lease)
        if code == NOWHERE:
            table, other = other, table
        if name in other.entries:
            other.forget((name,))
        kept = table.put(name, entry, leases.current, group, lease)
        if self.over:
            with suppress(KeyError):  # somebody came in between, and there is none left
                while len(self.over) > self.known.room():
                    self.over.popitem(last=False)
        return kept

    def _entry(
        self, code: int, ttl: float, now: float, last: float | None
    ) -> Entry | None:
        """Return an entry that lasts so long, and no longer than ``last``."""
        made = self._made.get(code)
        if made is not None and last is None and type(code) is int:
            kept_for, until, entry = made
            if kept_for == ttl and now < until:
                return entry
        grain = ttl / GRAINS if ttl < GRAINS * GRAIN else GRAIN
        deadline = (now + ttl) // grain * grain if grain else now
        if last is not None:
            deadline = min(deadline, last)
        if deadline <= now:
            return None
        entry = self.known.entry(int(code), deadline, facts_of(code))
        if last is None and type(code) is int:
            self._made[code] = ttl, deadline + grain - ttl, entry
        return entry

    def _keep_held(self, name: str, code: int, group: int, lease: object) -> None:
        """Keep who holds the file by the entry that goes, if ``code`` does not tell."""
        over, old = self.over, self.known.get(name)
        if old is not None and is_held(old.code):
            over.pop(name, None)
            if may_follow(code, old.code) and lease is leases.current[group]:
                over[name] = old  # nothing is called between the look and this
        elif name in over and not may_follow(code, over[name].code):
            over.pop(name, None)

    def invalidate(self, names: Collection[str]) -> None:
        invalidate_all((self,), names)

    def clear(self) -> None:
        with leases.lock:
            self.known.clear()
            self.absent.clear()
            self.over.clear()
            leases.void_all()

    def clear_below(self, place: Hashable, beginning: str) -> None:
        with leases.lock:
            names = [*self.known.entries, *self.absent.entries, *self.over]
            self.invalidate([name for name in names if name.startswith(beginning)])
            leases.void_all()

    def seconds_left(self, name: str) -> float | None:
        now = self._clock()
        for table in (self.known, self.absent):
            entry = table.get(name)
            if entry is not None and entry.deadline > now:
                return entry.deadline - now
        return None

    def stats(self) -> dict[str, int]:
        """``entries`` counts expired ones not yet replaced."""
        with leases.lock:
            return {
                "hits": self._hits,
                "negative_hits": self._negative_hits,
                "entries": len(self.known) + len(self.over),
                "negative_entries": len(self.absent),
            }


def invalidate_all(stores: Collection[LocalStore], names: Collection[str]) -> None:
    """Do what ``invalidate`` of each store does, and all of it at once."""
    with leases.lock:
        for store in stores:
            store.known.forget(names)
            store.absent.forget(names)
            for name in names if store.over else ():
                store.over.pop(name, None)
        leases.void(names)
