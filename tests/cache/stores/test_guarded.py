"""The breaker around a store; the contract, also over a guarded store: test_contract.py."""

from __future__ import annotations

import contextvars
import logging

import pytest
from django.core.exceptions import SynchronousOnlyOperation
from django.db.transaction import TransactionManagementError
from flaky import FlakyStore

from fallback_storage.cache.entry import held
from fallback_storage.cache.stores import budget
from fallback_storage.cache.stores.guarded import GuardedStore
from fallback_storage.cache.stores.local import LocalStore

FIRST, SECOND = held(0), held(1)
MISS = {"a": (None, None)}


@pytest.fixture
def flaky(clock):
    return FlakyStore(clock)


@pytest.fixture
def guarded(flaky, clock):
    return GuardedStore(flaky, clock)


def fill(store, name="a", code=FIRST):
    return store.fill(name, store.look_up([name])[name][1], code, 600.0)


def known(store, name="a"):
    return store.look_up([name])[name][0]


def break_down(guarded, flaky):
    """Fail until the breaker opens."""
    flaky.error = ConnectionError()
    for _ in range(3):
        guarded.look_up(["a"])
    assert guarded.stats()["breaker_open"] == 1
    flaky.calls.clear()


# Failing open


def test_a_healthy_store_is_used_as_it_is(guarded, flaky):
    """Everything passes through, one call for one call."""
    assert fill(guarded)
    assert known(guarded) == FIRST
    assert guarded.peek("a") == FIRST
    leases = guarded.look_up(["b", "c"])
    assert guarded.fill_many({n: (leases[n][1], SECOND, 9.0) for n in "bc"}) == 2
    guarded.invalidate(["a"])
    guarded.clear()
    guarded.close()
    assert flaky.methods() == [
        *("look_up", "fill", "look_up", "look_up", "fill_many"),
        *("invalidate", "clear", "close"),
    ]
    assert guarded.has_peek is True
    assert {"hits", "entries"} <= guarded.stats().keys()


@pytest.mark.parametrize("error", [ConnectionError(), KeyError(), RuntimeError()])
def test_no_exception_of_the_store_comes_through(guarded, flaky, error):
    """A look-up is a miss without a lease, a fill not kept, a write goes on."""
    lease = guarded.look_up(["a"])["a"][1]
    flaky.error = error
    assert guarded.fill("a", lease, FIRST, 60) is False
    assert guarded.look_up(["a"]) == MISS
    assert guarded.fill_many({"a": (lease, FIRST, 60)}) == 0
    guarded.invalidate(["a"])
    guarded.clear()
    guarded.close()
    assert guarded.stats()["store_failures"] == 4  # And close(), which delivers.


def test_an_answer_without_one_of_the_names_is_a_failure(flaky, clock):
    """What a store answers is looked at inside the guard."""

    class Forgetting(FlakyStore):
        def look_up(self, names):
            return {}

    guarded = GuardedStore(Forgetting(clock), clock)
    assert guarded.look_up(["a"]) == MISS
    assert guarded.stats()["store_failures"] == 1


def test_without_a_lease_the_store_is_not_asked(guarded, flaky):
    """A miss without a lease fills nothing, nor does a store's own refusal of one."""
    assert guarded.fill("a", None, FIRST, 60) is False
    assert guarded.fill_many({"a": (None, FIRST, 60)}) == 0
    assert "fill" not in flaky.methods()
    assert guarded.stats()["store_failures"] == 0

    class Refusing(LocalStore):
        def look_up(self, names):
            return dict.fromkeys(names, (None, None))

    assert GuardedStore(Refusing()).look_up(["a"]) == MISS


