"""Questions in threads: answered in time, given up, or not asked."""

from __future__ import annotations

import os
import sys
import threading
import types

import pytest
from django.db import connections
from django.db.backends.signals import connection_created

from fallback_storage.utils import questions, workers
from fallback_storage.utils.questions import Dropped, Late
from fallback_storage.utils.workers import NoThreads, Workers


@pytest.fixture
def pool():
    pool = Workers(3)
    yield pool
    pool.end()


def ask(pool, function, seconds=30, size=3):
    return questions.ask(pool, function, seconds, size)


class Gate:
    """A call that waits until it is opened."""

    def __init__(self, answer=None):
        self.begun, self.opened = threading.Event(), threading.Event()
        self.answer = answer

    def __call__(self):
        self.begun.set()
        assert self.opened.wait(30)
        return self.answer


def in_thread(function):
    found = []

    def call():
        try:
            found.append(function())
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()

    def result():
        thread.join(30)
        return found[0]

    return result


def give_up(pool, number, size=3):
    """Have so many threads hang in calls that nobody waits for."""
    gates = [Gate() for _ in range(number)]
    for gate in gates:
        with pytest.raises(Late):
            ask(pool, gate, 0.01, size)
    return gates


def open_all(gates):
    for gate in gates:
        gate.opened.set()


def test_what_is_returned_and_what_is_raised(pool):
    """Whatever it is: the caller's thread has it."""
    assert ask(pool, lambda: 7) == 7
    for error in (ValueError(), KeyboardInterrupt(), SystemExit()):

        def fail(error=error):
            raise error

        with pytest.raises(type(error)) as caught:
            ask(pool, fail)
        assert caught.value is error
    assert pool.idle == 1


def test_many_questions_of_many_threads():
    """Each has its own answer, and none waits longer than the others take."""
    pool = Workers(4)

    def work(number):
        return [ask(pool, lambda n=n: (number, n), 30, 4) for n in range(200)]

    results = [in_thread(lambda number=number: work(number)) for number in range(16)]
    for number, result in enumerate(results):
        assert result() == [(number, n) for n in range(200)]
    assert len(pool.room.threads) <= 4
    pool.end()


def test_a_question_in_a_question_has_its_thread(pool):
    """It is a part of it, and of its time; it waits for no other."""
    assert ask(pool, lambda: ask(pool, threading.get_ident), size=1) != (
        threading.get_ident()
    )
    assert len(pool.room.threads) == 1


def test_a_late_answer_is_dropped_and_a_file_closed(pool):
    closed = threading.Event()
    gate = Gate(types.SimpleNamespace(close=closed.set))
    with pytest.raises(Late):
        ask(pool, gate, 0.01)
    gate.opened.set()
    assert closed.wait(30)
    assert ask(pool, lambda: "next") == "next"


def test_who_waits_for_a_turn_is_asked_when_a_thread_is_free(pool):
    """In their order, and their time begins then."""
    gate, order = Gate("first"), []
    first = in_thread(lambda: ask(pool, gate, size=1))
    assert gate.begun.wait(30)
    others = []
    for number in range(3):
        others.append(
            in_thread(lambda n=number: ask(pool, lambda: order.append(n), size=1))
        )
        while len(pool.room.waiting) <= number:
            threading.Event().wait(0.001)
    gate.opened.set()
    assert first() == "first"
    assert [other() for other in others] == [None] * 3
    assert order == [0, 1, 2]


def test_where_all_are_stuck_nobody_waits(pool):
    """Neither who comes later, nor who has come before the last one was given up."""
    gates = give_up(pool, 2)
    last = Gate()
    late = in_thread(lambda: ask(pool, last, 0.3))
    assert last.begun.wait(30)
    waiting = in_thread(lambda: ask(pool, lambda: "never"))
    assert isinstance(late(), Late)
    dropped = waiting()
    assert isinstance(dropped, Dropped)
    assert dropped.stuck
    with pytest.raises(Dropped) as caught:
        ask(pool, lambda: "never")
    assert caught.value.stuck
    # One more may be had for who tries whether it is over.
    assert ask(pool, lambda: "tried", size=4) == "tried"
    open_all([*gates, last])


def test_what_waits_can_be_dropped(pool):
    gate = Gate("first")
    first = in_thread(lambda: ask(pool, gate, size=1))
    assert gate.begun.wait(30)
    waiting = in_thread(lambda: ask(pool, lambda: "never", size=1))
    while not pool.room.waiting:
        threading.Event().wait(0.001)
    pool.room.drop()
    dropped = waiting()
    assert isinstance(dropped, Dropped)
    assert not dropped.stuck
    gate.opened.set()
    assert first() == "first"


