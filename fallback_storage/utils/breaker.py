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
    waits for it. With every trial that fails the pause doubles, up to ``max_pause``
    seconds (None: it stays as it is). ``jitter`` returns the share of a pause by which
    that is longer, so that many processes do not try at once. A trial that says nothing
    within ``patience`` seconds (None: ``pause``) is given up.

    Who tries need not wait for the end of his call (``leave_trial``).

    A call that was begun before the breaker opened neither opens nor closes it, whenever
    it ends: so every call has a ticket, and shows it in the end.

    ``clock`` returns seconds and never goes back. Thread-safe.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        failures: int = 3,
        pause: float = 10.0,
        *,
        max_pause: float | None = None,
        patience: float | None = None,
        jitter: Callable[[], float] = float,
    ) -> None:
        self._clock = clock
        self._max_failures = failures
        self._pause = pause
        self._max_pause = pause if max_pause is None else max(pause, max_pause)
        self._patience = pause if patience is None else patience
        self._jitter = jitter
        # How often it has opened: the ticket of ordinary calls.
        self.ticket = 0
        self.after_fork()
        forks.register(self)

    def after_fork(self) -> None:
        """Begin closed: the child has connections of its own."""
        self._lock = threading.RLock()
        self._failed_in_row = 0
        self._next_pause = self._pause
        self._open_until: float | None = None
        self._trial_until = -math.inf
        self._trial_by: int | None = None
        # Read without the lock: nothing is known against it.
        self.is_sound = True

    @property
    def is_open(self) -> bool:
        """Whether it leaves something alone, or would but for a trial."""
        return self._open_until is not None

    @property
    def state(self) -> str:
        """Return "closed", "open", or "trial" while a call tries."""
        with self._lock:
            if self._open_until is None:
                return "closed"
            return "trial" if self._clock() < self._trial_until else "open"

    @property
    def retry_in(self) -> float | None:
        """Return in how many seconds a call may try, 0 if one does; None: all may call."""
        open_until = self._open_until
        return None if open_until is None else max(0.0, open_until - self._clock())

    @property
    def rests(self) -> bool:
        """Whether no call may go ahead just now; read without the lock."""
        open_until = self._open_until
        if open_until is None:
            return False
        now = self._clock()
        return now < open_until or now < self._trial_until

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
            self._trial_by = threading.get_ident()
            self._trial_until = now + self._patience
            return TRIAL

    def end_trial(self) -> None:
        """Let another call try, if this thread's has said nothing of how it went.

        Does nothing where this thread does not try: so an interrupt may come at any
        moment of ``admit``.
        """
        with self._lock:
            if self._trial_by == threading.get_ident():
                self._trial_by = None
                self._trial_until = -math.inf

    def leave_trial(self, seconds: float, *, fails: bool) -> None:
        """Let this thread's trial go on without it, for so many seconds at the most.

        Nobody else tries until then. ``fails``: it has failed, unless ``try_now`` says
        in time that it was answered. Does nothing where this thread does not try.
        """
        with self._lock:
            if self._open_until is None or self._trial_by != threading.get_ident():
                return
            if fails:
                self.failed(TRIAL)
            self._trial_until = self._clock() + seconds
            self._open_until = max(self._open_until, self._trial_until)
            self._trial_by = None

    def succeeded(self, ticket: int) -> bool:
        """Note that a call was answered, however late; return whether that closed it."""
        with self._lock:
            if ticket not in {self.ticket, TRIAL}:
                return False
            was_open = self.is_open
            self._failed_in_row = 0
            self._next_pause = self._pause
            self._open_until = None
            # Who tried does not end it any more, and the next outage is another one.
            self._trial_by = None
            self._trial_until = -math.inf
            self.is_sound = True
            return was_open

    def failed(self, ticket: int, *, at_once: bool = False) -> bool:
        """Note that a call failed; return whether that opened it.

        ``at_once``: so badly that one is enough.
        """
        with self._lock:
            if ticket not in {self.ticket, TRIAL}:
                return False
            self.is_sound = False
            self._failed_in_row += 1
            was_open = self.is_open
            if at_once or ticket == TRIAL or self._failed_in_row >= self._max_failures:
                pause = self._next_pause * (1 + self._jitter())
                self._open_until = self._clock() + pause
                self._next_pause = min(2 * self._next_pause, self._max_pause)
                self.ticket += 1
            return self.is_open and not was_open

    def try_now(self) -> None:
        """End the pause, and a trial: the next call may try."""
        with self._lock:
            if self._open_until is not None:
                self._trial_by = None
                self._trial_until = -math.inf
                self._open_until = self._clock()
