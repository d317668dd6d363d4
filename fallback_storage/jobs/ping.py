"""Asking the backends and the memo themselves whether they are there.

Past breakers and memo, and nothing is written. Each is asked in a thread of its own,
which is given up when it takes too long: a process that ends waits for none of them.
"""

from __future__ import annotations

import enum
import posixpath
import threading
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fallback_storage.chain.flat_listing import bare_pages, lists_flat
from fallback_storage.chain.names import is_own
from fallback_storage.chain.outcomes import Outcome, classify, http_status, is_a
from fallback_storage.chain.reachability import is_unreachable
from fallback_storage.chain.second_look import FORBIDDEN, MAY_NOT_ASK
from fallback_storage.chain.wrapped import entries_of
from fallback_storage.utils.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fallback_storage.chain.backend import Backend
    from fallback_storage.operations.engine import Engine

# Seconds for all questions to one backend.
PATIENCE: Final = 10.0

# Directories that are entered, one in the other, for a file to read.
DEPTH: Final = 5

# The status of a range that is not there: who asks for it may read.
EMPTY: Final = 416


class Said(enum.StrEnum):
    """What came of one question."""

    YES = "yes"
    ABSENT = "absent"
    FORBIDDEN = "forbidden"
    UNSUPPORTED = "unsupported"
    FAILED = "failed"
    SILENT = "no answer"
    UNKNOWN = "unknown"  # nothing to ask about, or nobody to ask any more


class Answer(NamedTuple):
    """What was said to one question; ``seconds`` until then, ``name`` of the file."""

    said: Said
    error: Exception | None = None
    seconds: float | None = None
    name: str | None = None


