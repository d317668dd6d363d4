"""A breaker: what fails again and again is left alone for a while."""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING, Final

from fallback_storage.utils import forks

if TYPE_CHECKING:
    from collections.abc import Callable

# The ticket of the one call that tries whether it works again.
TRIAL: Final = -1


class Breaker:
    """Opens after ``failures`` failures in a row, for ``pause`` seconds.

    Then one call is admitted, the *trial*, which closes it or opens it again; nobody
    waits for it. One that says nothing within ``pause`` seconds is given up. A call that was begun before the breaker opened neither opens nor
    closes it, whenever it ends: so every call has a ticket, and shows it in the end.

    ``clock`` returns seconds and never goes back. Thread-safe.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        failures: int = 3,
        pause: float = 10.0,
    ) -> None:
        self._clock = clock
        self._max_failures = failures
        self._pause = pause
        # How often it has opened: the ticket of ordinary calls.
        self.ticket = 0
        self.after_fork()
        forks.register(self)

    def after_fork(self) -> None:
        """Begin closed: the child has connections of its own."""
        self._lock = threading.RLock()
        self._failed_in_row = 0
        self._open_until: float | None = None
        self._trial_until = -math.inf
        # Read without the lock: nothing is known against it.
        self.is_sound = True

    @property
    def is_open(self) -> bool:
        """Whether it leaves something alone, or would but for a trial."""
        return self._open_until is not None

    def admit(self) -> int | None:
        """Return the ticket of a call that may go ahead; None: it may not.

        Who gets ``TRIAL`` calls ``end_trial`` in the end, whatever happens.
        """
        with self._lock:
            if self._open_until is None:
                return self.ticket
            now = self._clock()
            if now < max(self._open_until, self._trial_until):
                return None
            self._trial_until = now + self._pause
            return TRIAL

    def end_trial(self) -> None:
        """Let another call try, if this one has said nothing of how it went."""
        with self._lock:
            self._trial_until = -math.inf

    def succeeded(self, ticket: int) -> None:
        """Note that a call was answered, however late."""
        with self._lock:
            if ticket in {self.ticket, TRIAL}:
                self._failed_in_row = 0
                self._open_until = None
                self.is_sound = True

    def failed(self, ticket: int, *, at_once: bool = False) -> None:
        """Note that a call failed; ``at_once``: so badly that one is enough."""
        with self._lock:
            if ticket not in {self.ticket, TRIAL}:
                return
            self.is_sound = False
            self._failed_in_row += 1
            if at_once or ticket == TRIAL or self._failed_in_row >= self._max_failures:
                self._open_until = self._clock() + self._pause
                self.ticket += 1

    def try_now(self) -> None:
        """End the pause: the next call may try."""
        with self._lock:
            if self._open_until is not None:
                self._open_until = self._clock()
