"""A function called for many items from several threads, with few items on their way."""

from __future__ import annotations

import threading
from contextvars import copy_context
from queue import SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

from django.db import connections

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

Item = TypeVar("Item")
Answer = TypeVar("Answer")

# Items on their way, for each thread: one that is worked on and one that waits.
AHEAD = 2


def spread(
    function: Callable[[Item], Answer],
    items: Iterable[Item],
    jobs: int,
    stop: threading.Event,
) -> Generator[Answer, None, None]:
    """Yield ``function(item)`` for every item, in the order in which they are done.

    The same ``jobs`` threads from the first item to the last, since clients are often
    kept by thread; with one job, the caller's own. What ``function`` raises ends it.
    Ended early, it sets ``stop`` and waits for what is under way.
    """
    if jobs == 1:
        yield from map(function, items)
        return
    crew = Crew(function, jobs, stop)
    try:
        for item in items:
            if crew.under_way >= AHEAD * jobs:
                yield crew.take()
            crew.give(item)
        while crew.under_way:
            yield crew.take()
    finally:
        crew.end()


class Crew(Generic[Item, Answer]):
    """The threads."""

    def __init__(
        self, function: Callable[[Item], Answer], jobs: int, stop: threading.Event
    ) -> None:
        self.under_way = 0
        self._function = function
        self._stop = stop
        self._items: SimpleQueue[tuple[Item] | None] = SimpleQueue()
        self._answers: SimpleQueue[Answer | _Raised] = SimpleQueue()
        self._threads = [
            threading.Thread(
                # Each with the caller's context: what tracing and metering go by.
                target=copy_context().run,
                args=(self._work,),
                name=f"fallback-storage-{number}",
                # A second Ctrl-C does not wait.
                daemon=True,
            )
            for number in range(jobs)
        ]
        for thread in self._threads:
            thread.start()

    def give(self, item: Item) -> None:
        """Have an item worked on."""
        self.under_way += 1
        self._items.put((item,))

    def take(self) -> Answer:
        """Return an answer, or raise what the function raised; waits for it."""
        answer = self._answers.get()
        self.under_way -= 1
        if isinstance(answer, _Raised):
            raise answer.error
        return answer

    def end(self) -> None:
        """Let the threads come to their end."""
        if self.under_way:
            self._stop.set()
        for _ in self._threads:
            self._items.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        try:
            while (item := self._items.get()) is not None:
                if not self._stop.is_set():
                    self._answers.put(self._answer(*item))
        finally:
            # A storage may keep its files, or what it knows of them, in a database.
            connections.close_all()

    def _answer(self, item: Item) -> Answer | _Raised:
        try:
            return self._function(item)
        except BaseException as error:  # noqa: BLE001 - the caller's thread raises it
            return _Raised(error)


class _Raised:
    def __init__(self, error: BaseException) -> None:
        self.error = error
