"""What the processes of a chain have counted reaches the memo's store, once."""

from __future__ import annotations

import gc
import threading

import pytest

from fallback_storage.cache.counters import Counters, Tally
from fallback_storage.cache.entry import held
from fallback_storage.cache.memo import Memo
from fallback_storage.cache.stores.base import Store
from fallback_storage.cache.stores.guarded import GuardedStore
from fallback_storage.cache.stores.local import LocalStore


class PublicStore(LocalStore):
    """Keeps what is published, in the order it came. ``takes`` false: not now."""

    has_peek = in_process = False
    takes = True

    def __init__(self):
        super().__init__()
        self.calls = []
        self.own = {"hits": 0, "entries": 7}

    def publish(self, deltas):
        self.calls.append(dict(deltas))
        return self.takes

    def stats(self):
        return dict(self.own)


@pytest.fixture
def store():
    return PublicStore()


@pytest.fixture
def tally(store, clock):
    return Tally(store, clock, interval=30.0)


@pytest.fixture
def counters(tally):
    counters = Counters("walks")
    tally.watch(counters, Counters.snapshot)
    return counters


def test_at_most_once_in_an_interval(tally, store, clock, counters):
    counters.add("walks")
    for _ in range(100):
        tally.tick()
        clock.tick(0.25)
    assert store.calls == []
    clock.tick(5)
    tally.tick()
    tally.tick()
    assert store.calls == [{"walks": 1}]
    counters.add("walks", 3)
    clock.tick(29.75)
    tally.tick()
    assert len(store.calls) == 1
    clock.tick(0.25)
    tally.tick()
    assert store.calls == [{"walks": 1}, {"walks": 3}]


def test_nothing_new_is_not_published(tally, store, clock, counters):
    counters.add("walks", 0)
    clock.tick(30)
    tally.tick()
    assert store.calls == []


def test_what_was_counted_before_is_somebody_elses(tally, store):
    """As of a chain that is used again with another memo."""
    counters = Counters()
    counters.add("walks", 5)
    tally.watch(counters, Counters.snapshot)
    counters.add("walks")
    tally.publish()
    assert store.calls == [{"walks": 1}]


def test_what_the_store_counts(tally, store):
    """Sums, and not how things stand."""
    store.own.update(hits=3, store_failures=2, entries=9, breaker_open=1)
    tally.publish()
    assert store.calls == [{"hits": 3, "store_failures": 2}]


def test_a_counter_that_begins_anew(tally, store):
    """A near tier's does in a forked child. Nothing is taken away again."""
    store.own["hits"] = 3
    tally.publish()
    store.own["hits"] = 1
    counters = Counters()
    tally.watch(counters, Counters.snapshot)
    counters.add("hits", 5)
    tally.publish()
    store.own["hits"] = 2
    tally.publish()
    assert store.calls == [{"hits": 3}, {"hits": 5}, {"hits": 1}]


def test_what_did_not_arrive_is_published_later(tally, store, clock, counters):
    """Only if that is certain; and not before the next interval."""
    counters.add("walks")
    store.takes = False
    clock.tick(30)
    tally.tick()
    tally.tick()
    assert len(store.calls) == 1
    store.takes = True
    counters.add("walks")
    clock.tick(30)
    tally.tick()
    assert store.calls[1:] == [{"walks": 2}]


def test_instances_that_are_gone_are_not_kept(tally, store):
    counters = Counters()
    tally.watch(counters, Counters.snapshot)
    counters.add("walks")
    del counters
    gc.collect()
    tally.publish()
    assert store.calls == []


def test_closed(tally, store, counters):
    counters.add("walks")
    tally.close()
    tally.publish()
    assert store.calls == []


def test_a_forked_child_publishes_nothing_of_its_parent(tally, store, counters):
    counters.add("walks")
    tally.after_fork()
    counters.add("walks")
    tally.publish()
    assert store.calls == []


def test_one_thread_publishes_and_none_waits(tally, store, counters):
    counters.add("walks")
    inside, go_on = threading.Event(), threading.Event()

    def publish(deltas):
        inside.set()
        assert go_on.wait(10)
        return True

    store.publish = publish
    thread = threading.Thread(target=tally.publish)
    thread.start()
    assert inside.wait(10)
    counters.add("walks")
    tally.publish()  # returns at once
    tally.watch(Counters(), Counters.snapshot)
    go_on.set()
    thread.join()
    del store.publish
    tally.publish()
    assert store.calls == [{"walks": 1}]


# With a memo


def test_a_look_up_in_the_store_carries_it(tally, store, clock):
    """Hits too, for they went to the store; both ways of looking up."""
    memo = Memo(store, 2, tally=tally, clock=clock)
    for look_up in (memo.look_up, lambda name: memo.look_up_many([name])):
        memo.fill("a", memo.look_up("a")[1], held(0))
        clock.tick(30)
        look_up("a")
    published = {}
    for call in store.calls:
        for name, count in call.items():
            published[name] = published.get(name, 0) + count
    assert published == {"hits": 3, "misses": 1, "fills": 2}


def test_a_hit_in_process_carries_nothing(tally, store, clock):
    """It was no call to the store, and shall be none."""
    store.has_peek = True
    memo = Memo(store, 2, tally=tally, clock=clock)
    memo.fill("a", memo.look_up("a")[1], held(0))
    clock.tick(30)
    assert memo.look_up("a")[0] == memo.peek("a") == held(0)
    assert memo.look_up_many(["a"])["a"][0] == held(0)
    assert store.calls == []
    memo.look_up("x")
    assert len(store.calls) == 1


# With a guard


class Failing(Store):
    """Fails in everything."""

    def look_up(self, names):
        raise ConnectionError

    fill = invalidate = clear = publish = published = seconds_left = look_up


def test_through_the_breaker(clock):
    """A store that fails costs what it costs elsewhere; its failures are told later."""
    store = Failing()
    guard = GuardedStore(store, clock)
    tally = Tally(guard, clock)
    assert guard.seconds_left("a") is None
    assert guard.published(["hits"]) is None
    assert guard.publish({"hits": 1}) is True  # it may have arrived
    assert guard.stats()["breaker_open"] == 1
    assert guard.publish({"hits": 1}) is False
    healthy = PublicStore()
    guard._store = healthy
    clock.tick(29)
    tally.tick()
    assert healthy.calls == []
    clock.tick(1)
    tally.tick()
    assert healthy.calls == [{"store_failures": 3, "bypassed": 1}]
