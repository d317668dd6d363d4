"""Asking one backend about many names.

The answers are those of one ``exists`` after the other, and so are the errors. What
differs is the cost; and where a backend cannot be reached, of three names in a row or
for a listing, the others of this batch are not asked for: they have failed with it. In
this order:

* Names in a local directory are looked at (``look``). If the directory is not there, it
  holds no file: one look at it is enough.
* Where a listing is cheaper than the questions, the common directory is listed. Object
  stores charge, and take, for a page of 1,000 keys what 12.5 questions do.
* What is left is asked in several threads, of backends that bear it and are slow.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import defaultdict, deque
from contextlib import suppress
from contextvars import copy_context
from typing import TYPE_CHECKING

from fallback_storage.chain.flat_listing import flat_pages, lists_flat
from fallback_storage.chain.listing import PAGE_SIZE
from fallback_storage.chain.look import is_plain_directory
from fallback_storage.chain.names import memo_key
from fallback_storage.chain.outcomes import Attempt, Outcome, classify, http_status
from fallback_storage.chain.reach import THREADS
from fallback_storage.chain.reachability import is_unreachable
from fallback_storage.chain.second_look import FORBIDDEN, LISTING
from fallback_storage.chain.walk import Walk
from fallback_storage.exceptions import BackendUnavailable, MissingPlaceError
from fallback_storage.signals import Failure, backend_failed, send

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from fallback_storage.chain.backend import Backend
    from fallback_storage.chain.flat_listing import Listed
    from fallback_storage.chain.look import Look
    from fallback_storage.utils.workers import Workers

# What one page of a listing costs, in questions.
PAGE_COST = 12.5
# A page is tried for so many names. It may tell of none of them: then it was not more
# than half of what they cost.
WORTH_LISTING = 25

# Names in a row for which a backend cannot be reached, until the rest is not asked for.
IN_A_ROW = 3

# What a server answers that lets nobody list, or not in this way. (Any other error is
# one that the questions would get as well.)
CANNOT_LIST = frozenset({FORBIDDEN, 405, 501})
NOT_FOUND = 404

# What it costs (seconds) to hand questions to one more thread: to a new one, which makes
# a client of its own, and to one that was kept. Many threads make their clients one after
# the other, on one processor.
NEW_THREAD = 0.1
KEPT_THREAD = 0.001
# Questions asked one after the other before it is known how long one takes. The first
# does not count: it may be the one that makes a client.
SAMPLE = 4


def probe_many(backend: Backend, names: Collection[str]) -> dict[str, Attempt]:
    """Return what the backend answers for each name; see ``probe_walks``."""
    walks = [Walk("exists", name) for name in names]
    probe_walks(backend, walks)
    return {walk.name: walk.trail[-1] for walk in walks}


def probe_walks(backend: Backend, walks: Sequence[Walk]) -> None:
    """Ask the backend for the name of every walk; each gets its line in its trail.

    Raises what ``Walk.probe`` raises, for the first name for which it does.
    """
    pending = {walk.name: walk for walk in walks}
    # (What is waited for, is asked for name after name.)
    look = None if backend.deadline else backend.look
    if len(pending) > 1 and look is not None and is_plain_directory(backend.storage):
        _look_into_directories(backend, look, pending)
    elif len(pending) >= WORTH_LISTING and backend.may_list and lists_flat(backend):
        _list(backend, pending)
    _ask(backend, [walk for walk in walks if walk.name in pending])


# Local directories


def _look_into_directories(
    backend: Backend, look: Look, pending: dict[str, Walk]
) -> None:
    by_directory = defaultdict(list)
    for name in pending:
        by_directory[name.rpartition("/")[0]].append(name)
    for directory, names in by_directory.items():
        # What is wrong with a name, the questions will tell.
        with suppress(Exception):
            _look_into(backend, look, pending, directory, names)


def _look_into(
    backend: Backend,
    look: Look,
    pending: dict[str, Walk],
    directory: str,
    names: Sequence[str],
) -> None:
    start = time.perf_counter()
    if directory and len(names) > 1 and look(directory) is Outcome.ABSENT:
        seconds = time.perf_counter() - start
        backend.count(seconds)
        _decide(backend, pending, names, Outcome.ABSENT, seconds)
        return
    answers = defaultdict(list)
    for name in names:
        answers[look(name)].append(name)
    seconds = time.perf_counter() - start
    backend.count_many(len(names), seconds)
    share = seconds / len(names)
    for outcome, found in answers.items():
        _decide(backend, pending, found, outcome, share * len(found))


# Listings


def _list(backend: Backend, pending: dict[str, Walk]) -> None:
    """Decide what listings decide for less than the questions would cost."""
    # What means a directory is in no listing of files.
    groups = [sorted(name for name in pending if memo_key(name) is not None)]
    while groups and backend.may_list:
        names = [name for name in groups.pop() if name in pending]
        if len(names) < WORTH_LISTING:
            continue
        start = _common_start(names[0], names[-1])
        if _list_group(backend, pending, names, start):
            continue
        # Too much else lies between them. Perhaps their directories are better.
        left = [name for name in names if name in pending]
        below = len(start[: start.rfind("/") + 1])
        parts = defaultdict(list)
        for name in left:
            directory, slash, _ = name[below:].partition("/")
            if slash:
                parts[directory].append(name)
        groups += [part for part in parts.values() if len(part) < len(names)]


def _common_start(first: str, last: str) -> str:
    for position, (one, other) in enumerate(zip(first, last, strict=False)):
        if one != other:
            return first[:position]
    return first


def _list_group(
    backend: Backend, pending: dict[str, Walk], names: list[str], start: str
) -> bool:
    """List what begins with ``start``; false if that was given up as too costly."""
    cost = 0.0
    too_costly = False
    try:
        for page, seconds in _timed(flat_pages(backend, start, own=True)):
            backend.count(seconds)
            held = [listed.name for listed in page if listed.name in pending]
            _decide(backend, pending, held, Outcome.HELD, seconds)
            cost += PAGE_COST
            # How far it came, if it is in order. That is not relied on: a name is
            # absent when the whole listing has ended without it.
            passed = bisect_right(names, page[-1].name) if page else 0
            # A page with less than it could hold is the last one, as a rule. (Not where
            # there are keys that are no names, or a server gives less.)
            was_too_costly, too_costly = too_costly, cost > passed
            if too_costly and (was_too_costly or len(page) == PAGE_SIZE):
                return False
    except Exception as error:  # noqa: BLE001 - what it says is the answer
        if not isinstance(error, BackendUnavailable) or error.was_called:
            backend.count(0.0, failed=True)
        classify(error)  # raises what must not be passed over
        _settle(backend, pending, start, error)
        return True
    absent = [name for name in names if name in pending]
    _decide(backend, pending, absent, Outcome.ABSENT)
    return True


def _settle(
    backend: Backend, pending: dict[str, Walk], start: str, error: Exception
) -> None:
    """Decide what a listing that failed decides: all names that are left, or none."""
    if backend_failed.receivers:
        failure = Failure(backend.name, LISTING, start, error, 0.0)
        send(backend_failed, backend.owner, failure=failure)
    status = http_status(error)
    if status in CANNOT_LIST:
        # It would be refused for the next names, too.
        backend.may_list = False
    elif status is not None or is_unreachable(error):
        if status == NOT_FOUND:
            # A listing finds nothing, but it needs a bucket.
            missing = MissingPlaceError(backend.name)
            missing.__cause__, error = error, missing
        _decide(backend, pending, list(pending), Outcome.FAILED, error=error)


def _timed(pages: Iterator[list[Listed]]) -> Iterator[tuple[list[Listed], float]]:
    while True:
        start = time.perf_counter()
        page = next(pages, None)
        if page is None:
            return
        yield page, time.perf_counter() - start


def _decide(
    backend: Backend,
    pending: dict[str, Walk],
    names: Collection[str],
    outcome: Outcome,
    seconds: float = 0.0,
    *,
    error: Exception | None = None,
) -> None:
    if names:
        attempt = Attempt(backend.name, outcome, error, seconds=seconds / len(names))
        for name in names:
            pending.pop(name).add(attempt)


# Questions


class _Row:
    """The failures in a row of a backend that cannot be reached.

    ``ended_by``: the last of them, once the others of the batch are not to be asked for.
    Of a chain within the chain only a part may be away, which has other names not.
    """

    def __init__(self, backend: Backend) -> None:
        self.ended_by: Exception | None = None
        self._backend = backend
        self._is_one = not backend.is_chain
        self._failures = self._answers = 0

    def probe(self, walk: Walk) -> None:
        """Ask for the name of a walk, or let it fail like the last one."""
        if self.ended_by is not None:
            walk.note(self._backend, Outcome.FAILED, self.ended_by)
            return
        before = self._answers
        walk.probe(self._backend)
        error = walk.trail[-1].exception
        if walk.last is not Outcome.FAILED or not is_unreachable(error):
            self._answers += 1
            self._failures = 0
        elif self._is_one and before == self._answers:
            # (Nor has another thread had an answer meanwhile.)
            self._failures += 1
            if self._failures >= IN_A_ROW or isinstance(error, BackendUnavailable):
                self.ended_by = error


def _ask(backend: Backend, walks: Sequence[Walk]) -> None:
    row = _Row(backend)
    if not backend.profile.concurrent:
        for walk in walks:
            row.probe(walk)
        return
    start = time.perf_counter()
    for asked, walk in enumerate(walks):
        if asked >= SAMPLE:
            each = (time.perf_counter() - start) / (asked - 1)
            threads = _worth(each * (len(walks) - asked), backend.workers.idle)
            if threads and row.ended_by is None:
                _ask_in_threads(row, backend.workers, walks[asked:], threads)
                return
        row.probe(walk)
        if not asked:
            start = time.perf_counter()


def _worth(seconds: float, kept: int) -> int:
    """Return how many threads are to help with questions that take ``seconds`` in all.

    Each one more, while it saves more than it costs. Beside ``kept`` ones, new ones only
    for twice as many: questions never take quite the same time.
    """
    new = NEW_THREAD * (4 if kept else 1)
    threads = 0
    while threads < THREADS:
        cost = KEPT_THREAD if threads < kept else new
        if seconds < cost * (threads + 1) * (threads + 2):
            break
        threads += 1
    return threads


def _ask_in_threads(
    row: _Row, workers: Workers, walks: Sequence[Walk], threads: int
) -> None:
    """Ask from some threads as well; raise what the first name in order raised.

    The caller's own could do it alone: others may not be had.
    """
    left = deque(enumerate(walks))
    errors: dict[int, BaseException] = {}
    # Each with the caller's context: what tracing and metering go by.
    context = copy_context()

    def ask() -> bool:
        has_asked = False
        while left and not errors:  # what has not begun will not
            with suppress(IndexError):  # another thread took the last one
                position, walk = left.popleft()
                has_asked = True
                try:
                    context.copy().run(row.probe, walk)
                except BaseException as error:  # noqa: BLE001 - raised below
                    errors[position] = error
        return has_asked

    try:
        tasks = [workers.begin(ask) for _ in range(threads)]
        ask()
        if all(isinstance(error, Exception) for error in errors.values()):
            for task in filter(None, tasks):
                task.finish()
    except BaseException:
        left.clear()  # Ctrl-C: nothing is waited for
        raise
    if errors:
        raise errors[min(errors)]
