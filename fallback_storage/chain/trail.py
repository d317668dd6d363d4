"""The account of one walk: what each backend answered, and what that comes to.

The only place that decides which exception a failed walk raises.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING

from fallback_storage.chain.outcomes import (
    FAILED,
    HELD,
    HIDDEN,
    TAKEN,
    UNSUPPORTED,
    Attempt,
    Outcome,
)
from fallback_storage.exceptions import (
    AllBackendsFailed,
    BackendUnavailable,
    FileNotInAnyBackendError,
    OperationNotSupportedError,
)
from fallback_storage.utils.logs import warner

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fallback_storage.chain.backend import Backend

_SILENT = frozenset({FAILED, UNSUPPORTED})


class Trail:
    """The answers to one question, those of the chain's backends in their order.

    See ``Walk``, which gets them.
    """

    __slots__ = ("certain", "ends", "failed", "hidden", "name", "operation", "trail")

    name: str
    operation: str
    trail: list[Attempt]
    certain: bool
    failed: bool
    hidden: bool
    ends: frozenset[Outcome]

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

    def take_failures(self, other: Trail) -> None:
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
