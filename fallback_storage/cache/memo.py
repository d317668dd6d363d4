"""The memo: name -> resolution. Policy over a dumb store.

The protocol, and why no stale answer survives it:

* A reader looks a name up and gets a **lease** with the miss, then asks the backends,
  then fills with the lease.
* A writer changes a backend, then tells of it (``invalidation.announced``), and only then
  returns.
* A store refuses a fill whose lease is older than an invalidation of that name.

Say a fill is visible after a writer's call returned. Then its lease is younger than
the writer's invalidation, hence younger than the change of the backend, hence the
reader asked the backends after the change: the entry is right. This argument needs
no order among readers and no clock.

In-process memos belong to one storage instance, so two instances never share by
mistake; an invalidation reaches the memos of all instances (see ``invalidation``).
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, TypeVar

from fallback_storage.cache import invalidation, snapshots
from fallback_storage.cache.counters import Counters
from fallback_storage.cache.entry import (
    HIDDEN,
    NOWHERE,
    formerly,
    index_of,
    is_valid,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from fallback_storage.cache.counters import Tally
    from fallback_storage.cache.stores.base import Lease, Store
    from fallback_storage.utils.tenants import Vary

    Owner = TypeVar("Owner")

DEFAULT_TTL = 300.0
DEFAULT_NEGATIVE_TTL = 5.0

# Names that a shared store is asked for at once: a trip must not pass for an outage.
AT_ONCE = 500


class Memo:
    """Remembers resolutions in a store.

    ``ttl`` and ``negative_ttl`` are seconds: of what is known, and of "no backend
    holds it". Zero remembers nothing of that kind. ``lasting``: the backends of which
    "held by" is believed longer than that, while they cannot be reached (the store's
    ``grace``). ``facts``: whether sizes and times are remembered as well. ``depth``: see
    ``invalidation``. ``vary``: what tells tenants apart; ``store`` keeps them apart by it.
    """

    def __init__(
        self,
        store: Store,
        chain_length: int,
        ttl: float = DEFAULT_TTL,
        negative_ttl: float = DEFAULT_NEGATIVE_TTL,
        *,
        lasting: Collection[int] = (),
        facts: bool = False,
        clock: Callable[[], float] = time.monotonic,
        tally: Tally | None = None,
        depth: Callable[[], int] = lambda: 0,
        vary: Vary | None = None,
    ) -> None:
        self.store = store
        self.vary = vary
        self.facts = facts
        self.remembers = ttl > 0
        self._chain_length = chain_length
        self._ttl = ttl
        self._negative_ttl = negative_ttl
        self.lasting = lasting
        self.counters = Counters(
            "hits", "negative_hits", "misses", "fills", "late_fills"
        )
        self._clock = clock
        self._token = object()
        self.depth = depth
        # Whether ``peek`` knows more than a look-up that follows it finds in process.
        self.is_shared = not store.in_process
        if not self.is_shared:
            self.peek = store.peek  # type: ignore[method-assign]
        self._tally = tally
        self.watch(self.counters, Counters.snapshot)
        invalidation.add(self)

    def peek(self, name: str) -> int | None:
        """Return the code known in process: by the near tier, or the request's snapshot."""
        store = self.store
        code = store.peek(name) if store.has_peek else None
        if code is None and (kept := snapshots.kept()) is not None:
            for snapshot in kept.get(self._whose(), ()):
                told = snapshot.peek(name)
                if told is not None and told >= 0:
                    # (As ``Counters.add``.)
                    kind = "negative_hits" if told == NOWHERE else "hits"
                    self.counters.counts[kind] += 1
                    return told
        return code

    @property
    def quick_peek(self) -> Callable[[str], int | None]:
        """What tells what is known in process, if that takes no time at all."""
        return self.store.peek if self.store.has_peek else self.peek

    def look_up_many(
        self, names: Collection[str]
    ) -> dict[str, tuple[int | None, Lease]]:
        """Return for every name its code, or None, and a lease to fill it with.

        What was written for a chain of another length is a miss.
        """
        found: dict[str, tuple[int | None, Lease]] = {}
        for part in _parts(names):
            found.update(self.store.look_up(part))
        # As ``look_up``, once for each code and not for each name.
        counts = Counter(code for code, _ in found.values())
        misses, negative_hits = counts.pop(None, 0), counts[NOWHERE]
        bad = [
            code for code in counts if code and not is_valid(code, self._chain_length)
        ]
        if bad:
            misses += sum(map(counts.pop, bad))
            for name, (code, lease) in found.items():
                if code in bad:
                    found[name] = self._refused(name, lease)
        self.counters.add("hits", counts.total() - negative_hits)
        self.counters.add("negative_hits", negative_hits)
        self.counters.add("misses", misses)
        self._tick(missed=misses > 0)
        return found

    def look_up(self, name: str) -> tuple[int | None, Lease]:
        """Return the code of a name, or None, and a lease to fill it with."""
        code, lease = self.store.look_up_one(name)
        if code is None:
            self.counters.add("misses")
        elif is_valid(code, self._chain_length):
            self.counters.add("negative_hits" if code == NOWHERE else "hits")
        else:
            self.counters.add("misses")
            code, lease = self._refused(name, lease)
        self._tick(missed=code is None)
        return code, lease

    def look_up_held(
        self, names: Collection[str], *, batch: bool = False
    ) -> Mapping[str, int]:
        """Return who was known last to hold names, of backends that cannot be reached.

        For callers who have asked them: name -> index, of those for which it is known.
        ``batch``: what the store says of all is kept in this request's snapshot.
        """
        codes: dict[str, int] = {}
        asked = names
        if self.is_shared and not batch:
            kept = {name: self.formerly(name) for name in names}
            codes = {name: code for name, code in kept.items() if code}
            asked = [name for name, code in kept.items() if code is None]
        for part in _parts(asked):
            codes.update(self.store.look_up_held(part))
        if batch and self.is_shared:
            self.keep({name: formerly(codes.get(name, NOWHERE)) for name in names})
        found = {}
        for name, code in codes.items():
            if index_of(code) in self.lasting:
                found[name] = index_of(code)
        return found

    def formerly(self, name: str) -> int | None:
        """Return what a batch of this request was told by ``look_up_held``.

        "Held by", or ``NOWHERE``; None: the store may know more.
        """
        if snapshots.kept() is not None:
            for snapshot in snapshots.current(self._whose()):
                code = snapshot.peek(name)
                if code is not None:
                    return formerly(code) if code < 0 else None
        return None

    def ask_on(self, code: int | None) -> None:
        """Take back that a code was a hit: it does not tell enough, and more is asked."""
        if code is not None:
            self.counters.add("negative_hits" if code == NOWHERE else "hits", -1)

    def _tick(self, *, missed: bool) -> None:
        """Let the tally publish, after a look-up for which the shared store was asked."""
        if self._tally is not None and (missed or not self.store.has_peek):
            self._tally.tick()

    def _refused(self, name: str, lease: Lease) -> tuple[None, Lease]:
        # A damaged entry. In process it would be served without another look at it.
        self.store.invalidate((name,))
        return None, lease

    def fill(self, name: str, lease: Lease, code: int) -> bool:
        """Remember a code. Returns false where waiting for it is in vain.

        True for a fill that came too late: who waited for it will find the name
        either filled by somebody else, or free to resolve afresh.
        """
        ttl = self.lifetime(code)
        if ttl <= 0 or lease is None:
            return False
        kept = self.store.fill(name, lease, code, ttl)
        self.counters.add("fills" if kept else "late_fills")
        return True

    def fill_many(self, fills: Mapping[str, tuple[Lease, int]]) -> int:
        """Remember many codes: name -> lease, code. Returns how many were kept."""
        total = 0
        codes = {code for _, code in fills.values()}
        lifetimes = {code: self.lifetime(code) for code in codes}
        for part in _parts(fills):
            lasting = {}
            for name in part:
                lease, code = fills[name]
                ttl = lifetimes[code]
                if ttl > 0 and lease is not None:
                    lasting[name] = lease, code, ttl
            kept = self.store.fill_many(lasting) if lasting else 0
            self.counters.add("fills", kept)
            self.counters.add("late_fills", len(lasting) - kept)
            total += kept
        return total

    def lifetime(self, code: int) -> float:
        """Return for how many seconds a code is remembered."""
        is_negative = code == NOWHERE or code == HIDDEN  # noqa: PLR1714 - no set is made
        return self._negative_ttl if is_negative else self._ttl

    def begin_snapshot(self) -> None:
        """Keep what is learned of names from now on for the rest of this request.

        Process memory needs no snapshot.
        """
        if self.is_shared:
            snapshots.begin(self._whose(), self._clock)

    def keep(self, codes: Mapping[str, int]) -> None:
        """Keep codes in this request's snapshot, if one was begun."""
        for snapshot in snapshots.current(self._whose())[:1]:
            snapshot.keep(codes)

    def _whose(self) -> object:
        """Return what stands for this memo, and this tenant of it, in a request."""
        return (self._token, self.vary.digest()) if self.vary else self._token

    def forget(self, names: Collection[str]) -> None:
        """Forget names, in this memo only."""
        self.store.invalidate(names)
        snapshots.invalidate(names)

    def forget_all(self) -> None:
        """Forget every name of this chain; in process memory, of every chain."""
        for store in invalidation.stores():
            # Other instances of this chain have memos of their own there.
            if store.in_process or store is self.store:
                store.clear()
        snapshots.clear()

    def seconds_left(self, name: str) -> float | None:
        """Return for how long what is known of a name will be; None: not known."""
        return self.store.seconds_left(name)

    def watch(self, owner: Owner, read: Callable[[Owner], Mapping[str, int]]) -> None:
        """Let ``read(owner)`` be part of what all processes have counted."""
        if self._tally is not None:
            self._tally.watch(owner, read)

    def published(self, names: Collection[str]) -> Mapping[str, int] | None:
        """Return what all processes have counted; see ``Store.published``."""
        return self.store.published(names)

    def stats(self) -> dict[str, int]:
        """Return the memo's counters plus the store's."""
        counts = self.counters.snapshot()
        for key, value in self.store.stats().items():
            counts[key] = counts.get(key, 0) + value
        return counts


def _parts(names: Collection[str]) -> Iterator[list[str]]:
    names = list(names)
    for start in range(0, len(names), AT_ONCE):
        yield names[start : start + AT_ONCE]
