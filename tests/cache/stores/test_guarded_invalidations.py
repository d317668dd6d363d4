"""What becomes of invalidations that a guarded store did not take."""

from __future__ import annotations

import threading

import pytest
from django.core.cache import caches
from flaky import FlakyStore
from interrupts import at_every_moment
from servers import free_port

from fallback_storage.cache.entry import held
from fallback_storage.cache.stores import guarded as guarded_module
from fallback_storage.cache.stores import outbox
from fallback_storage.cache.stores.base import Store
from fallback_storage.cache.stores.django_cache import DjangoCacheStore
from fallback_storage.cache.stores.guarded import GuardedStore
from fallback_storage.cache.stores.local import LocalStore
from fallback_storage.cache.stores.outbox import DELIVERY_ROUNDS
from fallback_storage.cache.stores.redis import RedisStore
from fallback_storage.utils import breaker, forks

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


def test_a_lost_invalidation_comes_first_when_the_store_is_back(guarded, flaky, clock):
    """Before anything is read or filled the store is told what it missed."""
    fill(guarded)
    break_down(guarded, flaky)
    guarded.invalidate(["a", "b"])
    guarded.invalidate(["b", "c"])
    assert flaky.calls == []
    assert guarded.stats()["undelivered"] == 3
    flaky.error = None
    assert guarded.look_up(["a"]) == MISS
    clock.tick(10)
    assert known(guarded) is None
    assert flaky.calls == [("invalidate", ["a", "b", "c"]), ("look_up", ["a"])]
    assert guarded.stats()["undelivered"] == 0


@pytest.mark.parametrize("what", ["invalidate", "clear"])
def test_one_failed_invalidation_is_enough_for_distrust(guarded, flaky, what):
    """The breaker is closed still; the next call delivers before it asks."""
    fill(guarded)
    flaky.error = ConnectionError()
    guarded.invalidate(["a"]) if what == "invalidate" else guarded.clear()
    assert guarded.stats()["undelivered"] == 1
    assert guarded.peek("a") is None
    flaky.error = None
    flaky.calls.clear()
    assert known(guarded) is None
    assert flaky.methods() == [what, "look_up"]


def test_an_invalidation_can_be_the_call_that_delivers(guarded, flaky, clock):
    """It takes the older ones along."""
    break_down(guarded, flaky)
    guarded.invalidate(["a"])
    flaky.error = None
    clock.tick(10)
    guarded.invalidate(["b"])
    assert flaky.calls == [("invalidate", ["a", "b"])]
    assert guarded.stats()["breaker_open"] == 0


def test_nothing_is_forgotten_if_delivering_fails(guarded, flaky, clock):
    """It is tried after each cool-down, until it succeeds."""
    fill(guarded)
    break_down(guarded, flaky)
    guarded.invalidate(["a"])
    for _ in range(3):
        clock.tick(10)
        assert guarded.look_up(["a"]) == MISS
        assert guarded.stats()["undelivered"] == 1
    flaky.error = None
    clock.tick(10)
    assert known(guarded) is None
    assert [call for call in flaky.calls if call[0] == "look_up"] == [
        ("look_up", ["a"])
    ]


@pytest.mark.parametrize("what", ["invalidate", "clear"])
def test_an_interrupted_invalidation_counts_as_lost(guarded, flaky, what):
    """A signal may have come before the store was told."""
    flaky.error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        guarded.invalidate(["a"]) if what == "invalidate" else guarded.clear()
    flaky.error = None
    guarded.look_up(["b"])
    assert flaky.methods() == [what, what, "look_up"]


