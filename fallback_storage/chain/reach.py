"""The way to one backend's server: whether it is gone at all, and for how long.

A *question* is waited for no longer than its deadline, where there is one. A backend that
cannot be reached is left alone for a while: it fails without a call, all but the one
that tries whether it is back.
"""

from __future__ import annotations

import logging
import random
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from fallback_storage.chain.outcomes import RAISE_AT_ONCE, Attempt, Outcome, http_status
from fallback_storage.chain.reachability import is_unreachable
from fallback_storage.exceptions import BackendUnavailable
from fallback_storage.signals import breaker_closed, breaker_opened, send
from fallback_storage.utils.breaker import Breaker
from fallback_storage.utils.logs import warner
from fallback_storage.utils.unanswered import Dropped, Late, NoThreads, Unanswered

if TYPE_CHECKING:
    from collections.abc import Callable

    from fallback_storage.chain.backend import Backend
    from fallback_storage.utils.workers import Workers

logger = logging.getLogger("fallback_storage")

# Threads of a backend, at most; boto3 makes a client for each. One of them is kept for
# the call that tries whether a server is back, which may hang like those before it.
THREADS: Final = 8

# Seconds for which an answer is waited for, of classes that are known to bear it.
DEADLINE: Final = 5.0

# Seconds for which who tries whether a server is back waits, before he goes on as if it
# were not. The call that tries has its deadline all the same.
TRIAL_WAIT: Final = 0.25

# Seconds up to which the pause doubles while a backend stays away; and after which a
# call that tries, and has no deadline, is no longer waited for.
LONGEST_PAUSE: Final = 60.0

# Seconds in which all are told the same of a backend that is left alone.
SAME_REFUSAL: Final = 1.0
JITTER: Final = 0.1  # the share of a pause by which it may be longer

# What ``stats`` tells of what was never asked.
REACHED: Final = {"breaker": "closed", "retry_in": None}

# What a program raises that no server was asked for.
NO_ANSWER: Final = (*RAISE_AT_ONCE, NotImplementedError)


class Left(Unanswered):
    """A call that tries whether a server is back goes on, and its caller does, too."""


def jitter() -> float:
    """Return by what share of it a pause is to be longer."""
    return JITTER * random.random()  # noqa: S311 - nobody has to guess it


def make_workers() -> Workers:
    """Return the threads of one backend."""
    from fallback_storage.utils.workers import Workers  # not for local directories

    return Workers(THREADS)