def test_failures_are_logged_once_a_minute_by_type(guarded, flaky, clock, caplog):
    """Never the text of an exception, which can hold a password."""
    flaky.error = ConnectionError("redis://:secret@cache")
    with caplog.at_level(logging.WARNING, logger="fallback_storage"):
        for _ in range(5):
            guarded.look_up(["private.jpg"])
        assert len(caplog.records) == 1
        clock.tick(60)
        guarded.look_up(["private.jpg"])
    assert len(caplog.records) == 2
    assert "ConnectionError" in caplog.text
    assert "secret" not in caplog.text
    assert "private" not in caplog.text


# The breaker


def test_three_failures_in_a_row_open_the_breaker(guarded, flaky, clock):
    """Then the store is left alone for the cool-down; a success in between counts."""
    flaky.error = ConnectionError()
    for _ in range(2):
        guarded.look_up(["a"])
    flaky.error = None
    guarded.look_up(["a"])
    flaky.error = ConnectionError()
    for _ in range(10):
        guarded.look_up(["a"])
    assert len(flaky.calls) == 6
    assert guarded.stats()["bypassed"] == 7
    clock.tick(9.9)
    assert guarded.look_up(["a"]) == MISS
    assert len(flaky.calls) == 6


def test_one_time_out_opens_the_breaker(guarded, flaky, clock):
    """A store that hangs costs one time-out per cool-down."""
    flaky.error, flaky.seconds = TimeoutError(), 0.5
    begin = clock.now
    for _ in range(100):
        guarded.look_up(["a"])
    assert clock.now - begin == 0.5
    for _ in range(3):
        clock.tick(10)
        for _ in range(100):
            guarded.look_up(["a"])
    assert len(flaky.calls) == 4


def test_after_the_cool_down_one_call_decides(guarded, flaky, clock):
    """Other threads do without the store while one is trying it."""
    break_down(guarded, flaky)
    clock.tick(10)
    flaky.error = None
    meanwhile = []
    flaky.before["look_up"] = lambda: meanwhile.append(guarded.look_up(["a"]))
    fill(guarded)
    assert meanwhile == [MISS]
    assert flaky.methods() == ["look_up", "fill"]
    assert known(guarded) == FIRST
    assert guarded.stats()["breaker_open"] == 0


@pytest.mark.parametrize("opened_by", ["three failures", "a time-out"])
def test_a_failed_trial_begins_the_next_cool_down(guarded, flaky, clock, opened_by):
    """One failure is enough then, however quick."""
    if opened_by == "a time-out":
        flaky.seconds, flaky.error = 0.5, TimeoutError()
        guarded.look_up(["a"])
        flaky.seconds = 0.0
        flaky.calls.clear()
    else:
        break_down(guarded, flaky)
    clock.tick(10)
    for _ in range(5):
        guarded.look_up(["a"])
    clock.tick(9.9)
    guarded.look_up(["a"])
    assert len(flaky.calls) == 1


def test_a_call_from_before_the_outage_does_not_end_it(guarded, flaky):
    """Only the trial closes the breaker, not an answer that was on its way."""
    flaky.before["look_up"] = lambda: (
        break_down(guarded, flaky),
        setattr(flaky, "error", None),
    )
    guarded.look_up(["b"])
    assert guarded.stats()["breaker_open"] == 1


def test_an_interrupted_trial_leaves_the_way_free(guarded, flaky, clock):
    """A signal in the trial call ends the trial, and comes through."""
    break_down(guarded, flaky)
    clock.tick(10)
    flaky.error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        guarded.look_up(["a"])
    flaky.error = None
    assert fill(guarded)


def test_what_a_slow_store_adds_to_a_request_is_bounded(guarded, flaky, clock, caplog):
    """100 ms a call: a second's worth, and then as much in each cool-down."""
    flaky.seconds = 0.1
    begin = clock.now
    for _ in range(100):
        guarded.look_up(["a"])
    assert clock.now - begin == pytest.approx(1.1, abs=0.05)
    said = "(its slow answers took 1 s of one request); answering without it"
    assert said in caplog.text
    assert "failures" not in caplog.text
    assert guarded.stats()["breaker_open"] == 0
    flaky.calls.clear()
    for _ in range(3):
        clock.tick(10)
        for _ in range(100):
            guarded.look_up(["a"])
    assert 30 <= len(flaky.calls) <= 35


