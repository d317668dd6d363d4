"""Caches that lose keys and writes: a miss at the worst, never a stale answer."""

from __future__ import annotations

import random

import pytest
from caches import DroppingCache, RecordingCache, SilentCache
from django.core.cache import caches
from servers import MemcachedServer

from fallback_storage.cache.entry import held
from fallback_storage.cache.stores.base import EVERY
from fallback_storage.cache.stores.django_cache import (
    CacheLosesWritesError,
    DjangoCacheStore,
)
from fallback_storage.cache.stores.django_entries import Lease

FIRST, SECOND = held(0), held(1)


@pytest.fixture
def make_store(settings, request):
    def make(backend, location=None, **options):
        for cache in (RecordingCache, DroppingCache, SilentCache):
            cache.reset()
        location = location or request.node.name
        settings.CACHES = {
            "media": {"BACKEND": backend, "LOCATION": location, "OPTIONS": options}
        }
        return DjangoCacheStore("media", "c0ffee")

    return make


@pytest.fixture
def recording(make_store):
    return make_store("caches.RecordingCache")


def lease(store, name="a"):
    return store.look_up([name])[name][1]


def known(store, name="a"):
    return store.look_up([name])[name][0]


def fill(store, name="a", code=FIRST, ttl=60.0):
    return store.fill(name, lease(store, name), code, ttl)


@pytest.mark.parametrize("kind", ["stamp", "generation"])
def test_what_was_evicted_does_not_come_back(recording, kind):
    """Without stamp or generation no entry counts, nor does a lease from before."""
    fill(recording)
    old = lease(recording)
    keys = recording._keys
    caches["media"].delete(keys.stamp("a") if kind == "stamp" else keys.generation)
    assert known(recording) is None
    recording.fill("a", old, FIRST, 60)
    assert known(recording) is None


def test_an_expired_stamp_ends_its_entry(recording):
    """An entry lives no longer than its stamp, which is a miss and no harm."""
    fill(recording, ttl=7200.0)
    RecordingCache.tick(3599)
    assert known(recording) == FIRST
    RecordingCache.tick(2)
    assert known(recording) is None


def test_without_a_stamp_there_is_no_lease(make_store):
    """Where nothing can be added, nothing is filled; without a generation it is told."""
    store = make_store("caches.SilentCache")
    SilentCache.lost = 1
    with pytest.raises(CacheLosesWritesError):
        store.look_up(["a"])
    known(store, "b")
    SilentCache.lost = 1
    assert store.look_up(["a"]) == {"a": (None, None)}
    assert store.fill("a", None, FIRST, 60) is False
    assert known(store) is None


def test_a_silent_loss_of_an_invalidation_is_repaired(make_store):
    """The cache lost the write and said nothing: it is written again."""
    store = make_store("caches.SilentCache")
    fill(store)
    SilentCache.lost = 1
    store.invalidate(["a"])
    assert known(store) is None


@pytest.mark.parametrize("reads", [True, False])
def test_an_invalidation_that_is_not_seen_is_reported(make_store, reads):
    """A cache that ignores its errors answers nothing, which proves nothing."""
    store = make_store("caches.SilentCache")
    fill(store)
    SilentCache.lost, SilentCache.reads = 100, reads
    with pytest.raises(CacheLosesWritesError):
        store.invalidate(["a"])
    with pytest.raises(CacheLosesWritesError):
        store.clear()


def test_keys_that_failed_are_reported(make_store, monkeypatch):
    """memcached tells which keys it did not write; a look-up gives no lease then."""
    monkeypatch.setattr(DjangoCacheStore, "_sends_once", lambda self: True)
    store = make_store("caches.FailingKeysCache")
    with pytest.raises(CacheLosesWritesError):
        store.invalidate(["a", "b"])
    assert RecordingCache.calls == ["set_many"]
    assert store.look_up(["a", "b"]) == {"a": (None, None), "b": (None, None)}
    fills = dict.fromkeys("ab", (Lease("0" * 33), FIRST, 60.0))
    assert store.fill_many(fills) == 0