def test_no_interrupt_of_a_delivery_loses_it_or_the_store(flaky, clock):
    """Whenever it comes, the next calls deliver, and use the store again."""
    stores = []

    def prepare():
        guarded = GuardedStore(flaky, clock)
        stores.append(guarded)
        break_down(guarded, flaky)
        guarded.invalidate(["a"])
        flaky.error = None
        clock.tick(10)

    modules = [guarded_module, outbox, breaker]
    for moment in at_every_moment(modules, lambda: stores[-1].look_up(["b"]), prepare):
        for _ in range(2):
            clock.tick(100)
            stores[-1].look_up(["b"])
        assert stores[-1].stats()["undelivered"] == 0, moment
        assert "invalidate" in flaky.methods(), moment
        bypassed = stores[-1].stats()["bypassed"]
        stores[-1].look_up(["b"])
        assert stores[-1].stats()["bypassed"] == bypassed, moment


def test_an_invalidation_during_the_delivery_is_delivered_too(guarded, flaky, clock):
    """Another thread writes while the trial call delivers, the same name even."""
    break_down(guarded, flaky)
    guarded.invalidate(["a"])
    flaky.error = None
    clock.tick(10)
    flaky.before["invalidate"] = lambda: guarded.invalidate(["a"])
    guarded.look_up(["a"])
    assert flaky.methods() == ["invalidate", "invalidate", "look_up"]


def test_a_flood_of_writes_does_not_hold_a_reader(guarded, flaky, clock):
    """Who delivers goes on after a few rounds; the store is not trusted yet."""
    fill(guarded)
    break_down(guarded, flaky)
    guarded.invalidate(["a"])
    flaky.error = None
    clock.tick(10)

    def write_again():
        guarded.invalidate(["a"])
        flaky.before["invalidate"] = write_again

    flaky.before["invalidate"] = write_again
    assert guarded.look_up(["a"]) == MISS
    assert guarded.stats()["undelivered"] == 1
    assert flaky.methods() == ["invalidate"] * DELIVERY_ROUNDS
    assert DELIVERY_ROUNDS < 10
    flaky.before.clear()
    assert fill(guarded)


def test_too_many_lost_invalidations_forget_the_chain(flaky, clock):
    """What is kept is bounded; beyond the bound everything is forgotten."""
    guarded = GuardedStore(flaky, clock, max_undelivered=3)
    break_down(guarded, flaky)
    guarded.invalidate(["a", "b", "c"])
    assert guarded.stats()["undelivered"] == 3
    guarded.invalidate(["d"])
    guarded.invalidate(["e"])
    assert guarded.stats()["undelivered"] == 1
    flaky.error = None
    clock.tick(10)
    guarded.look_up(["a"])
    assert flaky.methods() == ["clear", "look_up"]


@pytest.mark.parametrize("many", [False, True])
def test_a_lease_from_before_a_lost_invalidation_is_void(guarded, flaky, many):
    """Even where the store itself would still take it."""
    lease = guarded.look_up(["a"])["a"][1]
    flaky.error = ConnectionError()
    guarded.invalidate(["b"])
    flaky.error = None
    if many:
        assert guarded.fill_many({"a": (lease, FIRST, 60)}) == 0
    else:
        assert guarded.fill("a", lease, FIRST, 60) is False
    assert known(guarded) is None
    assert fill(guarded)


def test_peek_trusts_no_store_in_trouble(guarded, flaky, clock):
    """The in-process tier of a store that missed an invalidation says nothing."""
    fill(guarded)
    assert guarded.peek("a") == FIRST
    break_down(guarded, flaky)
    assert guarded.peek("a") is None
    flaky.error = None
    clock.tick(10)
    guarded.look_up(["b"])
    assert guarded.peek("a") == FIRST


def test_peek_takes_no_lock_of_the_guard(guarded):
    """The hot path does not wait for a thread that is about to log or to count."""
    fill(guarded)
    guarded._lock = None
    assert guarded.peek("a") == FIRST


def test_close_delivers_what_it_can(guarded, flaky):
    """The last chance comes before the end of the cool-down."""
    break_down(guarded, flaky)
    guarded.invalidate(["a"])
    flaky.error = None
    guarded.close()
    assert flaky.methods() == ["invalidate", "close"]


