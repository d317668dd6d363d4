"""A breaker around a store that can fail: the memo breaks no request and stalls none.

**Failing open.** Whatever exception the store raises: a look-up is a miss without a
lease, a fill is not kept. Counted, and logged once a minute by the type's name.

**What a bad store may cost.** It is left alone for ``cool_down`` seconds

* after ``failures`` failures in a row,
* at once after one failure that took ``slow`` seconds or more: a time-out,
* when calls of ``slow`` seconds or more, failed or not, add up to more than ``budget``
  seconds faster than that drains away (in ``cool_down`` seconds),

and then gets one call to prove itself; the other threads do without it meanwhile. If
that call fails or is slow, the next cool-down begins. So a store that is down costs a
process one time-out per cool-down (threads that were already waiting when the first
came wait for their own), and one that answers slowly costs ``budget`` seconds and a
call at first, then one slow call per cool-down. (No call can be cut short from here:
the store's client needs time-outs of its own.)

**No invalidation is lost.** One that could not be delivered, or was made while the
store was left alone, is kept and delivered by the next call that may use the store,
before anything else, to where it was made (``outbox``). Until then the store is not
trusted: its entries may be older than our own writes.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, TypeVar

from django.core.exceptions import SynchronousOnlyOperation
from django.db.transaction import TransactionManagementError

from fallback_storage.cache.stores.base import Store
from fallback_storage.cache.stores.outbox import Outbox
from fallback_storage.utils import forks
from fallback_storage.utils.logs import Warner

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Mapping

    from fallback_storage.cache.stores.base import Lease
    from fallback_storage.cache.stores.outbox import Names

    Result = TypeVar("Result")

# A database cache refuses callers that are in no state to use a database.
NOT_ITS_FAULT = (SynchronousOnlyOperation, TransactionManagementError)

# An invalidation can be added while earlier ones are being delivered. After so many
# rounds the next caller may go on.
DELIVERY_ROUNDS = 3


class GuardedStore(Store):
    """Another store, which may fail.

    ``clock`` returns seconds and never goes back. The other arguments: see the module.
    """

    def __init__(  # noqa: PLR0917
        self,
        store: Store,
        clock: Callable[[], float] = time.monotonic,
        failures: int = 3,
        cool_down: float = 10.0,
        slow: float = 0.05,
        budget: float = 1.0,
        max_undelivered: int = 1000,
    ) -> None:
        self.has_peek = store.has_peek
        self._store = store
        self._peek = store.peek
        self._clock = clock
        self._max_failures = failures
        self._cool_down = cool_down
        self._slow = slow
        self._budget = budget
        self._max_undelivered = max_undelivered
        # Grows with every invalidation that is not delivered: voids leases from before.
        self._epoch = 0
        self._warner = Warner(clock)
        self._start_afresh()
        forks.register(self)

    def _start_afresh(self) -> None:
        self._lock = threading.RLock()
        # Read without the lock; what makes it false is done before its caller goes on.
        self._healthy = True
        self._failed_in_row = 0
        self._open_until: float | None = None
        self._trial = False
        self._debt, self._debt_at = 0.0, self._clock()
        self._outbox = Outbox(self._max_undelivered)
        self._failed = self._bypassed = 0

    def after_fork(self) -> None:
        # The parent delivers what the parent noted.
        self._start_afresh()

    # What a store does

    def peek(self, name: str) -> int | None:
        """No lock, and nothing from a store that is not trusted."""
        return self._peek(name) if self._healthy else None

    def look_up(self, names: Collection[str]) -> Mapping[str, tuple[int | None, Lease]]:
        epoch = self._epoch

        def look_up() -> dict[str, tuple[int | None, Lease]]:
            found = self._store.look_up(names)
            return {name: _leased(found[name], epoch) for name in names}

        found = self._call(look_up)
        return dict.fromkeys(names, (None, None)) if found is None else found

    def look_up_one(self, name: str) -> tuple[int | None, Lease]:
        epoch = self._epoch
        found = self._call(lambda: _leased(self._store.look_up_one(name), epoch))
        return (None, None) if found is None else found

    def fill(self, name: str, lease: Lease, code: int, ttl: float) -> bool:
        if lease is None:
            return False

        def fill() -> bool:
            # Compared late: what was undelivered has been delivered by now.
            epoch, inner = lease
            return epoch == self._epoch and self._store.fill(name, inner, code, ttl)

        return self._call(fill) or False

    def fill_many(self, fills: Mapping[str, tuple[Lease, int, float]]) -> int:

        def fill_many() -> int:
            return self._store.fill_many(
                {
                    name: (lease[1], code, ttl)
                    for name, (lease, code, ttl) in fills.items()
                    if lease is not None and lease[0] == self._epoch
                }
            )

        return self._call(fill_many) or 0

    def invalidate(self, names: Collection[str]) -> None:
        """Never fails; see the module."""
        self._tell(frozenset(names))

    def clear(self) -> None:
        """Never fails; see the module."""
        self._tell(None)

    def seconds_left(self, name: str) -> float | None:
        """Never fails."""
        return self._call(lambda: self._store.seconds_left(name))

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
        with self._lock:
            owing = len(self._outbox) > 0
            self._open_until = None
        if owing:
            self._call(_nothing)
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
                "breaker_open": int(self._open_until is not None),
            }
        return {**self._store.stats(), **counts}

    # Invalidations

    def _tell(self, names: Names) -> None:
        """Invalidate names, or with None all, now or later."""
        if self._healthy:
            told = None
            try:
                told = self._call(lambda: self._pass_on(names))
            finally:
                # Also when a signal ended the call: whether it arrived is not known.
                if not told:
                    self._note(self._place(), names)
        else:
            self._note(self._place(), names)
            self._call(_nothing)

    def _pass_on(self, names: Names) -> bool:
        if names is None:
            self._store.clear()
        else:
            self._store.invalidate(names)
        return True

    def _place(self) -> Hashable:
        try:
            return self._store.place()
        except Exception:  # noqa: BLE001 - as for any call of a store
            return None

    def _note(self, place: Hashable, names: Names) -> None:
        with self._lock:
            self._outbox.add(place, names)
            self._epoch += 1
            self._update()

    def _deliver(self) -> bool:
        """Deliver what was noted; return whether nothing is left."""
        for _ in range(DELIVERY_ROUNDS):
            with self._lock:
                left = self._outbox.take()
            if not left:
                return True
            try:
                while left:
                    self._store.invalidate_at(*left[-1])
                    left.pop()
            finally:
                for place, names in left:
                    self._note(place, names)
        with self._lock:
            return not self._outbox

    # The breaker

    def _call(self, operation: Callable[[], Result]) -> Result | None:
        """Return what the operation returns, or None where the store is no help."""
        on_trial = False
        if not self._healthy:
            admitted, on_trial = self._admit()
            if not admitted:
                return None
        begin = self._clock()
        try:
            if on_trial and not self._deliver():
                return None
            result = operation()
        except NOT_ITS_FAULT:
            return None
        except Exception as exc:  # noqa: BLE001 - a memo is not worth any exception
            self._note_failure(exc, begin)
            return None
        else:
            self._note_success(begin, on_trial)
            return result
        finally:
            if on_trial:
                self._end_trial()

    def _admit(self) -> tuple[bool, bool]:
        """Return whether a call may go to the store, and whether it is the trial."""
        with self._lock:
            if self._trial or (
                self._open_until is not None and self._clock() < self._open_until
            ):
                self._bypassed += 1
                return False, False
            self._trial = self._open_until is not None or len(self._outbox) > 0
            return True, self._trial

    def _end_trial(self) -> None:
        with self._lock:
            self._trial = False
            self._update()

    def _note_success(self, begin: float, on_trial: bool) -> None:
        seconds = self._clock() - begin
        is_slow = seconds >= self._slow
        if self._healthy and not is_slow:
            return
        with self._lock:
            was_open = self._open_until is not None
            if is_slow:
                self._spend(seconds)
                if on_trial and was_open:
                    self._open()
            # (A call from before the breaker opened does not close it.)
            if self._open_until is None or (on_trial and not is_slow):
                self._failed_in_row = 0
                self._open_until = None
            opens = self._open_until is not None and not was_open
            self._update()
        if opens:
            self._log("too slow")

    def _note_failure(self, exc: Exception, begin: float) -> None:
        seconds = self._clock() - begin
        is_slow = seconds >= self._slow
        with self._lock:
            self._failed += 1
            self._failed_in_row += 1
            enough = self._failed_in_row >= self._max_failures
            if is_slow or enough or self._open_until is not None:
                self._open()
            self._update()
        self._log(type(exc).__name__)

    def _log(self, reason: str) -> None:
        self._warner.warn(
            "trouble",
            "Trouble with the shared cache (%s); answering without it where needed. "
            "Failures so far: %d.",
            reason,
            self._failed,
        )

    def _spend(self, seconds: float) -> None:
        """Open the breaker if slow calls add up. Under the lock."""
        now = self._clock()
        drained = (now - self._debt_at) * self._budget / self._cool_down
        self._debt = max(0.0, self._debt - drained) + seconds
        self._debt_at = now
        if self._debt > self._budget:
            self._open()

    def _open(self) -> None:
        self._open_until = self._clock() + self._cool_down

    def _update(self) -> None:
        self._healthy = not (
            self._trial
            or self._failed_in_row
            or self._open_until is not None
            or self._outbox
        )


def _leased(
    found: tuple[int | None, Lease], epoch: int
) -> tuple[int | None, tuple[int, Lease] | None]:
    code, lease = found
    return code, None if lease is None else (epoch, lease)


def _nothing() -> bool:
    return True
