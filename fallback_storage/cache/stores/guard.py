"""Who may call a store that can fail, and what that may cost.

The store is left alone for ``cool_down`` seconds (``breaker``)

* after ``failures`` failures in a row,
* at once after one failure that took ``slow`` seconds or more: a time-out,

and then gets one call to prove itself; the other threads do without it meanwhile. So a
store that is down costs a process one time-out per cool-down (threads that were already
waiting when the first came wait for their own). A call that is answered is no failure,
however long it took. But where calls of ``slow`` seconds or more add up to more than
``budget`` seconds in one request, that request does without the store until this has
drained away (``budget``). What it has written it still says, for others rely on it: that
has as much once more. (No call can be cut short from here: the store's client needs
time-outs of its own.)
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, TypeVar

from django.core.exceptions import SynchronousOnlyOperation
from django.db.transaction import TransactionManagementError

from fallback_storage.cache.stores.base import PlacedStore, Store
from fallback_storage.cache.stores.budget import Budget
from fallback_storage.cache.stores.outbox import Outbox
from fallback_storage.exceptions import ConfigurationError
from fallback_storage.utils import forks
from fallback_storage.utils.breaker import Breaker
from fallback_storage.utils.interrupts import surely
from fallback_storage.utils.logs import Warner

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from fallback_storage.cache.stores.outbox import Names

    Result = TypeVar("Result")

# A database cache refuses callers that are in no state to use a database.
NOT_ITS_FAULT = (SynchronousOnlyOperation, TransactionManagementError)


class Guard(PlacedStore):
    """A store whose operations are calls of ``store``, which may fail.

    ``clock`` returns seconds and never goes back. ``owing``: where the store is kept
    alive while it has something to deliver. The other arguments: see the module.
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
        owing: set[Store] | None = None,
    ) -> None:
        self.has_peek = store.has_peek
        self._store = store
        self._peek = store.peek
        self._clock = clock
        self._breaker = Breaker(clock, failures, cool_down)
        self._slow = slow
        self._questions = Budget(clock, budget, cool_down)
        self._announcements = Budget(clock, budget, cool_down)
        self._outbox = Outbox(max_undelivered)
        self._owing = set() if owing is None else owing
        self._warner = Warner(clock)
        self._start_afresh()
        forks.register(self)

    def _start_afresh(self) -> None:
        self._lock = threading.RLock()
        # Read without the lock; what makes it false is done before its caller goes on.
        self._healthy = True
        self._delivering = False
        self._failed = self._bypassed = 0

    after_fork = _start_afresh

    @property
    def rests(self) -> bool:  # type: ignore[override]
        """Whether nobody may call it just now, be it to try."""
        return self._breaker.rests

    def _note(self, place: Hashable, names: Names) -> None:
        with self._lock:
            self._healthy = False  # first: an interrupt may come in any call
            self._outbox.add(place, names)
            self._update()

    def _call(
        self, operation: Callable[[], Result], *, due: bool = False
    ) -> Result | None:
        """Return what the operation returns, or None where the store is no help.

        ``due``: it is what others rely on.
        """
        budget = self._announcements if due else self._questions
        if budget.is_spent():
            self.bypass()
            return None
        if self._healthy:
            return self._try(operation, self._breaker.ticket, budget)
        if self.rests:  # a page asks for hundreds of names
            self.bypass()
            return None
        return self._call_in_trouble(operation, budget)

    def _call_in_trouble(
        self, operation: Callable[[], Result], budget: Budget
    ) -> Result | None:
        def deliver_first() -> Result | None:
            return (
                operation() if self._outbox.deliver(self._store.invalidate_at) else None
            )

        delivers = False

        def begin() -> Result | None:
            nonlocal delivers
            with self._lock:
                ticket = None if self._delivering else self._breaker.admit()
                if ticket is None:
                    self.bypass()
                    return None
                # While one delivers, the others do without.
                delivers = len(self._outbox) > 0
                self._delivering = delivers
            return self._try(deliver_first if delivers else operation, ticket, budget)

        def end() -> None:
            nonlocal delivers
            with self._lock:
                if delivers:
                    self._delivering = delivers = False
                self._breaker.end_trial()
                self._update()

        return surely(begin, end)

    def bypass(self) -> None:
        # (As ``Counters.add``.)
        self._bypassed += 1

    def _try(
        self, operation: Callable[[], Result], ticket: int, budget: Budget
    ) -> Result | None:
        begin = self._clock()
        try:
            result = operation()
        except Exception as exc:  # noqa: BLE001 - a memo is not worth any exception
            self._note_failure(exc, ticket, begin)
            return None
        seconds = self._clock() - begin
        if seconds >= self._slow or not self._healthy:
            self._note_success(ticket, seconds, budget)
        return result

    def _note_success(self, ticket: int, seconds: float, budget: Budget) -> None:
        if seconds >= self._slow:
            budget.spend(seconds)
            if budget.is_spent():
                self._log(f"its slow answers took {budget.seconds:g} s of one request")
        if not self._healthy:
            with self._lock:
                self._breaker.succeeded(ticket)
                self._update()

    def _note_failure(self, exc: Exception, ticket: int, begin: float) -> None:
        if isinstance(exc, NOT_ITS_FAULT):
            return
        is_slow = self._clock() - begin >= self._slow
        with self._lock:
            self._failed += 1
            self._breaker.failed(ticket, at_once=is_slow)
            self._update()
        # (Whoever has to mend it is told what is wrong. Others' words may hold secrets.)
        is_ours = isinstance(exc, ConfigurationError)
        reason = str(exc) if is_ours else type(exc).__name__
        self._log(f"{reason}; failures so far: {self._failed}")

    def _log(self, reason: str) -> None:
        self._warner.warn(
            "trouble",
            "Trouble with the shared cache (%s); answering without it where needed.",
            reason,
        )

    def _update(self) -> None:
        (self._owing.add if self._outbox else self._owing.discard)(self)
        self._healthy = not (
            self._delivering or self._outbox or not self._breaker.is_sound
        )
