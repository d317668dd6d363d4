"""What one request asked of its storages, as the panel shows it."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from fallback_storage.chain.outcomes import Outcome
from fallback_storage.exceptions import BackendUnavailable

if TYPE_CHECKING:
    from fallback_storage.chain.outcomes import Attempt, Resolution
    from fallback_storage.signals import Failure, Promotion

# How many names, failures and copies one table shows: the toolbar keeps what it shows
# of many requests.
SHOWN = 200


class Step(NamedTuple):
    """What one backend said. ``how``: asked, memo, grace, or not asked."""

    backend: str
    outcome: str
    how: str
    error: str = ""


class Line(NamedTuple):
    """What the look-ups that are shown as one line have in common.

    ``backend``: whose answer it was; else ``state`` says why there is none.
    """

    operation: str
    backend: str
    state: str
    known: str
    steps: tuple[Step, ...]


@dataclass(slots=True)
class Asked:
    """How often a name was looked up on one line, and how long backends took."""

    count: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class Work:
    """What one backend did, and what the memo, or its breaker, spared it."""

    answers: int = 0
    calls: int = 0
    seconds: float = 0.0
    saved: int = 0
    failures: int = 0
    left_alone: int = 0


class Recorder:
    """What one request asked. Its threads may add to it at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: dict[Line, dict[str, Asked]] = {}
        self._backends: defaultdict[str, Work] = defaultdict(Work)
        self._failures: Counter[tuple[str, str, str, str]] = Counter()
        self._promotions: list[Promotion] = []

    def add_resolution(
        self, *, storage: Any, operation: str, resolution: Resolution, **_: Any
    ) -> None:
        """Add a look-up."""
        line = _line(operation, resolution, storage)
        with self._lock:
            names = self._lines.setdefault(line, {})
            asked = names.setdefault(resolution.name, Asked())
            asked.count += 1
            asked.seconds += sum(attempt.seconds for attempt in resolution.trail)
            if operation == "prefetch":
                # It asks on behalf of the calls that follow, and those count.
                return
            for attempt in resolution.trail:
                self._backends[attempt.backend].saved += _how(attempt) == "memo"
            if line.backend:
                self._backends[line.backend].answers += 1

    def add_call(self, *, backend: str, seconds: float, **_: Any) -> None:
        """Add a call of a backend; one can answer for many names."""
        with self._lock:
            self._backends[backend].calls += 1
            self._backends[backend].seconds += seconds

    def add_failure(self, *, failure: Failure, **_: Any) -> None:
        """Add what a backend raised: its type alone."""
        error = type(failure.exception).__name__
        name = _text(failure.name)
        with self._lock:
            self._failures[failure.backend, failure.operation, name, error] += 1
            work = self._backends[failure.backend]
            work.failures += 1
            work.left_alone += _is_left_alone(failure.exception)

    def add_promotion(self, *, promotion: Promotion, **_: Any) -> None:
        """Add a copy."""
        with self._lock:
            self._promotions.append(promotion)

    def report(self) -> dict[str, Any]:
        """Return it all as JSON can hold it, what took longest first."""
        with self._lock:
            lines = [_describe(line, names) for line, names in self._lines.items()]
            work = list(self._backends.items())
            failures = self._failures.most_common()
            copies = [(p.name, p.source, p.target, p.seconds) for p in self._promotions]
            names = {name for names in self._lines.values() for name in names}
        return {
            "names": len(names),
            "look_ups": sum(line["count"] for line in lines),
            "calls": sum(each.calls for _, each in work),
            "ms": _ms(sum(each.seconds for _, each in work)),
            "saved": sum(each.saved for _, each in work),
            "failed": sum(count for _, count in failures),
            "promoted": len(copies),
            "lines": sorted(lines, key=lambda line: line["ms"], reverse=True),
            "backends": [
                {"name": name, "ms": _ms(each.seconds), **asdict(each)}
                for name, each in work
            ],
            "failures": [
                dict(zip(("backend", "operation", "name", "error"), key, strict=True))
                | {"count": count}
                for key, count in failures[:SHOWN]
            ],
            "promotions": [
                {"name": _text(name), "source": source, "target": target, "ms": _ms(s)}
                for name, source, target, s in copies[:SHOWN]
            ],
        }


def _is_left_alone(error: Exception) -> bool:
    """Whether a backend failed without a call: its breaker is open."""
    return isinstance(error, BackendUnavailable) and not error.was_called


def _how(attempt: Attempt) -> str:
    """Who told an outcome. What is hidden, or has no such method, is not called."""
    if attempt.remembered:
        return "grace" if attempt.by_grace else "memo"
    if attempt.outcome is Outcome.HIDDEN:
        return "not asked"
    missing = attempt.outcome is Outcome.UNSUPPORTED and attempt.exception is None
    return "not asked" if missing else "asked"


def _step(attempt: Attempt) -> Step:
    failed = attempt.outcome is Outcome.FAILED
    error = type(attempt.exception).__name__ if failed else ""
    return Step(attempt.backend, attempt.outcome.value, _how(attempt), error)


def _line(operation: str, resolution: Resolution, storage: Any) -> Line:
    steps = [_step(attempt) for attempt in resolution.trail]
    backend, state = resolution.backend or "", ""
    if resolution.hidden:
        state = "hidden"
    elif not backend and operation == "url":
        # Its URL is the answer, whether it holds the file or not.
        backend = storage.backends[-1].name
        steps.append(Step(backend, "", "not asked"))
    elif not backend:
        state = _state(resolution, storage)
    sources = {step.how for step in steps}
    known = " + ".join(how for how in ("grace", "memo", "asked") if how in sources)
    return Line(operation, backend, state, known or "not asked", tuple(steps))


def _state(resolution: Resolution, storage: Any) -> str:
    trail = resolution.trail
    if resolution.held is False:
        return "nobody"
    if len(trail) == len(storage.backends):
        return "not known"
    # A prefetch for URLs does not ask the last backend.
    return f"{storage.backends[len(trail)].name} or nobody"


def _describe(line: Line, names: dict[str, Asked]) -> dict[str, Any]:
    rows: list[dict[str, Any]] = [
        {"name": _text(name), "count": asked.count, "ms": _ms(asked.seconds)}
        for name, asked in names.items()
    ]
    rows.sort(key=lambda row: row["ms"], reverse=True)
    return {
        **line._asdict(),
        "steps": [step._asdict() for step in line.steps],
        "number": len(rows),
        "count": sum(asked.count for asked in names.values()),
        "ms": _ms(sum(asked.seconds for asked in names.values())),
        "names": rows[:SHOWN],
        "more": max(0, len(rows) - SHOWN),
    }


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


def _text(name: str) -> str:
    # File systems have names with bytes that no page can be encoded with.
    return name.encode(errors="backslashreplace").decode()
