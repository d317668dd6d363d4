"""Counters: of one instance, and of all processes of a chain."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, TypeVar

from fallback_storage.utils import forks
from fallback_storage.utils.living import Living

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fallback_storage.cache.stores.base import Store

    Owner = TypeVar("Owner")


class Counters:
    """Named integers under one lock. A name that was never added to is absent.

    ``counts``: those that there are, for who cannot spare a call to ``add``.
    """

    def __init__(self, *names: str) -> None:
        self._lock = threading.RLock()
        self.counts = dict.fromkeys(names, 0)

    def add(self, name: str, by: int = 1) -> None:
        """Add ``by`` to the counter ``name``."""
        # (Within this no thread gets its turn. Where there is no GIL, one may be lost.)
        try:
            self.counts[name] += by
        except KeyError:
            with self._lock:
                self.counts[name] = self.counts.get(name, 0) + by

    def snapshot(self) -> dict[str, int]:
        """Return a copy of all counters."""
        with self._lock:
            return dict(self.counts)


# Seconds between two publications.
INTERVAL = 30.0

# What adds up, of all that a store tells of itself.
STORE_COUNTERS = frozenset({"hits", "negative_hits", "store_failures", "bypassed"})


class Tally:
    """Publishes the counters of one chain's instances in this process.

    Counters live in each process. Where the memo is shared, each process adds what it
    has counted since the last time to counters in the memo's store:

    * at most once in ``interval`` seconds, with a look-up that goes to the store anyway:
      one call more, and none that what is known in process would have saved;
    * when it ends (``conf.memo``), unless it is killed.

    At most once: what a fork finds counted is the parent's to publish, and what may have
    arrived is not sent again. A process that is killed takes its last seconds along.

    ``store`` never raises (it is guarded). ``clock`` returns seconds and never goes
    back.
    """

    def __init__(
        self,
        store: Store,
        clock: Callable[[], float] = time.monotonic,
        interval: float = INTERVAL,
    ) -> None:
        self.store = store
        self._clock = clock
        self._interval = interval
        # A process that lives shorter publishes at its end and costs nobody a call.
        self._due = clock() + interval
        self._start_afresh()
        self.watch(store, _counted_by_store)
        forks.register(self)

    def _start_afresh(self) -> None:
        self._lock = threading.RLock()
        self._busy = threading.Lock()
        self._sources: Living[Any] = Living()
        self._owed: Counter[str] = Counter()

    def after_fork(self) -> None:
        # What is counted so far is the parent's.
        self._start_afresh()

    def watch(self, owner: Owner, read: Callable[[Owner], Mapping[str, int]]) -> None:
        """Publish what ``read(owner)`` counts from now on, while the owner lives."""
        with self._lock:
            self._sources.add(owner, _Source(read, read(owner)))

    def tick(self) -> None:
        """Publish, if it is time."""
        if self._clock() >= self._due:
            self.publish()

    def publish(self) -> None:
        """Publish what was counted since the last time."""
        free: list[bool] = []
        try:
            free += map(self._busy.acquire, (False,))
            if not free[0]:
                return  # another thread does
            self._due = self._clock() + self._interval
            owed = self._collect()
            if owed and not self.store.publish(owed):
                with self._lock:
                    self._owed.update(owed)
        finally:
            if free and free[0]:
                self._busy.release()

    def _collect(self) -> Counter[str]:
        with self._lock:
            for owner, source in self._sources.items():
                source.add_to(self._owed, owner)
            owed, self._owed = +self._owed, Counter()  # without zeros
            return owed

    def close(self) -> None:
        """Publish no more: the store is not used any longer."""
        self._start_afresh()


class _Source:
    """Something that counts, and what it had counted when it was last asked."""

    def __init__(
        self, read: Callable[[Any], Mapping[str, int]], seen: Mapping[str, int]
    ) -> None:
        self._read = read
        self._seen = seen

    def add_to(self, owed: Counter[str], owner: object) -> None:
        now = self._read(owner)
        for name, count in now.items():
            owed[name] += max(0, count - self._seen.get(name, 0))
        self._seen = now


def _counted_by_store(store: Store) -> Mapping[str, int]:
    return {
        name: count for name, count in store.stats().items() if name in STORE_COUNTERS
    }