def test_a_forked_child_starts_afresh(guarded, flaky):
    """Locks of the parent's threads are gone; what the parent owes stays its own."""
    before = guarded.look_up(["a"])["a"][1]
    break_down(guarded, flaky)
    guarded.invalidate(["a"])
    flaky.error = None
    flaky.calls.clear()
    held = guarded._lock
    forks._in_child()
    assert guarded._lock is not held
    assert guarded.stats()["undelivered"] == guarded.stats()["store_failures"] == 0
    assert guarded.fill("a", before, FIRST, 60) is False
    assert fill(guarded)
    assert "invalidate" not in flaky.methods()


def test_threads_lose_no_invalidation(clock):
    """Judged by history, with a store that fails every third call."""

    class Unreliable(Store):
        def __init__(self):
            self.inner = LocalStore(clock=clock)
            self.turns = 0

        def _act(self):
            self.turns += 1
            if self.turns % 3 == 0:
                raise ConnectionError

        def look_up(self, names):
            self._act()
            return self.inner.look_up(names)

        def fill(self, name, lease, code, ttl):
            self._act()
            return self.inner.fill(name, lease, code, ttl)

        def invalidate(self, names):
            self._act()
            self.inner.invalidate(names)

        def clear(self):
            self.inner.clear()

    guarded = GuardedStore(Unreliable(), clock, cool_down=0.001)
    truth = told = 0
    stale, hits, done = [], [], threading.Event()

    def write():
        nonlocal truth, told
        for _ in range(500):
            truth += 1
            guarded.invalidate(["a"])
            told = truth
            clock.tick(0.001)
        done.set()

    def read():
        while not done.is_set():
            floor = told
            code, lease = guarded.look_up(["a"])["a"]
            if code is None:
                guarded.fill("a", lease, held(truth), 600.0)
                continue
            hits.append(code)
            if code < held(floor):
                stale.append((floor, code))

    threads = [threading.Thread(target=read, daemon=True) for _ in range(3)]
    threads.append(threading.Thread(target=write, daemon=True))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert stale == []
    assert hits


def test_a_worker_that_was_cut_off_tells_the_others_when_it_is_back(
    settings, memcached, clock
):
    """The server lives on with its data: the next call of the writer delivers."""

    def connect(address):
        backend = "django.core.cache.backends.memcached.PyMemcacheCache"
        settings.CACHES = {
            "media": {"BACKEND": backend, "LOCATION": address},
            "theirs": {"BACKEND": backend, "LOCATION": memcached.location},
        }

    guarded = GuardedStore(DjangoCacheStore("media", "c0ffee"), clock, failures=1)
    other_worker = DjangoCacheStore("theirs", "c0ffee")
    connect(memcached.location)
    fill(guarded)
    connect(f"127.0.0.1:{free_port()}")
    guarded.invalidate(["a"])
    assert guarded.look_up(["a"]) == MISS
    assert known(other_worker) == FIRST
    connect(memcached.location)
    clock.tick(10)
    guarded.look_up(["something else"])
    assert known(other_worker) is None
    assert known(guarded) is None
    assert guarded.stats()["undelivered"] == 0
    caches.close_all()


def test_threads_that_connect_at_once_leave_a_server_in_use(valkey, clock):
    """Each waits for all the others: a healthy server, and no failure."""
    redis = pytest.importorskip("redis")
    together = threading.Barrier(32)

    class Connection(redis.Connection):
        def _connect(self):
            together.wait(30)
            clock.tick(0.02)
            together.wait(30)
            return super()._connect()

    pool = redis.ConnectionPool(connection_class=Connection, port=valkey.port)
    guarded = GuardedStore(RedisStore(redis.Redis.from_pool(pool), "p:"), clock)
    names = [f"{number}" for number in range(32)]
    threads = [threading.Thread(target=fill, args=(guarded, name)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    stats = guarded.stats()
    assert stats["breaker_open"] == stats["bypassed"] == stats["undelivered"] == 0
    with redis.Redis(port=valkey.port) as client:
        other = RedisStore(client, "p:")
        guarded.invalidate(names[:16])
        known_to_others = {name for name in names if known(other, name) is not None}
    pool.disconnect()
    assert known_to_others <= set(names[16:])
