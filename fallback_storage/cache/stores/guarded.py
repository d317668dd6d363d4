"""A store around one that can fail: the memo breaks no request and stalls none.

**Failing open.** Whatever exception the store raises: a look-up is a miss without a
lease, a fill is not kept. Counted, and logged once a minute by the type's name. What it
may cost before it is left alone: see ``guard``.

**No invalidation is lost.** One that could not be delivered, or was made while the
store was left alone, is kept and delivered by the next call that may use the store,
before anything else, to where it was made (``outbox``). Until then the store is not
trusted: its entries may be older than our own writes.
"""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING, Final

from fallback_storage.cache.stores.budget import something_is_owed
from fallback_storage.cache.stores.guard import Guard

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Mapping

    from fallback_storage.cache.stores.base import Lease
    from fallback_storage.cache.stores.outbox import Names

# What is known of a name that the store is not asked for.
NOTHING: Final = None, None


class GuardedStore(Guard):
    """Another store, which may fail. Its arguments: see ``Guard``."""

    # What a store does

    def peek(self, name: str) -> int | None:
        """No lock, and nothing from a store that is not trusted."""
        return self._peek(name) if self._healthy else None

    def look_up(self, names: Collection[str]) -> Mapping[str, tuple[int | None, Lease]]:
        epoch = self._outbox.epoch

        def look_up() -> dict[str, tuple[int | None, Lease]]:
            found, leased = self._store.look_up(names), {}
            for name in names:
                code, lease = found[name]
                leased[name] = code, None if lease is None else (epoch, lease)
            return leased

        return self._call(look_up) or dict.fromkeys(names, (None, None))

    def look_up_one(self, name: str) -> tuple[int | None, Lease]:
        # As ``_call`` does it, where that has nothing to see to: most calls are this one.
        if not self._healthy and self.rests:
            self.bypass()
            return NOTHING
        ticket, epoch = self._breaker.ticket, self._outbox.epoch
        if not self._healthy or something_is_owed():
            found = self._call(partial(self._store.look_up_one, name)) or NOTHING
        else:
            begin = self._clock()
            try:
                found = self._store.look_up_one(name)
            except Exception as exc:  # noqa: BLE001 - a memo is not worth any exception
                self._note_failure(exc, ticket, begin)
                return NOTHING
            seconds = self._clock() - begin
            if seconds >= self._slow or not self._healthy:
                self._note_success(ticket, seconds, self._questions)
        code, lease = found
        return code, None if lease is None else (epoch, lease)

    def look_up_held(self, names: Collection[str]) -> Mapping[str, int]:
        return self._call(lambda: self._store.look_up_held(names)) or {}

    def fill(self, name: str, lease: Lease, code: int, ttl: float) -> bool:
        if lease is None:
            return False

        def fill() -> bool:
            # Compared late: what was undelivered has been delivered by now.
            epoch, inner = lease
            if epoch != self._outbox.epoch:
                return False
            return self._store.fill(name, inner, code, ttl)

        return self._call(fill) or False

    def fill_many(self, fills: Mapping[str, tuple[Lease, int, float]]) -> int:

        def fill_many() -> int:
            return self._store.fill_many(
                {
                    name: (lease[1], code, ttl)
                    for name, (lease, code, ttl) in fills.items()
                    if lease is not None and lease[0] == self._outbox.epoch
                }
            )

        return self._call(fill_many) or 0

    def place(self) -> Hashable:
        """Never fails; None where the store does not tell."""
        with contextlib.suppress(Exception):  # as any call of a store may end
            return self._store.place()
        return None

    def invalidate_at(self, place: Hashable, names: Collection[str] | None) -> None:
        """Never fails; see the module."""
        place = self.place() if place is None else place
        self._tell(place, None if names is None else frozenset(names))

    def seconds_left(self, name: str) -> float | None:
        """Never fails."""
        return self._call(lambda: self._store.seconds_left(name))

    def ping(self) -> None:
        self._store.ping()

    def publish(self, deltas: Mapping[str, int]) -> bool:
        """Never fails; false if the store was left alone."""
        reached = []

        def publish() -> None:
            reached.append(True)
            self._store.publish(deltas)

        self._call(publish)
        return bool(reached)

    def published(self, names: Collection[str]) -> Mapping[str, int] | None:
        """Never fails."""
        return self._call(lambda: self._store.published(names))

    def close(self) -> None:
        """Try once more to deliver what was not."""
        if self._outbox:
            self._breaker.try_now()
            self._call(bool, due=True)
        with contextlib.suppress(Exception):
            self._store.close()

    def stats(self) -> dict[str, int]:
        """Return the store's own counters and the guard's.

        ``store_failures``: calls that raised; ``bypassed``: calls that the store was
        spared; ``undelivered``: names whose invalidation it has not yet taken (1 for
        all names of a tenant); ``breaker_open``: 1 while it is left alone.
        """
        with self._lock:
            counts = {
                "store_failures": self._failed,
                "bypassed": self._bypassed,
                "undelivered": len(self._outbox),
                "breaker_open": int(self._breaker.is_open),
            }
        return {**self._store.stats(), **counts}

    # Invalidations

    def _tell(self, place: Hashable, names: Names) -> None:
        """Invalidate names, or with None all, now or later."""

        def tell() -> bool:
            self._store.invalidate_at(place, names)
            return True

        if self._healthy:
            told = None
            try:
                told = self._call(tell, due=True)
            finally:
                # Also when a signal ended the call: whether it arrived is not known.
                if not told:
                    self._note(place, names)
        else:
            self._note(place, names)
            self._call(bool, due=True)
