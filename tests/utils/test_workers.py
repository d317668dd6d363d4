"""Many items, a few threads: in what order, how many, and how it ends."""

from __future__ import annotations

import gc
import threading
import weakref
from contextvars import ContextVar

import pytest
from django.db import connections
from forked import needs_fork, run

from fallback_storage.utils import workers
from fallback_storage.utils.spread import SAMPLE, spread
from fallback_storage.utils.workers import Workers

METER = ContextVar("meter", default="nobody")


BEFORE = set()


@pytest.fixture(autouse=True)
def before():
    """Other tests' chains may be garbage that was not collected yet."""
    BEFORE.clear()
    BEFORE.update(threading.enumerate())


@pytest.fixture
def stop():
    return threading.Event()


def double(number):
    return 2 * number


@pytest.mark.parametrize("jobs", [1, 2, 7])
def test_every_item_once(stop, jobs):
    assert sorted(spread(double, range(50), jobs, stop)) == [*range(0, 100, 2)]
    assert list(spread(double, [], jobs, stop)) == []
    assert not stop.is_set()


def test_one_job_is_the_callers_thread(stop):
    assert list(spread(lambda _: threading.get_ident(), [1], 1, stop)) == [
        threading.get_ident()
    ]


class Ticking:
    """An hour passes in every call, of which ``worked`` minutes are work."""

    hours = 0

    def __init__(self, worked):
        self.worked = worked

    def call(self, number):
        self.hours += 1
        return threading.get_ident()

    @property
    def clocks(self):
        return lambda: 60 * self.hours, lambda: self.worked * self.hours


@pytest.mark.parametrize("count", [0, SAMPLE - 1, SAMPLE, 5 * SAMPLE + 3])
def test_threads_help_where_the_caller_waits(stop, count):
    """Not where it works: they take turns."""
    here = threading.get_ident()
    for worked, alone in ((60, count), (21, count), (19, min(count, SAMPLE))):
        hour = Ticking(worked)
        used = list(spread(hour.call, range(count), 2, stop, if_it_waits=hour.clocks))
        assert len(used) == count
        assert used.count(here) == alone


def test_no_thread_is_begun_for_nothing(stop, monkeypatch):
    monkeypatch.setattr(threading.Thread, "start", pytest.fail)
    hour = Ticking(0)
    for count, jobs in ((SAMPLE - 1, 2), (SAMPLE + 1, 1)):
        found = spread(hour.call, range(count), jobs, stop, if_it_waits=hour.clocks)
        assert len(list(found)) == count


def test_how_long_it_waits_is_seen_anew(stop):
    """The first files may lie in memory, and the others not."""
    hour, here = Ticking(60), threading.get_ident()
    found = spread(hour.call, range(6 * SAMPLE), 2, stop, if_it_waits=hour.clocks)
    begun = [next(found) for _ in range(2 * SAMPLE)]
    hour.worked, hour.hours = 0, 0
    assert [*begun, *found].count(here) == 3 * SAMPLE


def test_threads_have_the_callers_context(stop):
    token = METER.set("the caller")
    try:
        assert set(spread(lambda _: METER.get(), range(4), 2, stop)) == {"the caller"}
    finally:
        METER.reset(token)


def test_threads_close_their_connections(stop):
    """They would be left open until the database ends them."""
    closed = []

    def connect(number):
        connection = connections["default"]
        connection.close = lambda: closed.append(id(connection))
        return id(connection)

    used = set(spread(connect, range(10), 2, stop))
    assert sorted(closed) == sorted(used)
    assert id(connections["default"]) not in used


def test_a_connection_that_cannot_be_closed_is_waited_for_by_nobody(monkeypatch):
    class Broken:
        def close(self):
            raise OSError("gone")

    monkeypatch.setattr(connections, "all", lambda **_: [Broken()])
    pool = Workers(1)
    task = pool.begin(lambda: True)
    finished = threading.Thread(target=task.finish, daemon=True)
    finished.start()
    finished.join(30)
    assert not finished.is_alive()
    pool.end()


@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_the_function_raises_ends_it(stop, jobs, error):
    def fail(number):
        if number == 5:
            raise error
        return number

    with pytest.raises(error):
        list(spread(fail, range(1000), jobs, stop))
    assert _threads() == []


def test_ended_early_it_does_no_more(stop):
    """What is under way is told by ``stop``; what waits is not begun."""
    begun = []

    def wait(number):
        begun.append(number)
        if number:
            assert stop.wait(60)

    answers = spread(wait, range(1000), 2, stop)
    next(answers)
    answers.close()
    assert stop.is_set()
    assert len(begun) <= 3
    assert _threads() == []