def test_the_next_request_pays_for_itself(guarded, flaky):
    """As other threads and tasks do, whose contexts are their own."""
    flaky.seconds = 0.6
    guarded.look_up(["a"])
    guarded.look_up(["a"])
    budget.renew()
    assert fill(guarded)
    assert known(guarded) is None
    assert contextvars.Context().run(known, guarded) == FIRST


def test_a_request_without_a_budget_still_tells_what_it_wrote(guarded, flaky):
    """Others rely on it; the store answers, after all."""
    assert fill(guarded)
    flaky.seconds = 2.0
    guarded.look_up(["a"])
    assert guarded.look_up(["a"]) == MISS
    guarded.invalidate(["a"])
    assert guarded.stats()["undelivered"] == 0
    flaky.seconds = 0.0
    assert contextvars.Context().run(known, guarded) is None


def test_what_slow_announcements_add_to_a_request_is_bounded(guarded, flaky, clock):
    """What it could not say is said by the next request, at once for all."""
    flaky.seconds = 0.1
    for number in range(50):
        guarded.invalidate([f"{number}"])
    assert flaky.methods() == ["invalidate"] * 11
    assert guarded.stats()["undelivered"] == 39
    flaky.calls.clear()
    contextvars.Context().run(known, guarded)
    assert flaky.methods() == ["invalidate", "look_up"]
    assert guarded.stats()["undelivered"] == 0


def test_many_slow_calls_at_once_are_no_failure(guarded, flaky):
    """32 threads that open connections wait for each other, a second and more."""
    flaky.seconds = 1.0
    for _ in range(32):
        contextvars.Context().run(known, guarded)
    assert guarded.stats()["breaker_open"] == guarded.stats()["bypassed"] == 0
    flaky.calls.clear()
    guarded.invalidate(["a"])
    assert flaky.methods() == ["invalidate"]
    assert guarded.stats()["undelivered"] == 0


def test_a_trial_that_is_answered_late_has_succeeded(guarded, flaky, clock):
    """It answers: that is all that was asked."""
    break_down(guarded, flaky)
    clock.tick(10)
    flaky.error, flaky.seconds = None, 0.2
    guarded.look_up(["a"])
    assert guarded.stats()["breaker_open"] == 0


def test_a_slow_call_now_and_then_is_no_trouble(guarded, flaky, clock):
    """Slow calls are forgiven with time, and quick ones never count."""
    for _ in range(50):
        flaky.seconds = 0.2
        guarded.look_up(["a"])
        flaky.seconds = 0.01
        for _ in range(50):
            guarded.look_up(["a"])
        clock.tick(2)
    assert guarded.stats()["bypassed"] == 0


def test_a_slow_success_ends_a_row_of_failures(guarded, flaky):
    """Two failures, a slow answer, two failures: not three in a row."""
    for error in (1, 1, 0, 1, 1):
        flaky.error = ConnectionError() if error else None
        flaky.seconds = 0.0 if error else 0.1
        guarded.look_up(["a"])
    assert guarded.stats()["breaker_open"] == 0


@pytest.mark.parametrize(
    "error", [SynchronousOnlyOperation(), TransactionManagementError()]
)
def test_callers_that_may_use_no_database_say_nothing_of_it(guarded, flaky, error):
    """A database cache in an async view, or after an error in a transaction."""
    fill(guarded)
    flaky.error = error
    for _ in range(5):
        assert guarded.look_up(["a"]) == MISS
    guarded.invalidate(["a"])
    flaky.error = None
    assert guarded.stats()["store_failures"] == 0
    assert known(guarded) is None  # it was delivered first
    assert fill(guarded)
    assert known(guarded) == FIRST
