"""Many items, a few threads: in what order, how many, and how it ends."""

from __future__ import annotations

import threading
from contextvars import ContextVar

import pytest
from django.db import connections

from fallback_storage.utils.workers import spread

METER = ContextVar("meter", default="nobody")


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


def _threads():
    return [
        thread.name
        for thread in threading.enumerate()
        if thread.name.startswith("fallback-storage-")
    ]
