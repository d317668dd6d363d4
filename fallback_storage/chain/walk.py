"""Iterate until success: the ordered backends, asked one after the other."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from fallback_storage.chain.names import memo_key
from fallback_storage.chain.outcomes import (
    ABSENT,
    FAILED,
    HELD,
    TAKEN,
    UNSUPPORTED,
    Attempt,
    Outcome,
    classify,
    is_stub,
)
from fallback_storage.chain.second_look import look_again
from fallback_storage.chain.trail import Trail
from fallback_storage.exceptions import BackendUnavailable
from fallback_storage.signals import Failure, backend_failed, send

if TYPE_CHECKING:
    from collections.abc import Callable

    from fallback_storage.chain.backend import Backend


# Django dropped these names in 2.0; the original documents them. Any storage of today
# implements them through their successors.
LEGACY_TIMES = {
    "accessed_time": "get_accessed_time",
    "created_time": "get_created_time",
    "modified_time": "get_modified_time",
}


# What is made of a name, by no server as a rule. Nobody knows of them whether one is
# there.
OFFLINE = frozenset({"path", "url"})


class _Nothing:
    """The type of ``NOTHING``."""

    def __repr__(self) -> str:
        return "NOTHING"


# What ``Walk.ask`` returns where there is no answer; None is an answer.
NOTHING: Final = _Nothing()

_HELD = frozenset({HELD})
_THERE = frozenset({HELD, TAKEN})


class Walk(Trail):
    """One operation on one name, asked of one backend after the other.

    ``trail`` tells what each answered; ``failed`` whether any of them failed;
    ``hidden`` whether a whiteout hid what a read-only backend may hold; ``certain``
    whether every backend that does not hold the name said so: only then may what the
    walk found be memoised.

    ``writes``: to be told "no such file", or that the name is too long, is a failure
    and not the answer that the file is absent. ``live``: no memo may answer, also none
    of a chain within the chain, and what has the name holds it. ``names``: what has the
    name need not be a file; who asks for no more must not wait for other backends.
    ``facts``: of the holder's file, as far as they came along (``chain.facts``).
    """

    __slots__ = ("_live", "_writes", "facts")

    def __init__(
        self,
        operation: str,
        name: str,
        *,
        writes: bool = False,
        live: bool = False,
        names: bool = False,
    ) -> None:
        self.operation = operation
        self.name = name
        self.trail = []
        self.certain = True
        self.failed = self.hidden = False
        self.facts = ""
        self._writes = writes
        self._live = live
        # The answers after which no other backend need be asked. (What means a
        # directory has one.)
        self.ends = _THERE if names or memo_key(name) is None else _HELD

    def ask(self, backend: Backend, method: str, *args: Any, **kwargs: Any) -> Any:
        """Return what ``method`` of the backend's storage returns, or ``NOTHING``.

        Raises only what no other backend may be asked about (``classify``) and
        exceptions that are not ``Exception``.
        """
        storage = backend.storage
        function = getattr(storage, method, None)
        if function is None and method in LEGACY_TIMES:
            function = getattr(storage, LEGACY_TIMES[method], None)
        if function is None:
            self.note(backend, UNSUPPORTED)
            return NOTHING
        if method in OFFLINE or is_stub(function):
            return self._note_call(backend, function, *args, **kwargs)
        reach = backend.reach
        way, profile = reach.ask, backend.profile
        if method == "delete" or (method == "_open" and profile.reads_at_open):
            way = reach.call
            if method == "_open" and profile.open_by:
                ask = partial(reach.in_time, backend)
                function = partial(backend.lend, profile.open_by, ask)
        return self._note_call(backend, way, backend, function, *args, **kwargs)

    def put(self, backend: Backend, function: Callable[..., Any], *args: Any) -> Any:
        """Return what ``function`` returns, a question to the backend, or ``NOTHING``."""
        return self._note_call(backend, backend.ask, function, *args)

    def list(self, backend: Backend) -> Any:
        """Return what the backend lists in the directory, or ``NOTHING``."""
        return self._note_call(backend, backend.listdir, self.name)

    def call(
        self, backend: Backend, function: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Return what ``function`` returns, as ``backend``'s answer, or ``NOTHING``.

        However long it takes; it is not called while the backend cannot be reached.
        """
        call = backend.reach.call
        return self._note_call(backend, call, backend, function, *args, **kwargs)

    def _note_call(
        self, backend: Backend, function: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        start = time.perf_counter()
        try:
            answer = function(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - a backend's failure is an answer
            self.judge(backend, error, time.perf_counter() - start)
            return NOTHING
        seconds = time.perf_counter() - start
        backend.count(seconds)
        self.trail.append(Attempt(backend.name, HELD, None, False, seconds))
        return answer

    def probe(self, backend: Backend) -> Outcome:
        """Ask the backend whether it holds the name."""
        refused = backend.refusal()
        if refused is not None:
            return self._end(backend, refused)
        try:
            ask = backend.question(live=self._live, names=self.ends is _THERE)
        except AttributeError:
            self.note(backend, UNSUPPORTED)
            return UNSUPPORTED
        start = time.perf_counter()
        try:
            answer = ask(self.name)
        except Exception as error:  # noqa: BLE001 - a backend's failure is an answer
            return self.judge(backend, error, time.perf_counter() - start)
        seconds = time.perf_counter() - start
        backend.count(seconds)
        if not isinstance(answer, Outcome):
            answer = HELD if answer else ABSENT
        if answer is HELD:
            backend.place_seen = True
        elif answer is ABSENT and backend.doubts_absence:
            answer, reason = look_again(
                backend, self.operation, self.name, answer, None
            )
            return self._tell(backend, answer, reason, seconds)
        self.trail.append(Attempt(backend.name, answer, None, False, seconds))
        return answer

    def judge(self, backend: Backend, error: Exception, seconds: float) -> Outcome:
        """Add what an exception of a backend means; raise it if it is for nobody else."""
        outcome = FAILED
        reason: Exception | None = error
        if isinstance(error, BackendUnavailable):
            if error.was_called:
                backend.count(seconds, failed=True)
            return self._tell(backend, outcome, reason, seconds)
        try:
            outcome = classify(error)
            if self._writes:
                outcome = FAILED if outcome is ABSENT else outcome
            elif outcome is FAILED or (outcome is ABSENT and backend.doubts_absence):
                outcome, reason = look_again(
                    backend, self.operation, self.name, outcome, error
                )
        finally:
            backend.count(seconds, failed=outcome is FAILED)
        return self._tell(backend, outcome, reason, seconds)

    def _tell(
        self,
        backend: Backend,
        outcome: Outcome,
        error: Exception | None,
        seconds: float,
    ) -> Outcome:
        if error is not None and (
            outcome is not FAILED or isinstance(error, BackendUnavailable)
        ):
            # Its frames would keep this walk alive until the garbage collector
            # comes; "not there", or "left alone", needs no traceback.
            error.__traceback__ = None
        attempt = Attempt(backend.name, outcome, error, False, seconds)
        return self._end(backend, attempt)

    def _end(self, backend: Backend, attempt: Attempt) -> Outcome:
        name, outcome, error, _, seconds = attempt
        self.trail.append(attempt)
        self._count(outcome)
        if outcome is FAILED and error and backend_failed.receivers:
            failure = Failure(name, self.operation, self.name, error, seconds)
            send(backend_failed, backend.owner, failure=failure)
        return outcome
