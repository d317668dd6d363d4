"""Iterate until success: the ordered backends, and the account of one walk over them.

The only place that decides which exception a failed walk raises.
"""

from __future__ import annotations

import time
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from fallback_storage.chain.names import memo_key
from fallback_storage.chain.outcomes import (
    ABSENT,
    FAILED,
    HELD,
    HIDDEN,
    TAKEN,
    UNSUPPORTED,
    Attempt,
    Outcome,
    classify,
)
from fallback_storage.chain.second_look import look_again
from fallback_storage.exceptions import (
    AllBackendsFailed,
    BackendUnavailable,
    FileNotInAnyBackendError,
    OperationNotSupportedError,
)
from fallback_storage.signals import Failure, backend_failed, send
from fallback_storage.utils.logs import warner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

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
_SILENT = frozenset({FAILED, UNSUPPORTED})


class Walk:
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

    __slots__ = (
        "_live",
        "_writes",
        "certain",
        "ends",
        "facts",
        "failed",
        "hidden",
        "name",
        "operation",
        "trail",
    )

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
        self.trail: list[Attempt] = []
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
        if method in OFFLINE:
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

    def note(
        self,
        backend: Backend,
        outcome: Outcome,
        exception: Exception | None = None,
        seconds: float = 0.0,
    ) -> None:
        """Add one line to the trail."""
        self.add(Attempt(backend.name, outcome, exception, False, seconds))

    def recall(self, backend: Backend, outcome: Outcome) -> None:
        """Add to the trail what the memo answered for a backend."""
        self.add(Attempt(backend.name, outcome, None, True))

    def correct(self, index: int, attempt: Attempt) -> None:
        """Put another line in a line's place; the trail ends with it if it says "held"."""
        if attempt.outcome is HELD:
            del self.trail[index + 1 :]
        self._count(attempt.outcome)
        self.trail[index] = attempt

    def add(self, attempt: Attempt) -> None:
        """Add one line to the trail; it may be in other walks' trails as well."""
        self.trail.append(attempt)
        self._count(attempt.outcome)

    def _count(self, outcome: Outcome) -> None:
        if outcome is FAILED:
            self.failed, self.certain = True, False
        elif outcome is HIDDEN:
            self.hidden = True
        elif outcome is UNSUPPORTED:
            self.certain = False

    @property
    def holder(self) -> int | None:
        """The index of the backend that holds the name, of a walk from the first on."""
        trail = self.trail
        held = trail and trail[-1].outcome in self.ends
        return len(trail) - 1 if held else None

    @property
    def taken(self) -> int | None:
        """The index of the first backend in which the name is taken, but by no file."""
        for index, attempt in enumerate(self.trail):
            if attempt.outcome is TAKEN:
                return index
        return None

    @property
    def last(self) -> Outcome:
        """The outcome of the last backend asked."""
        return self.trail[-1].outcome

    @property
    def unsupported(self) -> bool:
        """Whether no backend implements the operation."""
        return all(attempt.outcome is UNSUPPORTED for attempt in self.trail)

    @property
    def unanswered(self) -> bool:
        """Whether no backend answered: each failed, or does not implement this."""
        for attempt in self.trail:  # noqa: SIM110 - a generator costs as much as a look
            if attempt[1] not in _SILENT:
                return False
        return True

    def take_failures(self, other: Walk) -> None:
        """Count the failures of another walk over the chain as failures of this one.

        A backend that failed in both has failed once.
        """
        own = {attempt.backend for attempt in _failures(self.trail)}
        self.trail[:0] = [a for a in _failures(other.trail) if a.backend not in own]
        self.failed = self.failed or other.failed

    def log_failures(self, consequence: str) -> None:
        """Warn of the failures that the answer does not show."""
        if self.failed:
            # No name of a file's content, no text of an exception: types alone. Put
            # into words only if somebody reads them.
            kind: tuple[object, ...] = self.operation, consequence
            for backend, outcome, error, _, _ in self.trail:
                if outcome is FAILED:
                    kind += backend, type(error)
            if warner.is_quiet(kind):
                return
            warner.warn(
                kind,
                "%s(%r): %s; %s",
                self.operation,
                self.name,
                _Failures(tuple(self.trail)),
                consequence,
            )

    def error(self) -> Exception:
        """Return the exception of a walk in which no backend succeeded.

        Never ``FileNotFoundError`` while a backend failed: one failure is that
        failure, several are ``AllBackendsFailed``.
        """
        failures = [_own(attempt.exception) for attempt in _failures(self.trail)]
        if len(failures) == 1:
            return failures[0] or AssertionError("a failure has an exception")
        if failures:
            error = AllBackendsFailed(
                f"{self.operation}({self.name!r}) failed in {len(failures)} backends: "
                + ", ".join(map(str, self.trail)),
                [failure for failure in failures if failure is not None],
            )
            error.operation = self.operation
            error.name = self.name
            error.trail = tuple(self.trail)
            return error
        if self.trail and self.last is HELD:
            return OperationNotSupportedError(
                f"The backend {self.trail[-1].backend!r}, which holds {self.name!r}, does "
                f"not implement {self.operation}()."
            )
        if self.unsupported:
            asked = ", ".join(attempt.backend for attempt in self.trail) or "none"
            return OperationNotSupportedError(
                f"No backend implements {self.operation}() (asked: {asked})."
            )
        return FileNotInAnyBackendError(self.operation, self.name, self.trail)


class _Failures:
    """Those of a trail, which become words when they are written to the log."""

    __slots__ = ("_trail",)

    def __init__(self, trail: Sequence[Attempt]) -> None:
        self._trail = trail

    def __str__(self) -> str:
        return ", ".join(map(str, _failures(self._trail)))


def _own(error: Exception | None) -> Exception | None:
    """Return an error to raise; that of ``Reach.refusal`` is in other trails as well."""
    return copy(error) if type(error) is BackendUnavailable else error


def _failures(trail: Iterable[Attempt]) -> list[Attempt]:
    return [attempt for attempt in trail if attempt.outcome is FAILED]
