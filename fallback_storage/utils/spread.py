"""Many items, worked on by a few threads for one run."""

from __future__ import annotations

import time
from itertools import islice
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from fallback_storage.utils.workers import Workers

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Generator, Iterable, Iterator

    # Of the time that passes, and of that in which this thread works: seconds.
    Clocks = tuple[Callable[[], float], Callable[[], float]]

Item = TypeVar("Item")
Answer = TypeVar("Answer")

# Items on their way, for each thread: one that is worked on and one that waits.
AHEAD = 2

# Items after which it is seen anew whether threads are worth it; and how many times as
# long as it works one has to wait for that. (They take turns at the interpreter: copies
# of small local files take more than twice the CPU time in four threads.)
SAMPLE = 16
WAITS = 2.0
CLOCKS = time.perf_counter, time.thread_time


def spread(
    function: Callable[[Item], Answer],
    items: Iterable[Item],
    jobs: int,
    stop: threading.Event,
    *,
    if_it_waits: Clocks | None = None,
) -> Generator[Answer, None, None]:
    """Yield ``function(item)`` for every item, in the order in which they are done.

    The same ``jobs`` threads from the first item to the last; with one job, the
    caller's own. ``if_it_waits``: that as well until it waits more than it works, by these
    clocks. What ``function`` raises ends it. Ended early, it sets ``stop`` and
    waits for what is under way.
    """
    if if_it_waits is not None and jobs > 1:
        items = iter(items)
        if not (yield from _while_it_works(function, items, if_it_waits)):
            return
    if jobs == 1:
        yield from map(function, items)
        return
    crew = _Crew(function, jobs, stop)
    try:
        if not crew.jobs:  # this process may have no threads
            yield from map(function, items)
            return
        for item in items:
            if crew.under_way >= AHEAD * jobs:
                yield crew.take()
            crew.give(item)
        while crew.under_way:
            yield crew.take()
    finally:
        crew.end()


def _while_it_works(
    function: Callable[[Item], Answer], items: Iterator[Item], clocks: Clocks
) -> Generator[Answer, None, bool]:
    """Do the same on the caller's thread, until that waits; return whether it does.

    Else there is no more to do.
    """
    clock, working = clocks
    while True:
        done, passed, worked = 0, 0.0, 0.0
        for item in islice(items, SAMPLE):
            begin, begin_working = clock(), working()
            answer = function(item)
            passed += clock() - begin
            worked += working() - begin_working
            done += 1
            yield answer
        if done < SAMPLE:
            return False
        if passed > (1 + WAITS) * worked:
            return True


class _Crew(Generic[Item, Answer]):
    """The threads of one run, few items on their way to them, and their answers."""

    def __init__(
        self, function: Callable[[Item], Answer], jobs: int, stop: threading.Event
    ) -> None:
        self.under_way = 0
        self._function = function
        self._stop = stop
        self._items: SimpleQueue[tuple[Item] | None] = SimpleQueue()
        self._answers: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        self._workers = Workers(jobs)
        self.jobs = sum(
            self._workers.begin(self._work) is not None for _ in range(jobs)
        )

    def give(self, item: Item) -> None:
        """Have an item worked on."""
        self.under_way += 1
        self._items.put((item,))

    def take(self) -> Answer:
        """Return an answer, or raise what the function raised; waits for it."""
        answer, error = self._answers.get()
        self.under_way -= 1
        if error is not None:
            raise error
        return answer  # type: ignore[no-any-return]

    def end(self) -> None:
        """Let the threads come to their end."""
        if self.under_way:
            self._stop.set()
        for _ in range(self.jobs):
            self._items.put(None)
        self._workers.end()

    def _work(self) -> None:
        while (item := self._items.get()) is not None:
            if not self._stop.is_set():
                self._answers.put(self._answer(*item))

    def _answer(self, item: Item) -> tuple[Any, BaseException | None]:
        try:
            return self._function(item), None
        except BaseException as error:  # noqa: BLE001 - the caller's thread raises it
            return None, error
