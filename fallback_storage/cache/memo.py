"""The memo: name -> resolution. Policy over a dumb store.

The protocol, and why no stale answer survives it:

* A reader looks a name up and gets a **lease** with the miss, then asks the backends,
  then fills with the lease.
* A writer changes a backend, then calls ``invalidate``, and only then returns.
* A store refuses a fill whose lease is older than an invalidation of that name.

Say a fill is visible after a writer's call returned. Then its lease is younger than
the writer's invalidation, hence younger than the change of the backend, hence the
reader asked the backends after the change: the entry is right. This argument needs
no order among readers and no clock.

In-process memos belong to one storage instance, so two instances never share by
mistake; ``invalidate`` reaches the memos of all instances, because apps build their
own instances over the same files (``FileField(storage=...)``, sorl by class path).
"""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING

from fallback_storage import forks
from fallback_storage.cache.entry import HIDDEN, NOWHERE, is_valid
from fallback_storage.counters import Counters

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from fallback_storage.cache.stores.base import Lease, Store

DEFAULT_TTL = 300.0
DEFAULT_NEGATIVE_TTL = 5.0


class Memo:
    """A memo that remembers nothing: what ``cache=False`` gives."""

    remembers = False

    def peek(self, name: str) -> int | None:
        """Return what is known in process: a code, or None."""
        return None

    def look_up(self, name: str) -> tuple[int | None, Lease]:
        """Return the code of a name, or None, and a lease to fill it with."""
        return self.look_up_many((name,))[name]

    def look_up_many(
        self, names: Collection[str]
    ) -> Mapping[str, tuple[int | None, Lease]]:
        """Return for every name its code, or None, and a lease to fill it with."""
        return dict.fromkeys(names, (None, None))

    def fill(self, name: str, lease: Lease, code: int) -> bool:
        """Remember a code. Returns false where waiting for it is in vain.

        True for a fill that came too late: who waited for it will find the name
        either filled by somebody else, or free to resolve afresh.
        """
        return False

    def forget(self, names: Collection[str]) -> None:
        """Forget names, in this memo only."""

    def forget_all(self) -> None:
        """Forget every name of this chain."""

    def stats(self) -> dict[str, int]:
        """Return counters."""
        return {}


class ResolutionMemo(Memo):
    """Remembers resolutions in a store.

    ``ttl`` and ``negative_ttl`` are seconds: of what is known, and of "no backend
    holds it". Zero remembers nothing of that kind.
    """

    def __init__(
        self,
        store: Store,
        chain_length: int,
        ttl: float = DEFAULT_TTL,
        negative_ttl: float = DEFAULT_NEGATIVE_TTL,
    ) -> None:
        self.remembers = ttl > 0
        self.store = store
        self._chain_length = chain_length
        self._ttl = ttl
        self._negative_ttl = negative_ttl
        self._counters = Counters(
            "hits", "negative_hits", "misses", "fills", "late_fills"
        )
        # An attribute of the instance: the hit path calls the store's own method.
        self.peek = store.peek  # type: ignore[method-assign]
        _register(self)

    def look_up_many(
        self, names: Collection[str]
    ) -> Mapping[str, tuple[int | None, Lease]]:
        """See ``Memo.look_up_many``; codes of another chain's length are misses."""
        found = self.store.look_up(names)
        return {name: self._checked(*found[name]) for name in names}

    def look_up(self, name: str) -> tuple[int | None, Lease]:
        """See ``Memo.look_up``."""
        return self._checked(*self.store.look_up_one(name))

    def _checked(self, code: int | None, lease: Lease) -> tuple[int | None, Lease]:
        if code is None or not is_valid(code, self._chain_length):
            self._counters.add("misses")
            return None, lease
        self._counters.add("negative_hits" if code == NOWHERE else "hits")
        return code, lease

    def fill(self, name: str, lease: Lease, code: int) -> bool:
        """See ``Memo.fill``."""
        ttl = self._negative_ttl if code in {NOWHERE, HIDDEN} else self._ttl
        if ttl <= 0 or lease is None:
            return False
        kept = self.store.fill(name, lease, code, ttl)
        self._counters.add("fills" if kept else "late_fills")
        return True

    def forget(self, names: Collection[str]) -> None:
        """See ``Memo.forget``."""
        self.store.invalidate(names)

    def forget_all(self) -> None:
        """See ``Memo.forget_all``; in process memory, of every chain."""
        self.store.clear()
        for store in _registry.stores():
            # Other instances of this chain have memos of their own there.
            if store.in_process and store is not self.store:
                store.clear()

    def stats(self) -> dict[str, int]:
        """See ``Memo.stats``: the memo's counters plus the store's."""
        counts = self._counters.snapshot()
        for key, value in self.store.stats().items():
            counts[key] = counts.get(key, 0) + value
        return counts


class _Registry:
    """The memos of this process, for invalidations that must reach all of them."""

    def __init__(self) -> None:
        self._memos: weakref.WeakSet[ResolutionMemo] = weakref.WeakSet()
        self._lock = threading.Lock()
        forks.register(self)

    def after_fork(self) -> None:
        """See ``forks.ForkSensitive``."""
        self._lock = threading.Lock()

    def add(self, memo: ResolutionMemo) -> None:
        with self._lock:
            self._memos.add(memo)

    def stores(self) -> Collection[Store]:
        """Return the stores of all memos, each once."""
        with self._lock:
            memos = list(self._memos)
        return {id(memo.store): memo.store for memo in memos}.values()


_registry = _Registry()


def _register(memo: ResolutionMemo) -> None:
    _registry.add(memo)


def invalidate(names: Collection[str]) -> None:
    """Forget names in every memo of this process, and in the stores they share.

    Call it after the backends were changed and before the caller is told so.
    """
    for store in _registry.stores():
        store.invalidate(names)


def invalidate_all() -> None:
    """Forget everything in every memo of this process, and in their stores."""
    for store in _registry.stores():
        store.clear()
