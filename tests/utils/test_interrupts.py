"""What is done although an exception comes from outside, at any moment."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager

import pytest
from interrupts import Moments, at_every_moment, fail

from fallback_storage.utils import interrupts, locks
from fallback_storage.utils.interrupts import surely
from fallback_storage.utils.locks import NameLocks, choices


def test_what_was_begun_is_ended():
    """Whatever comes when; and once only, if nothing does."""
    begun, ended = [], []

    def prepare():
        begun.clear()
        ended.clear()

    moments = at_every_moment(
        [interrupts],
        lambda: surely(lambda: begun.append(1), lambda: ended.append(1)),
        prepare,
    )
    for _ in moments:
        assert len(ended) >= len(begun)
    assert len(ended) == len(begun) == 1


def test_an_end_that_was_interrupted_is_done_again():
    ends = iter([KeyboardInterrupt(), None])

    def end():
        error = next(ends)
        if error:
            raise error

    with pytest.raises(KeyboardInterrupt):
        surely(lambda: None, end)
    assert list(ends) == []


def test_a_generator_that_was_left_waiting_is_ended_before_its_error_is_gone():
    """Else what it holds is held for as long as somebody keeps the error."""
    held = []

    @contextmanager
    def holding():
        held.append(1)
        try:
            yield
        finally:
            held.clear()

    def act():
        with holding():
            pass

    def holds_in_the_end(moment):
        moments = Moments({moment: fail(KeyboardInterrupt)})
        try:
            with moments:
                surely(act, lambda: None)
        except KeyboardInterrupt:
            assert held == [], moments.places
            return True
        return False

    count = 1
    while holds_in_the_end(count):
        count += 1
    assert count > 5


def test_a_lock_by_name_is_there_while_somebody_has_it():
    """Nobody keeps a list: it goes with the last reference, and comes anew."""
    named = NameLocks()
    with ExitStack() as stack:
        stack.enter_context(named("a"))
        assert named("a") is named("a")
        assert list(named._locks) == ["a"]
    assert named._locks == {}


def test_what_was_chosen_is_free_when_its_scope_is_not_held():
    """No step is needed for that, so none can be interrupted."""
    scope = choices.scope(7)
    assert choices.max_length is None
    with scope:
        assert choices.take("chosen")
        assert choices.max_length == 7
    assert choices.max_length is None
    with choices.scope():
        assert choices.take("chosen")
    assert locks.choices.take("chosen")
