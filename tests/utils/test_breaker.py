"""What fails again and again is left alone, and tried by one at a time."""

from __future__ import annotations

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