def test_another_writer_between_is_no_failure(recording, monkeypatch):
    """A stamp that a second writer replaced at once is as good as our own."""
    fill(recording)
    original = RecordingCache.set_many

    def set_many(self, data, timeout=None, version=None):
        original(self, data, timeout, version)
        return original(self, dict.fromkeys(data, recording._new_token()))

    monkeypatch.setattr(RecordingCache, "set_many", set_many)
    recording.invalidate(["a"])
    assert RecordingCache.calls[-4:] != ["set_many"] * 4
    monkeypatch.undo()
    assert known(recording) is None


def patiently(function, *args):
    """Call until the cache shows what was written."""
    while True:
        try:
            return function(*args)
        except CacheLosesWritesError:
            continue


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.2])
def test_a_cache_that_drops_keys_at_random_is_never_stale(make_store, rate):
    """Reads, late fills and writes in random order; any key may go at any call."""
    store = make_store("caches.DroppingCache")
    DroppingCache.rate = rate
    chance = random.Random(5)
    names = ["a", "b", "c"]
    truth = dict.fromkeys(names, 0)
    walks = []  # Under way: a name, its lease, and what the backends said.
    hits = 0
    for _ in range(3000):
        name = chance.choice(names)
        action = chance.random()
        if action < 0.05:
            truth[name] += 1
            patiently(store.invalidate, [name])
        elif action < 0.06:
            truth = {name: version + 1 for name, version in truth.items()}
            patiently(store.clear)
        elif action < 0.6 or not walks:
            code, held_lease = patiently(store.look_up, [name])[name]
            if code is not None:
                hits += 1
                assert code == held(truth[name])
            walks.append((name, held_lease, held(truth[name])))
        else:
            name, held_lease, code = walks.pop(chance.randrange(len(walks)))
            store.fill(name, held_lease, code, 60.0)
    assert hits > 0


class SmallMemcached(MemcachedServer):
    def command(self):
        return [*super().command(), "-m", "2"]


# With the usual server as well: where memcached is missing, that one skips the test.
@pytest.mark.usefixtures("memcached_server")
def test_memcached_without_memory_evicts_and_is_not_stale(make_store):
    """Thousands of names in two megabytes: entries and stamps go, in any order."""
    names = [str(index) for index in range(9000)]
    written = names[-50:]
    with SmallMemcached() as server:
        store = make_store(
            "django.core.cache.backends.memcached.PyMemcacheCache", server.location
        )
        leases = {name: found[1] for name, found in store.look_up(names).items()}
        store.fill_many({name: (leases[name], SECOND, 60.0) for name in names})
        store.invalidate(written)
        # Walks that began before it, as if they saw the files of that time.
        store.fill_many({name: (leases[name], FIRST, 60.0) for name in written})
        found = store.look_up(names[-2000:] + names[:2000])
        codes = {name: code for name, (code, _) in found.items() if code is not None}
        caches["media"].close()
    assert 0 < len(codes) < 4000
    assert set(codes.values()) == {SECOND}
    assert not codes.keys() & set(written)


@pytest.mark.parametrize("with_every", [True, False])
def test_a_dead_memcached_keeps_the_other_from_nothing(
    make_store, memcached, with_every
):
    """Of a write all hear whose stamps lie on the server that lives; the writer is told."""
    with MemcachedServer() as second:
        servers = {each.location: each for each in (memcached, second)}
        store = make_store(
            "django.core.cache.backends.memcached.PyMemcacheCache",
            list(servers),
            # Nothing moves: others have not noticed yet that it is dead.
            retry_attempts=1000,
            retry_timeout=0,
        )
        client = caches["media"]._cache

        def server_of(key):
            return client._get_client(caches["media"].make_key(key)).server

        names = [str(number) for number in range(20)]
        places = {n: server_of(store._keys.stamp(n)) for n in names}
        every = server_of(store._keys.stamp(EVERY))
        (dead,) = (s for s in set(places.values()) if (s == every) is with_every)
        alive = [name for name, place in places.items() if place != dead]
        stamps = [store._keys.stamp(name) for name in alive]
        store.look_up(names)
        before = caches["media"].get_many(stamps)
        servers["{}:{}".format(*dead)].kill()
        with pytest.raises(ConnectionError):
            store.invalidate([EVERY, *names])
        after = caches["media"].get_many(stamps)
        caches["media"].close()
    assert before.keys() == after.keys() == set(stamps)
    assert not before.items() & after.items()
