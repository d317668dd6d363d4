"""Threads that are kept and used again: for questions to one backend, or for one run.

Clients are often kept by thread, and cost a lot to make (boto3: 80 to 100 ms of CPU). So
the thread that was used last is the first to be used again, and one that has nothing to
do waits for more before it ends. They are daemons: a process that ends, by Ctrl-C say,
waits for none of them.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from contextlib import suppress
from contextvars import copy_context
from typing import TYPE_CHECKING, Final

from fallback_storage.utils import forks
from fallback_storage.utils.unanswered import NoThreads

if TYPE_CHECKING:
    from collections.abc import Callable

# Seconds after which a thread ends that has nothing to do.
IDLE = 60.0

# What uWSGI may be told for "no".
OFF: Final = frozenset({"0", "false", "no", "off"})


class Workers:
    """Up to ``size`` daemon threads, which end some time after they were needed last.

    Also when this object is gone: the threads do not hold it. A forked child has none.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        _watch_connections()
        self.after_fork()
        forks.register(self)

    def after_fork(self) -> None:
        self._room = Room()

    def __del__(self) -> None:
        self._room.close()

    @property
    def idle(self) -> int:
        """How many threads wait for something to do."""
        return len(self._room.idle)

    def begin(self, function: Callable[[], object]) -> Task | None:
        """Have a thread call ``function``, in a copy of the caller's context.

        It must not raise, and returns whether it found anything to do: a thread that
        did not is the last to be used again. None: no thread is to be had; they are
        all busy, or the process ends or may have no more of them.
        """
        task = Task(function)
        try:
            return task if self.room.place(task, self.size) else None
        except NoThreads:
            return None

    @property
    def room(self) -> Room:
        """Return what the threads share; of a forked child, a new one.

        Also where nobody was told of the fork, as by uWSGI.
        """
        if self._room.process != os.getpid():
            self.after_fork()
        return self._room

    def end(self) -> None:
        """Let the threads come to their end, and wait for it."""
        threads = list(self._room.threads)
        self._room.close()
        for thread in threads:
            thread.join()


class _Here(threading.local):
    """What is known of a thread: whether it has ever connected to a database."""

    has_connected = False


_here = _Here()


def _note_connection(**_: object) -> None:
    _here.has_connected = True


def _watch_connections() -> None:
    # (Most of what Django needs for databases: not for those who have no workers.)
    from django.db.backends.signals import connection_created

    connection_created.connect(_note_connection)


class Task:
    """A call that a thread is to make."""

    # Whether it may have left a connection that was not made whole, which nobody is told.
    is_unclean = True
    # Whether it goes on, and nobody waits for it any more.
    is_given_up = False

    def __init__(self, function: Callable[[], object]) -> None:
        self._function = function
        self._context = copy_context()
        # Taken by who begins it, or sees to it that nobody does; held until it is done.
        # (An Event would take as long to be made as all else that is done for a task.)
        self._begun, self._told = threading.Lock(), threading.Lock()
        self._told.acquire()

    def run(self) -> bool:
        """Make the call, unless that is not wanted any more."""
        if not self._begun.acquire(blocking=False):
            return False
        try:
            return self._call()
        finally:
            # A storage may keep its files, or what it knows of them, in a database.
            # (Where none does, to look for connections is a fifth of what a question costs.)
            if self.is_unclean or _here.has_connected:
                from django.db import connections  # which is imported already

                for connection in connections.all(initialized_only=True):
                    with suppress(Exception):  # it may be broken already
                        connection.close()

    def _call(self) -> bool:
        return bool(self._context.run(self._function))

    def finish(self) -> None:
        """Wait for the end of the call; if it has not begun, it never will."""
        if not self._begun.acquire(blocking=False):
            with self._told:
                pass

    def drop(self) -> None:
        """See to it that it is not begun."""
        self._begun.acquire(blocking=False)

    def tell(self) -> None:
        """Be told by the thread that it is done, and can be used again."""
        self._told.release()


