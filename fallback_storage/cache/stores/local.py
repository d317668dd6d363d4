"""The store in process memory: bounded tables, least recently used out first.

A hit takes no lock. What changes a table, or more than looks at it, does.
"""

from __future__ import annotations

import threading
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
from fallback_storage.utils import forks

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Mapping

# Leases are counters of name groups ("stripes"): no book-keeping per reader, and a
# write that voids the lease of another name costs that reader one walk, no more. Only
# ``EVERY`` has one of its own: a lease on it must not end when a name is forgotten
# of which nothing was written, or a warm-up would read every page twice.
STRIPES = 256

# An entry is one integer, milliseconds of expiry above the code: half the memory of a
# tuple. 16 bits hold any code of a chain of up to ``entry.MAX_CHAIN`` backends. Facts go
# with the integer, so what becomes of it becomes of them.
CODE_BITS = 16
CODE_MASK = (1 << CODE_BITS) - 1


class LocalStore(Store):
    """An LRU of this process and of one memo.

    Names held by no backend live in an LRU of their own, a tenth of the size: a flood
    of unknown names cannot evict what is known. So does what is over, and kept for
    ``grace`` seconds: in the room that known names leave.

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
        self._bounds = {False: max_entries, True: max(1, max_entries // 10)}
        self._clock = clock
        self._stripes = [0] * (STRIPES + 1)
        self._start_afresh()
        forks.register(self)

    def _start_afresh(self) -> None:
        self._lock = threading.RLock()
        self._known: OrderedDict[str, int] = OrderedDict()
        self._absent: OrderedDict[str, int] = OrderedDict()
        self._over: OrderedDict[str, int] = OrderedDict()
        # Counted on, not from 0: a lease of the parent must not fit in the child.
        self._stripes = [count + 1 for count in self._stripes]
        self._hits = self._negative_hits = 0

    # A forked child inherits neither the lock's state nor, by contract, the entries.
    after_fork = _start_afresh

    def peek(self, name: str) -> int | None:
        # The hot path: nothing here is for beauty. An entry is right when it is read;
        # what happens to it before this returns is as if it happened afterwards.
        entries = self._known
        packed = entries.get(name)
        if packed is None:
            entries = self._absent
            packed = entries.get(name)
            if packed is None:
                return None
        if packed >> CODE_BITS <= self._clock() * 1000:
            return None
        try:  # noqa: SIM105 - it would take as long as all the rest
            entries.move_to_end(name)
        except KeyError:  # forgotten meanwhile
            pass
        code = packed & CODE_MASK
        # (No thread gets its turn within one of these.)
        if code == NOWHERE:
            self._negative_hits += 1
        else:
            self._hits += 1
        return code

    def look_up_one(self, name: str) -> tuple[int | None, object]:
        with self._lock:
            return self._leased(name, self._clock() * 1000)

    def look_up(
        self, names: Collection[str]
    ) -> Mapping[str, tuple[int | None, object]]:
        with self._lock:
            now = self._clock() * 1000
            return {name: self._leased(name, now) for name in names}

    def _leased(self, name: str, now: float) -> tuple[int | None, object]:
        lease = self._stripes[_stripe(name)]
        for entries in (self._known, self._absent):
            packed = entries.get(name)
            if packed is None:
                continue
            if packed >> CODE_BITS > now:
                _use(entries, name)
                # What completes an entry rests on it, also when it has gone by then.
                code = noted(packed & CODE_MASK, facts_of(packed))
                return code, (lease, packed >> CODE_BITS)
            entries.pop(name, None)
            if self.grace and is_held(packed):
                self._over[name] = int(packed)
                if lease != self._stripes[_stripe(name)]:  # as in ``_fill``
                    self._over.pop(name, None)
        return None, lease

    def look_up_held(self, names: Collection[str]) -> Mapping[str, int]:
        with self._lock:
            oldest = (self._clock() - self.grace) * 1000
            found = {}
            for name in names:
                packed = self._known.get(name, 0)
                if not is_held(packed):
                    packed = self._over.get(name, 0)  # what is older
                if is_held(packed) and packed >> CODE_BITS > oldest:
                    found[name] = packed & CODE_MASK
            return found

    def fill(self, name: str, lease: object, code: int, ttl: float) -> bool:
        with self._lock:
            return self._fill(name, lease, code, ttl, self._clock())

    def fill_many(self, fills: Mapping[str, tuple[object, int, float]]) -> int:
        with self._lock:
            now = self._clock()
            return sum(
                self._fill(name, lease, code, ttl, now)
                for name, (lease, code, ttl) in fills.items()
            )

    def _fill(
        self, name: str, lease: object, code: int, ttl: float, now: float
    ) -> bool:
        stripe = _stripe(name)
        lease, last = lease if isinstance(lease, tuple) else (lease, None)
        if lease != self._stripes[stripe]:
            return False
        expiry = int((now + ttl) * 1000)
        if last is not None:
            expiry = min(expiry, last)
        if expiry <= now * 1000:
            return False
        self._known.pop(name, None)
        self._absent.pop(name, None)
        if not may_follow(code, self._over.get(name, 0) & CODE_MASK):
            self._over.pop(name, None)
        is_negative = code == NOWHERE
        entries = self._absent if is_negative else self._known
        entries[name] = noted(expiry << CODE_BITS | code, facts_of(code))
        _fit(entries, self._bounds[is_negative])
        if self._over:
            _fit(self._over, self._bounds[False] - len(self._known))
        if lease != self._stripes[stripe]:
            # The garbage collector came, and closed a file: the lock is reentrant.
            entries.pop(name, None)
            return False
        return True

    def invalidate(self, names: Collection[str]) -> None:
        with self._lock:
            for name in names:
                self._stripes[_stripe(name)] += 1
                self._over.pop(name, None)
                self._known.pop(name, None)
                self._absent.pop(name, None)

    def clear(self) -> None:
        with self._lock:
            self._stripes = [count + 1 for count in self._stripes]
            self._over.clear()
            self._known.clear()
            self._absent.clear()

    def clear_below(self, place: Hashable, beginning: str) -> None:
        # (A hit takes no lock, and moves what is listed here.)
        with self._lock:
            self._stripes = [count + 1 for count in self._stripes]
            for entries in (self._over, self._known, self._absent):
                for name in [n for n in list(entries) if n.startswith(beginning)]:
                    entries.pop(name, None)

    def seconds_left(self, name: str) -> float | None:
        with self._lock:
            now = self._clock() * 1000
            for entries in (self._known, self._absent):
                left = (entries.get(name, 0) >> CODE_BITS) - now
                if left > 0:
                    return left / 1000
            return None

    def stats(self) -> dict[str, int]:
        """``entries`` counts expired ones not yet replaced."""
        with self._lock:
            return {
                "hits": self._hits,
                "negative_hits": self._negative_hits,
                "entries": len(self._known) + len(self._over),
                "negative_entries": len(self._absent),
            }


def _use(entries: OrderedDict[str, int], name: str) -> None:
    # (Unless the garbage collector came; see ``LocalStore._fill``.)
    with suppress(KeyError):
        entries.move_to_end(name)


def _fit(entries: OrderedDict[str, int], bound: int) -> None:
    with suppress(KeyError):  # as above, and there is none left
        while len(entries) > bound:
            entries.popitem(last=False)


def _stripe(name: str) -> int:
    return STRIPES if name == EVERY else hash(name) % STRIPES
