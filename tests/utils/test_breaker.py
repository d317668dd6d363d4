"""What fails again and again is left alone, and tried by one at a time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from fallback_storage.utils import forks
from fallback_storage.utils.breaker import TRIAL, Breaker


@pytest.fixture
def breaker(clock):
    return Breaker(clock)


def open_it(breaker):
    for _ in range(3):
        breaker.failed(breaker.admit())
    assert breaker.is_open


def test_failures_in_a_row_open_it(breaker):
    """One success in between and they are no row."""
    for each in "ffsff":
        ticket = breaker.admit()
        breaker.failed(ticket) if each == "f" else breaker.succeeded(ticket)
    assert not breaker.is_open
    assert not breaker.is_sound
    breaker.failed(breaker.admit())
    assert breaker.is_open
    assert breaker.admit() is None


def test_one_bad_failure_opens_it(breaker):
    """A time-out is enough."""
    breaker.failed(breaker.admit(), at_once=True)
    assert breaker.is_open


def test_one_call_tries_after_the_pause(breaker, clock):
    """The others are refused meanwhile; its success lets all in."""
    open_it(breaker)
    clock.tick(9.9)
    assert breaker.admit() is None
    clock.tick(0.1)
    assert breaker.admit() == TRIAL
    assert breaker.admit() is None
    breaker.succeeded(TRIAL)
    breaker.end_trial()
    assert breaker.is_sound
    assert breaker.admit() == breaker.ticket


def test_the_outage_after_a_recovery_is_another_one(breaker, clock):
    """Who tried, on a thread that has gone, keeps nobody from trying then."""
    open_it(breaker)
    clock.tick(10)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(breaker.admit).result() == TRIAL
        pool.submit(breaker.succeeded, TRIAL).result()
    open_it(breaker)
    assert breaker.state == "open"
    clock.tick(10)
    assert breaker.admit() == TRIAL


def test_a_trial_that_fails_begins_the_next_pause(breaker, clock):
    """One failure is enough then."""
    open_it(breaker)
    clock.tick(10)
    breaker.failed(breaker.admit())
    breaker.end_trial()
    clock.tick(9.9)
    assert breaker.admit() is None
    clock.tick(0.1)
    assert breaker.admit() == TRIAL


def test_a_trial_that_says_nothing_leaves_the_way_free(breaker, clock):
    """The next call is one."""
    open_it(breaker)
    clock.tick(10)
    breaker.admit()
    breaker.end_trial()
    assert breaker.admit() == TRIAL


@pytest.mark.parametrize("closed_again", [False, True])
def test_calls_from_before_the_opening_neither_open_nor_close(
    breaker, clock, closed_again
):
    """What they met is over, whenever they end."""
    early = [breaker.admit() for _ in range(5)]
    open_it(breaker)
    if closed_again:
        clock.tick(10)
        breaker.succeeded(breaker.admit())
        breaker.end_trial()
    breaker.succeeded(early.pop())
    assert breaker.is_open is not closed_again
    clock.tick(5)
    for ticket in early:
        breaker.failed(ticket, at_once=True)
    assert breaker.is_open is not closed_again
    assert breaker.is_sound is closed_again
    clock.tick(5)
    assert breaker.admit() == (breaker.ticket if closed_again else TRIAL)


def test_the_pause_can_be_ended(breaker):
    """Who has one last thing to say need not wait."""
    breaker.try_now()
    assert breaker.admit() == breaker.ticket
    open_it(breaker)
    breaker.try_now()
    assert breaker.admit() == TRIAL


def test_a_forked_child_begins_closed(breaker):
    """Its connections are its own."""
    open_it(breaker)
    forks._in_child()
    assert breaker.is_sound
    assert not breaker.is_open
    assert breaker.admit() == breaker.ticket


def test_the_pause_doubles_with_every_trial_that_fails(clock):
    """Up to a bound, and a little more; after an answer it is as in the beginning."""
    breaker = Breaker(clock, 1, 10, max_pause=30, jitter=lambda: 0.5)
    breaker.failed(breaker.admit())
    pauses = []
    for _ in range(4):
        pauses.append(breaker.retry_in)
        clock.tick(pauses[-1])
        breaker.failed(breaker.admit())
        breaker.end_trial()
    assert pauses == [15, 30, 45, 45]
    clock.tick(45)
    breaker.succeeded(breaker.admit())
    breaker.failed(breaker.admit())
    assert breaker.retry_in == 15


def test_a_pause_that_is_longer_than_the_bound_stays_as_it_is(clock):
    breaker = Breaker(clock, 1, 100, max_pause=60)
    breaker.failed(breaker.admit())
    clock.tick(100)
    breaker.failed(breaker.admit())
    assert breaker.retry_in == 100


def test_it_tells_what_it_does(breaker, clock):
    """And whether a call has opened or closed it: that is told once."""
    assert (breaker.state, breaker.retry_in) == ("closed", None)
    assert [breaker.failed(breaker.admit()) for _ in range(3)] == [False, False, True]
    assert (breaker.state, breaker.retry_in) == ("open", 10)
    clock.tick(10)
    assert (breaker.state, breaker.retry_in) == ("open", 0)
    assert breaker.failed(breaker.admit()) is False
    breaker.end_trial()
    clock.tick(10)
    ticket = breaker.admit()
    assert breaker.state == "trial"
    assert breaker.succeeded(ticket) is True
    breaker.end_trial()
    assert breaker.succeeded(breaker.admit()) is False
    assert breaker.state == "closed"


def test_a_trial_is_ended_by_its_own_thread(breaker, clock):
    """So it can be ended without a look at who has it."""
    open_it(breaker)
    clock.tick(10)
    breaker.admit()
    other = threading.Thread(target=breaker.end_trial)
    other.start()
    other.join()
    assert breaker.admit() is None


def test_a_trial_that_takes_long(clock):
    """Its patience is not the pause."""
    breaker = Breaker(clock, 1, 1, patience=60)
    breaker.failed(breaker.admit())
    clock.tick(1)
    breaker.admit()
    clock.tick(59)
    assert breaker.admit() is None
    clock.tick(1)
    assert breaker.admit() == TRIAL


def test_a_trial_may_go_on_alone(breaker, clock):
    """It has failed, unless it is said in time that it was answered."""
    open_it(breaker)
    clock.tick(10)
    breaker.leave_trial(5, fails=True)  # whose trial it is not
    assert breaker.admit() == TRIAL
    breaker.leave_trial(5, fails=True)
    breaker.end_trial()
    assert (breaker.state, breaker.retry_in) == ("trial", 10)
    assert breaker.rests
    breaker.try_now()
    assert (breaker.state, breaker.retry_in) == ("open", 0)
    assert breaker.admit() == TRIAL


def test_a_trial_that_goes_on_alone_and_proves_nothing(breaker, clock):
    """Nobody else tries until it is over; then the next one may."""
    open_it(breaker)
    clock.tick(10)
    breaker.admit()
    breaker.leave_trial(5, fails=False)
    assert (breaker.state, breaker.retry_in) == ("trial", 5)
    clock.tick(4.9)
    assert breaker.admit() is None
    clock.tick(0.1)
    assert breaker.admit() == TRIAL


def test_an_answer_that_comes_before_one_leaves(breaker, clock):
    """Just then: it is not lost, and another one tries already."""
    open_it(breaker)
    clock.tick(10)
    breaker.admit()
    breaker.try_now()
    breaker.leave_trial(5, fails=True)
    assert (breaker.state, breaker.retry_in) == ("open", 0)
