"""Asking one backend about one name after the other, with the help of some threads.

Where it cannot be reached, of a few names in a row, the others are not asked for: they
have failed with these.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from contextvars import copy_context
from typing import TYPE_CHECKING

from fallback_storage.chain.outcomes import Outcome
from fallback_storage.chain.reach import THREADS
from fallback_storage.chain.reachability import is_unreachable
from fallback_storage.exceptions import BackendUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fallback_storage.chain.backend import Backend
    from fallback_storage.chain.walk import Walk
    from fallback_storage.utils.workers import Workers

# Names in a row for which a backend cannot be reached, until the rest is not asked for.
IN_A_ROW = 3

# What it costs (seconds) to hand questions to one more thread: to a new one, which makes
# a client of its own, and to one that was kept. Many threads make their clients one after
# the other, on one processor.
NEW_THREAD = 0.1
KEPT_THREAD = 0.001
# Questions asked one after the other before it is known how long one takes. The first
# does not count: it may be the one that makes a client.
SAMPLE = 4


def ask(backend: Backend, walks: Sequence[Walk]) -> None:
    """Ask for the name of each walk; raise what the first in order raises."""
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

    def help_out() -> bool:
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
        tasks = [workers.begin(help_out) for _ in range(threads)]
        help_out()
        if all(isinstance(error, Exception) for error in errors.values()):
            for task in filter(None, tasks):
                task.finish()
    except BaseException:
        left.clear()  # Ctrl-C: nothing is waited for
        raise
    if errors:
        raise errors[min(errors)]
