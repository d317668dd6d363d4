"""How many seconds the slow answers of a store may cost one request."""

from __future__ import annotations

import weakref
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

from django.core.signals import request_finished, request_started

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping


class _Debt(NamedTuple):
    """Seconds spent and not drained away, and when that was so."""

    seconds: float
    at: float


# Of this request (its context: the thread, or under ASGI the task), by budget.
_debts: ContextVar[MutableMapping[Budget, _Debt] | None] = ContextVar(
    "fallback_storage_budgets", default=None
)


# Whether this request owes anything, to any budget: None if not, as most.
something_is_owed = _debts.get


class Budget:
    """Grants each request ``seconds``, which come back in ``period`` seconds.

    So a command, which is one long request, goes on using what is slow, a little at a
    time. Other requests pay for themselves: that many ask at once is nobody's fault.
    ``clock`` returns seconds and never goes back.
    """

    def __init__(
        self, clock: Callable[[], float], seconds: float, period: float
    ) -> None:
        self._clock = clock
        self.seconds = seconds
        self._period = period

    def is_spent(self) -> bool:
        """Whether this request has to do without."""
        debts = _debts.get()
        return debts is not None and self._owed(debts) > self.seconds

    def spend(self, seconds: float) -> None:
        """Charge what a call of this request took."""
        debts = _debts.get()
        if debts is None:
            debts = weakref.WeakKeyDictionary()
            _debts.set(debts)
        debts[self] = _Debt(self._owed(debts) + seconds, self._clock())

    def _owed(self, debts: MutableMapping[Budget, _Debt]) -> float:
        owed, at = debts.get(self) or _Debt(0.0, 0.0)
        drained = (self._clock() - at) * self.seconds / self._period
        return max(0.0, owed - drained)


def renew(**kwargs: Any) -> None:
    """Begin a request: nothing is spent."""
    _debts.set(None)


request_started.connect(renew, dispatch_uid="fallback_storage.budget")
request_finished.connect(renew, dispatch_uid="fallback_storage.budget")