def test_a_process_without_threads_works_alone(stop, monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert list(spread(double, range(9), 3, stop)) == [*range(0, 18, 2)]


# Kept threads


def thread_of(pool, needed=True):
    """The thread of a pool that a task is given to, when it has done it."""
    found, idle = [], pool.idle
    task = pool.begin(lambda: found.append(threading.current_thread()) or needed)
    assert task._told.acquire(timeout=20)
    until_idle(pool, idle)
    return found[0]


def until_idle(pool, number=1):
    """Wait for what a thread does after a task, and tells nobody."""
    for _ in range(100_000):
        if pool.idle == number:
            return
        threading.Event().wait(0.0001)
    raise AssertionError


def busy(pool, number):
    """Have several threads at work at once; return what lets each of them end."""
    gates = []
    for _ in range(number):
        begun, gate = threading.Event(), threading.Event()
        assert pool.begin(lambda b=begun, g=gate: b.set() or g.wait(20))
        assert begun.wait(20)
        gates.append(gate)
    return gates


def test_the_thread_that_was_used_last_is_used_first():
    pool = Workers(3)
    first, second, third = busy(pool, 3)
    assert pool.begin(double) is None  # there are no more
    for idle, gate in enumerate((second, first, third), 1):
        gate.set()
        until_idle(pool, idle)
    last = thread_of(pool)
    assert thread_of(pool) is last
    # One that found nothing to do may have no client yet.
    assert thread_of(pool, needed=False) is last
    assert thread_of(pool) is not last
    pool.end()
    assert _threads() == []


def test_what_has_not_begun_is_not_waited_for(monkeypatch):
    """Nor does it begin afterwards."""
    monkeypatch.setattr(threading.Thread, "start", lambda thread: None)
    called = []
    pool = Workers(1)
    task = pool.begin(lambda: called.append(1))
    task.finish()
    assert task.run() is False
    assert called == []


def test_threads_end_when_they_are_not_needed(monkeypatch):
    monkeypatch.setattr(workers, "IDLE", 0.001)
    pool = Workers(2)
    (gate,) = busy(pool, 1)
    (thread,) = _threads()
    gate.set()
    thread.join(20)
    assert not thread.is_alive()
    assert pool.idle == 0
    (gate,) = busy(pool, 1)  # another one
    gate.set()
    pool.end()


def test_a_thread_that_cannot_be_started_takes_no_place(monkeypatch):
    """Nor does one in whose start the caller was interrupted."""
    pool = Workers(1)
    for error, raised in ((RuntimeError, None), (KeyboardInterrupt,) * 2):
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", _raising(error))
            if raised is None:
                assert pool.begin(double) is None
            else:
                with pytest.raises(raised):
                    pool.begin(double)
    (gate,) = busy(pool, 1)
    gate.set()
    pool.end()


def _raising(error):
    def start(thread):
        raise error

    return start


def test_what_was_asked_is_not_kept_alive():
    """A thread that waits holds neither its pool nor what it has done last."""

    class Question:
        def __call__(self):
            return True

    pool, question = Workers(1), Question()
    kept = weakref.ref(question), weakref.ref(pool)
    pool.begin(question)
    until_idle(pool)
    del question
    assert kept[0]() is None
    (thread,) = _threads()
    del pool
    gc.collect()
    assert kept[1]() is None
    thread.join(20)
    assert not thread.is_alive()


def test_a_pool_that_goes_while_its_threads_work():
    pool = Workers(1)
    (gate,) = busy(pool, 1)
    (thread,) = _threads()
    del pool
    gc.collect()
    gate.set()
    thread.join(20)
    assert not thread.is_alive()


@needs_fork
@pytest.mark.slow
def test_a_forked_child_starts_anew():
    """It has none of the threads that the parent counts as its own."""
    run(
        """
        from fallback_storage.utils.workers import Workers

        pool = Workers(1)

        def ask():
            done = threading.Event()
            assert pool.begin(done.set) is not None
            assert done.wait(20)
            while not pool.idle:
                pass

        ask()
        in_child(ask)
        ask()
        """
    )


def _threads():
    """The threads that this test has started, and that have not ended."""
    return [
        thread
        for thread in threading.enumerate()
        if thread.name.startswith("fallback-storage-") and thread not in BEFORE
    ]
