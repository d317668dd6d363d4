"""Questions that are waited for some time: asked by a thread, answered to the caller.

A call that takes too long cannot be ended. It goes on, and nobody waits for it.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from fallback_storage.utils.unanswered import Dropped, Late
from fallback_storage.utils.workers import Task

if TYPE_CHECKING:
    from collections.abc import Callable

    from fallback_storage.utils.workers import Workers

Answer = TypeVar("Answer")


def ask(
    workers: Workers,
    function: Callable[[], Answer],
    seconds: float,
    size: int,
    prepare: Callable[[], object] | None = None,
    *,
    late: Callable[[BaseException | None], object] | None = None,
) -> Answer:
    """Return what ``function`` returns, called by a thread; raise what it raises.

    In a copy of the caller's context. It is waited for so many seconds from its call
    on; before that it may wait for its turn. ``size``: of how many threads it may be
    one. A file that comes too late is closed. ``prepare`` is called first, by the same
    thread; the time that takes, and the thread takes to begin, is no part of the
    ``seconds``, unless it is longer than them. ``late`` is told by the thread that the
    call has ended after all, and what it raised.

    Raises ``Late``, ``Dropped``, and ``NoThreads`` if the process may have no more.
    """
    room = workers.room
    if getattr(threading.current_thread(), "room", None) is room:
        return function()  # a part of a question, and of its time
    question = _Question(function, prepare, late)
    try:
        is_begun = room.place(question, size, waits=True)
        return question.wait(seconds, is_begun=is_begun)
    except Late:
        if room.is_stuck:
            room.drop()
        raise
    except Dropped:
        raise Dropped(stuck=room.is_stuck) from None
    finally:
        question.give_up()


class _Question(Task, Generic[Answer]):
    is_unclean = False

    def __init__(
        self,
        function: Callable[[], Answer],
        prepare: Callable[[], object] | None,
        late: Callable[[BaseException | None], object] | None = None,
    ) -> None:
        super().__init__(function)
        self._prepare = prepare
        self._late = late
        self._prepared_at: float | None = None
        self._is_dropped = False
        self._answer: Any = None
        self._error: BaseException | None = None
        # Held until it is begun, or dropped.
        self._turn = threading.Lock()
        self._turn.acquire()
        # Taken by who is first: the thread, with an answer, or the caller, who leaves.
        self._ended = threading.Lock()

    def _call(self) -> bool:
        self._turn.release()
        answer: Any = None
        if self._prepare is not None:
            with suppress(Exception):  # the question will meet it as well
                self._context.run(self._prepare)
        self._prepared_at = time.monotonic()
        try:
            answer = self._context.run(self._function)
        except BaseException as error:  # noqa: BLE001 - the caller's thread raises it
            self._error = error
            self.is_unclean = True
        self._answer = answer
        if not self._ended.acquire(blocking=False):
            if self._late is not None:
                self._late(self._error)
            self._answer = self._error = None
            with suppress(Exception):
                answer.close()
        return True

    def wait(self, seconds: float, *, is_begun: bool) -> Answer:
        """Return the answer, or raise what the call raised, or ``Unanswered``."""
        if not is_begun:
            self._turn.acquire()
            if self._is_dropped:
                raise Dropped(stuck=False)
        begun, left = time.monotonic(), seconds
        while not self._told.acquire(timeout=min(left, threading.TIMEOUT_MAX)):
            left = self._left(begun, seconds)
            if left > 0:
                continue
            if self._ended.acquire(blocking=False):
                self.is_given_up = True
                raise Late
            self._told.acquire()  # the answer came just now
            break
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # whose traceback leads here
        return self._answer  # type: ignore[no-any-return]

    def _left(self, begun: float, seconds: float) -> float:
        """Return how much longer it is waited for, on account of its preparation."""
        now = time.monotonic()
        prepared_at = now if self._prepared_at is None else self._prepared_at
        preparation = max(0.0, prepared_at - begun)
        return begun + seconds + min(preparation, seconds) - now

    def give_up(self) -> None:
        """Wait no longer; does nothing if it has ended."""
        if self._ended.acquire(blocking=False):
            self.is_given_up = True
            super().drop()

    def drop(self) -> None:
        if self._begun.acquire(blocking=False):
            self._is_dropped = True
            self._turn.release()