class Room:
    """What threads know of each other."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.process = os.getpid()
        self.threads: set[_Worker] = set()
        # The last is the one to be used next.
        self.idle: list[_Worker] = []
        self.waiting: deque[Task] = deque()
        self.closed = False

    @property
    def is_stuck(self) -> bool:
        """Whether every thread does what nobody waits for any more."""
        with self.lock:
            return all(thread.is_stuck for thread in self.threads)

    def place(self, task: Task, size: int, *, waits: bool = False) -> bool:
        """Give a task to one of up to ``size`` threads; false if all are busy.

        ``waits``: then it is the turn of the task later, unless they are all stuck.
        Raises ``NoThreads``.
        """
        thread = None
        try:
            with self.lock:
                if self.idle:
                    self.idle.pop().give(task)
                    return True
                if len(self.threads) >= size:
                    if not waits or self.is_stuck:
                        task.drop()
                    else:
                        self.waiting.append(task)
                    return False
                if not _may_have_threads():
                    raise NoThreads
                thread = _Worker(self, task)
                self.threads.add(thread)
            thread.start()
        except RuntimeError:
            raise NoThreads from None
        finally:
            # An interrupt may have come at any moment.
            if thread is not None and not thread.is_alive():
                self.threads.discard(thread)
        return True

    def drop(self) -> None:
        """Drop what waits for its turn."""
        with self.lock:
            waiting = list(self.waiting)
            self.waiting.clear()
        for task in waiting:
            task.drop()

    def close(self) -> None:
        """Have the threads end that wait. Takes no lock: the garbage collector calls it."""
        self.closed = True
        while self.idle:
            try:
                self.idle.pop().give(None)
            except IndexError:
                return


def _may_have_threads() -> bool:
    """Whether threads run in this process: in uWSGI's only if it was told so."""
    options = getattr(sys.modules.get("uwsgi"), "opt", {})
    enabled = options.get("enable-threads", not options)
    if isinstance(enabled, bytes):
        enabled = enabled.decode()
    return "threads" in options or str(enabled).lower() not in OFF


class _Worker(threading.Thread):
    def __init__(self, room: Room, task: Task) -> None:
        super().__init__(name="fallback-storage-worker", daemon=True)
        self.room = room
        self._task: Task | None = task
        self._under_way: Task | None = None
        self._given = threading.Lock()
        self._given.acquire()

    @property
    def is_stuck(self) -> bool:
        """Whether it does what nobody waits for any more."""
        task = self._under_way
        return task is not None and task.is_given_up

    def give(self, task: Task | None) -> None:
        """Hand over something to do; None: nothing more will come."""
        self._task = task
        self._given.release()

    def run(self) -> None:
        try:
            while (task := self._task) is not None:
                self._task, self._under_way = None, task
                was_needed = task.run()
                self._under_way = None
                is_idle = self._rest(last=was_needed)
                # Not before: the next question is for a thread that has its client.
                task.tell()
                # What is waited with is kept alive.
                del task
                if is_idle:
                    self._wait()
        finally:
            with self.room.lock:
                self.room.threads.discard(self)
            # Where something has gone wrong: nobody waits for a thread that is no more.
            if self._under_way is not None:
                self._under_way.tell()
            if not self.room.threads:
                self.room.drop()

    def _rest(self, *, last: bool) -> bool:
        """Be idle from now on, unless a task waits."""
        room = self.room
        with room.lock:
            if room.waiting:
                self._task = room.waiting.popleft()
                return False
            room.idle.insert(len(room.idle) if last else 0, self)
        if room.closed:
            room.close()
        return True

    def _wait(self) -> None:
        """Wait for a task, some time."""
        room = self.room
        if not self._given.acquire(timeout=IDLE):
            with room.lock:
                if self in room.idle:
                    room.idle.remove(self)
                else:  # a task has come just now
                    self._given.acquire(blocking=False)