class Reach:
    """A breaker and a deadline for what is asked of one server.

    ``deadline``: seconds for a question, or 0 for no bound. ``retry_after``: seconds of
    the first pause; 0: nothing is ever left alone. ``clock`` returns seconds and never
    goes back.
    """

    def __init__(
        self, deadline: float, retry_after: float, clock: Callable[[], float]
    ) -> None:
        self._deadline = deadline
        self._workers: Workers | None = None
        if deadline:
            from fallback_storage.utils.questions import ask

            self._workers, self._ask = make_workers(), ask
        self._opens = retry_after > 0
        self._cause = ""
        self._clock = clock
        # Whether one that tried was answered when its caller had left: that is no server
        # that hangs, so the next one waits for all of its deadline.
        self._is_heard = False
        # Until when, and what, is told without a look at the breaker.
        self._refused: tuple[float, Attempt] | None = None
        self.breaker = Breaker(
            clock,
            pause=retry_after,
            max_pause=LONGEST_PAUSE,
            patience=max(LONGEST_PAUSE, deadline),
            jitter=jitter,
        )

    def ask(
        self, backend: Backend, function: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Return what the function returns: the answer to a question.

        Raises ``BackendUnavailable`` if there is none in time, or ``backend`` is left
        alone now; else what the function raises.
        """
        if self._deadline:
            question = partial(function, *args, **kwargs)
            return self.call(backend, self.in_time, backend, question)
        return self.call(backend, function, *args, **kwargs)

    def ask_for_names(
        self, backend: Backend, function: Callable[..., Any], *args: Any
    ) -> Any:
        """Do the same for a listing: that takes too long where others do not."""
        if not self._deadline:
            return self.call(backend, function, *args)

        def list_in_time() -> Any:
            try:
                return self.in_time(backend, partial(function, *args), fails=False)
            except Late:
                raise self._late(backend, retry_in=None) from None

        return self.call(backend, list_in_time)

    def call(
        self, backend: Backend, function: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Return what the function returns, however long it takes.

        Raises ``BackendUnavailable`` if ``backend`` is left alone now.
        """
        breaker = self.breaker
        if not breaker.is_sound and breaker.rests:
            raise self._unavailable(backend)  # a page asks for hundreds of names
        ticket = breaker.ticket
        try:
            if not breaker.is_sound:
                ticket = self._admit(backend)
            answer = function(*args, **kwargs)
            if not breaker.is_sound:
                self._note_answer(backend, ticket, answer)
        except Exception as error:
            if isinstance(error, Unanswered):
                raise self._unanswered(backend, ticket, error) from None
            self._note_error(backend, ticket, error)
            raise
        finally:
            if not breaker.is_sound:
                try:
                    breaker.end_trial()
                except BaseException:  # interrupted
                    breaker.end_trial()
                    raise
        return answer

    def refusal(self, backend: Backend) -> Attempt | None:
        """Return a trail's line of ``backend`` if it is left alone now; None: it is not.

        One for all who ask within a second: a page asks for hundreds of names. So its
        exception is for being read; who raises it makes one of his own.
        """
        refused, now = self._refused, self._clock()
        if refused and now < refused[0] and refused[1].backend == backend.name:
            return refused[1]
        if not self.breaker.rests:
            return None
        error = self._unavailable(backend)
        attempt = Attempt(backend.name, Outcome.FAILED, error)
        # (Nothing is kept past the moment at which one may try.)
        self._refused = now + min(SAME_REFUSAL, error.retry_in or 0.0), attempt
        return attempt

    def stats(self) -> dict[str, Any]:
        """Return the breaker's state, and in how many seconds the next call may try."""
        return {"breaker": self.breaker.state, "retry_in": self.breaker.retry_in}

    def _admit(self, backend: Backend) -> int:
        ticket = self.breaker.admit()
        if ticket is None:
            raise self._unavailable(backend)
        return ticket

    def _unavailable(self, backend: Backend) -> BackendUnavailable:
        cause = self._cause or "busy"
        return BackendUnavailable(backend.name, cause, retry_in=self.breaker.retry_in)

    def in_time(
        self, backend: Backend, function: Callable[[], Any], *, fails: bool = True
    ) -> Any:
        """Return what a part of a ``call`` returns, which is waited for like a question.

        ``fails``: if that takes too long, the backend cannot be reached.
        """
        if self._workers is None:
            return function()
        deadline = seconds = self._deadline
        size, late = THREADS - 1, None
        if self.breaker.is_open:
            # There is one call at most: the one that tries.
            size, late = THREADS, partial(self._note_late, self._clock())
            seconds = deadline if self._is_heard else min(TRIAL_WAIT, deadline)
            self._is_heard = False
        try:
            make = backend.make_client
            return self._ask(self._workers, function, seconds, size, make, late=late)
        except NoThreads:
            warner.warn(
                NoThreads,
                "No thread is to be had, so DEADLINE bounds nothing (uWSGI needs "
                "enable-threads)",
            )
            return function()
        except Late:
            if seconds == deadline:
                raise
        self.breaker.leave_trial(deadline - seconds, fails=fails)
        raise Left

    def _note_late(self, begun: float, error: BaseException | None) -> None:
        """Let the next one try at once if this one was answered within its deadline."""
        is_late = self._clock() - begun > self._deadline
        if not is_late and not (isinstance(error, Exception) and is_unreachable(error)):
            self._is_heard = True
            self.breaker.try_now()
            self._refused = None

    # What an answer says

    def _unanswered(
        self, backend: Backend, ticket: int, error: Unanswered
    ) -> Exception:
        if isinstance(error, Left):
            return self._given_up(backend, self._unavailable(backend))
        if isinstance(error, Late):
            self._note_failure(backend, ticket, self._too_late, at_once=True)
            return self._late(backend, retry_in=self.breaker.retry_in)
        if isinstance(error, Dropped) and error.stuck:
            self._note_failure(backend, ticket, "no call is answered", at_once=True)
        return self._unavailable(backend)

    @property
    def _too_late(self) -> str:
        return f"no answer within {self._deadline:g} seconds"

    def _late(self, backend: Backend, retry_in: float | None) -> BackendUnavailable:
        error = BackendUnavailable(backend.name, self._too_late, retry_in=retry_in)
        return self._given_up(backend, error)

    @staticmethod
    def _given_up(backend: Backend, error: BackendUnavailable) -> BackendUnavailable:
        backend.count_given_up()
        error.was_called = True
        return error

    def _note_error(self, backend: Backend, ticket: int, error: Exception) -> None:
        if isinstance(error, BackendUnavailable):
            return  # it was not called, or is a chain that tells of one of its own
        # What a local directory raises for every name is not looked into.
        made_of = error.__cause__ or error.__context__
        is_plain = isinstance(error, FileNotFoundError) and not made_of
        if not is_plain and is_unreachable(error):
            self._note_failure(backend, ticket, type(error).__name__)
        elif not self.breaker.is_sound and not isinstance(error, NO_ANSWER):
            # The words of a class that has the same for all that goes wrong tell nothing.
            told = http_status(error) is not None or not backend.doubts_absence
            self._note_answer(backend, ticket, told)

    def _note_answer(self, backend: Backend, ticket: int, answer: Any) -> None:
        if backend.doubts_absence and (answer is False or answer is Outcome.ABSENT):
            return
        if self.breaker.succeeded(ticket):
            logger.info("%r answers again", backend.name)
            send(breaker_closed, backend.owner, backend=backend.name, cause=None)

    def _note_failure(
        self, backend: Backend, ticket: int, cause: str, *, at_once: bool = False
    ) -> None:
        self._cause = cause
        self._refused = None
        if not self._opens:
            return
        if self.breaker.failed(ticket, at_once=at_once):
            if self._workers is not None:
                self._workers.room.drop()
            logger.warning(
                "%r cannot be reached (%s): left alone for %.0f s",
                backend.name,
                cause,
                self.breaker.retry_in or 0,
            )
            send(breaker_opened, backend.owner, backend=backend.name, cause=cause)