UNKNOWN: Final = Answer(Said.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found out about one backend, or the memo, which is none.

    ``missing``: whether it has a name that nobody has; ``place``: whether its bucket is
    there, where that can be asked; ``lists`` and ``reads``: whether that is allowed.
    """

    name: str
    backend: Backend | None
    missing: Answer
    place: Answer = UNKNOWN
    lists: Answer = UNKNOWN
    reads: Answer = UNKNOWN

    @property
    def reachable(self) -> bool | None:
        """Whether there was an answer from where the files are; None: not known."""
        said, error, *_ = self.missing
        if said is Said.SILENT or is_unreachable(error):
            return False
        is_answer = said is not Said.FAILED or http_status(error) is not None
        return True if is_answer else None

    @property
    def is_well(self) -> bool:
        """Whether a chain can work with it, for all that was found out."""
        bad = {Said.FAILED, Said.SILENT}
        # Another backend may have the file, unless this one lists it.
        is_lost = self.reads.said is Said.ABSENT and self.reads.name == self.lists.name
        return (
            self.missing.said is Said.ABSENT
            and self.place.said not in {*bad, Said.ABSENT}
            and self.lists.said not in bad
            and self.reads.said not in {*bad, Said.FORBIDDEN}
            and not is_lost
        )


def ping(
    engine: Engine, name: str | None = None, patience: float = PATIENCE
) -> Iterator[Finding]:
    """Yield what is found out about each backend of a chain, then about the memo.

    All are asked at the same time, each for at most ``patience`` seconds. Of a chain
    within the chain its backends are asked. ``name``: the file to read; None: one that
    a listing shows.
    """
    asked = [
        _Asked(path, backend, _Questions(backend, name).ask)
        for path, backend in _leaves(engine.backends)
    ]
    if engine.memo.is_shared:
        asked.append(_Asked("memo", None, _ask_memo(engine)))
    end = time.monotonic() + patience
    for each in asked:
        yield each.finding(max(0.0, end - time.monotonic()))


def _leaves(
    backends: Sequence[Backend], above: str = ""
) -> Iterator[tuple[str, Backend]]:
    for backend in backends:
        within = tuple(entries_of(backend.storage))
        name = f"{above}{backend.name}"
        if within:
            yield from _leaves(within, f"{name}/")
        else:
            yield name, backend


class _Asked:
    """Somebody who is being asked, by a thread that may be given up."""

    def __init__(
        self,
        name: str,
        backend: Backend | None,
        ask: Callable[[dict[str, Answer]], None],
    ) -> None:
        self._name, self._backend = name, backend
        self._answers: dict[str, Answer] = {}
        self._done = threading.Event()
        self._workers = Workers(1)

        def run() -> bool:
            try:
                ask(self._answers)
            finally:
                self._done.set()
            return True

        if self._workers.begin(run) is None:
            run()  # this process may have no threads

    def finding(self, patience: float) -> Finding:
        """Return what has been answered when all is, or this many seconds are over."""
        is_done = self._done.wait(patience)
        answers = dict(self._answers)
        if not is_done:
            # The first one that is not answered is the one that it hangs at.
            for question in ("missing", "place", "lists", "reads"):
                if question not in answers:
                    answers[question] = Answer(Said.SILENT)
                    break
        return Finding(self._name, self._backend, **answers)


def _ask_memo(engine: Engine) -> Callable[[dict[str, Answer]], None]:
    def ask(answers: dict[str, Answer]) -> None:
        def look_up() -> Said:
            engine.memo.store.ping()
            return Said.ABSENT

        answers["missing"] = _answer(look_up)

    return ask


class _Questions:
    """What one backend is asked, by the methods of its storage alone."""

    def __init__(self, backend: Backend, name: str | None) -> None:
        self._backend = backend
        self._storage: Any = backend.storage
        self._profile = backend.profile
        self._name = name

    def ask(self, answers: dict[str, Answer]) -> None:
        """Note the answers; where nobody can be reached, there is one question."""
        missing = _answer(self._has_missing, self._profile.not_found)
        if missing.said is Said.ABSENT:
            # The first answer took the time to make a client as well.
            missing = _answer(self._has_missing, self._profile.not_found)
        answers["missing"] = missing
        if is_unreachable(missing.error):
            return
        place = self._profile.has_place
        found = UNKNOWN if place is None else _answer(lambda: self._lend(place))
        # Who may not ask is told so by a place that is there.
        denied = http_status(found.error) in MAY_NOT_ASK
        answers["place"] = UNKNOWN if denied else found
        answers["lists"] = listing = _answer(self._list)
        name = self._name or listing.name
        answers["reads"] = (
            _answer(lambda: self._read(name), name=name) if name else UNKNOWN
        )

    def _lend(self, function: Callable[..., Any], *args: Any) -> Any:
        return self._backend.lend(function, *args)

    def _has_missing(self) -> bool:
        name = f"fallback-storage-ping-{uuid.uuid4().hex}"
        asks, denies = self._profile.ask_again, self._profile.is_denied
        try:
            return bool(self._lend(asks, name) if asks else self._storage.exists(name))
        except Exception as error:
            is_forbidden = http_status(error) == FORBIDDEN
            allowed = is_forbidden and self._backend.policy.absent_on_403
            if not (denies and allowed and self._lend(denies, name, error)):
                raise
            return False

    def _list(self) -> str | Said:
        """Return a file that a listing shows: of one page, or of a few directories."""
        if lists_flat(self._backend):
            page = next(bare_pages(self._backend, ""), [])
            return page[0].name if page else Said.YES
        directory = ""
        for _ in range(DEPTH):
            directories, files = self._listdir(directory)
            if files:
                return posixpath.join(directory, files[0])
            paths = [posixpath.join(directory, each) for each in directories]
            directory = next((path for path in paths if not is_own(f"{path}/")), "")
            if not directory:
                break
        return Said.YES

    def _listdir(self, directory: str) -> Any:
        if self._profile.listdir is not None:
            return self._lend(self._profile.listdir, directory)
        listdir = getattr(self._storage, "listdir", None)
        if listdir is None:
            raise NotImplementedError
        return listdir(directory)

    def _read(self, name: str) -> Said:
        get = self._profile.first_byte
        if get is not None:
            try:
                self._lend(get, name).close()
            except Exception as error:
                if http_status(error) != EMPTY:
                    raise
        elif self._storage.exists(name):
            # (Not all say at open that there is no such file.)
            with self._storage.open(name) as file:
                file.read(1)
        else:
            return Said.ABSENT
        return Said.YES


def _answer(
    ask: Callable[[], object], not_found: Sequence[str] = (), name: str | None = None
) -> Answer:
    """Return what is said to a question: true, false, or the name of a file."""
    start = time.perf_counter()
    try:
        found = ask()
    except Exception as error:  # noqa: BLE001 - what it says is the answer
        said = _meaning(error, not_found)
        return Answer(said, error, time.perf_counter() - start, name)
    seconds = time.perf_counter() - start
    if isinstance(found, Said):
        return Answer(found, None, seconds, name)
    if isinstance(found, str):
        return Answer(Said.YES, None, seconds, found)
    return Answer(Said.YES if found else Said.ABSENT, None, seconds, name)


def _meaning(error: Exception, not_found: Sequence[str]) -> Said:
    if is_a(error, not_found):
        return Said.ABSENT
    try:
        outcome = classify(error)
    except Exception:  # noqa: BLE001 - one that is raised at once
        return Said.FAILED
    if outcome is Outcome.FAILED:
        return Said.FORBIDDEN if http_status(error) == FORBIDDEN else Said.FAILED
    return Said.ABSENT if outcome is Outcome.ABSENT else Said.UNSUPPORTED