def connect():
    """Do what Django does when it connects to a database; return the thread."""
    connection_created.send(sender=None, connection=None)
    return threading.get_ident()


def fail():
    """Do what a storage does that cannot connect."""
    raise ConnectionError


def test_connections_of_the_thread_are_closed(pool, monkeypatch):
    """They would stay open for as long as the thread is kept.

    Also one that was not made whole; and none is looked for where there was never one.
    """
    closed = []

    class Connection:
        def close(self):
            closed.append(threading.get_ident())

    monkeypatch.setattr(connections, "all", lambda **_: [Connection()])
    thread = ask(pool, threading.get_ident)
    assert closed == []
    with pytest.raises(ConnectionError):
        ask(pool, fail)
    assert closed == [thread]
    for question in (connect, threading.get_ident):
        closed.clear()
        assert ask(pool, question) == thread
        assert closed == [thread]


def test_without_threads(pool, monkeypatch):
    """The process may have no more, or uWSGI runs none."""
    monkeypatch.setitem(
        sys.modules, "uwsgi", types.SimpleNamespace(opt={"master": True})
    )
    with pytest.raises(NoThreads):
        ask(pool, lambda: 1)


@pytest.mark.parametrize(
    ("options", "may"),
    [
        (None, True),
        ({"http": ":8000"}, False),
        ({"enable-threads": True}, True),
        ({"enable-threads": b"true"}, True),
        ({"enable-threads": b"0"}, False),
        ({"threads": b"2"}, True),
    ],
)
def test_what_uwsgi_was_told(monkeypatch, options, may):
    if options is not None:
        monkeypatch.setitem(sys.modules, "uwsgi", types.SimpleNamespace(opt=options))
    assert workers._may_have_threads() is may


def test_a_fork_that_nobody_was_told_of(pool, monkeypatch):
    """Threads of the parent are not waited for."""
    ask(pool, lambda: 1)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert ask(pool, lambda: 2) == 2
    assert len(pool.room.threads) == 1


def test_a_thread_that_dies_leaves_nobody_waiting(pool, monkeypatch):
    """As where there is no memory: who waits for his turn is told that it never comes."""
    gate = Gate("first")
    first = in_thread(lambda: ask(pool, lambda: connect() and gate(), size=1))
    assert gate.begun.wait(30)
    waiting = in_thread(lambda: ask(pool, lambda: "never", size=1))
    while not pool.room.waiting:
        threading.Event().wait(0.001)

    def fail(**_):
        raise MemoryError

    monkeypatch.setattr(connections, "all", fail)
    monkeypatch.setattr(threading, "excepthook", lambda args: None)
    (thread,) = pool.room.threads
    gate.opened.set()
    assert isinstance(waiting(), Dropped)
    assert first() == "first"
    thread.join(30)


@pytest.mark.parametrize("moment", ["placed", "waiting"])
def test_an_interrupt_of_the_caller(pool, monkeypatch, moment):
    """The call goes on, and its thread is used again."""
    if moment == "placed":
        real = workers.Room.place

        def place(*args, **kwargs):
            real(*args, **kwargs)
            raise KeyboardInterrupt

        monkeypatch.setattr(workers.Room, "place", place)
    else:

        def wait(*args, **kwargs):
            raise KeyboardInterrupt

        monkeypatch.setattr(questions._Question, "wait", wait)
    gate = Gate()
    with pytest.raises(KeyboardInterrupt):
        ask(pool, gate, size=1)
    monkeypatch.undo()
    gate.opened.set()
    while not pool.idle:
        threading.Event().wait(0.001)
    assert ask(pool, lambda: "next", size=1) == "next"


def test_what_a_thread_prepares_is_not_held_against_the_server(pool, monkeypatch):
    """It is done first, by the thread that asks, and longer than the question may take."""
    gate, done = Gate(), []

    def prepare():
        gate()
        done.append(threading.get_ident())
        raise ConnectionError  # as the question will

    def question():
        return [*done, threading.get_ident()]

    def left(question, begun, seconds):
        gate.opened.set()
        return 30

    monkeypatch.setattr(questions._Question, "_left", left)
    first, second = questions.ask(pool, question, 0.01, 3, prepare)
    assert first == second


@pytest.mark.parametrize(
    ("now", "prepared_at", "left"),
    [(5, None, 5), (9, None, 1), (10, None, 0), (6, 3, 2), (8, 3, 0), (5, 0, 0)],
)
def test_how_much_longer_it_is_waited_for(monkeypatch, now, prepared_at, left):
    """Of a question of five seconds: they begin anew once, at the most."""
    question = questions._Question(print, None)
    question._prepared_at = prepared_at
    monkeypatch.setattr(questions.time, "monotonic", lambda: now)
    assert question._left(0, 5) == left
