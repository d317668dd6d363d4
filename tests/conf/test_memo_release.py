"""Chains that come and go: nothing is kept for those that are gone."""

from __future__ import annotations

import gc
import threading
import weakref
from pathlib import Path

import pytest
from django.core.cache import caches
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from fakes import RecordingStorage
from nearby import until
from stores import DictStore

from fallback_storage.conf.memo import close_shared_stores
from fallback_storage.storage import FallbackStorage

redis = pytest.importorskip("redis")


class FailingStore(DictStore):
    """Refuses what it is told while ``works`` is false."""

    works = True
    told = []  # noqa: RUF012 - of all instances

    def invalidate(self, names):
        if not FailingStore.works:
            raise ConnectionError
        FailingStore.told.append(sorted(names))


NEAR = {"ALIAS": "media", "NEAR": True}
made = []


def make_client():
    made.append(redis.Redis.from_url(caches.settings["media"]["LOCATION"]))
    return made[-1]


FAILING = {"STORE": f"{__name__}.FailingStore"}


@pytest.fixture(autouse=True)
def afresh():
    close_shared_stores()
    FailingStore.works = True
    FailingStore.told.clear()
    yield
    close_shared_stores()


def chain_of(number, cache):
    return FallbackStorage(
        [RecordingStorage("a"), RecordingStorage(f"b{number}")], cache
    )


def store_of(chain):
    return chain._get_engine().memo.store._store


def descriptors():
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


@pytest.fixture
def counted(settings, valkey):
    """What is open now: connections, threads and descriptors."""
    backend = "django.core.cache.backends.redis.RedisCache"
    settings.CACHES = {"media": {"BACKEND": backend, "LOCATION": valkey.url}}
    with redis.Redis(port=valkey.port) as client:

        def counted():
            connections = client.info("clients")["connected_clients"]
            return connections, threading.active_count(), descriptors()

        # Chains of other tests that are gone but for the collector hear of what is
        # written here, and would connect for that.
        gc.collect()
        counted()
        yield counted


def used(numbers, cache=NEAR):
    """Return chains that were used, and that listen."""
    chains = [chain_of(number, cache) for number in numbers]
    assert not any(chain.exists("x") for chain in chains)
    for chain in chains:
        until(lambda chain=chain: chain.stats()["near_connected"])
    return chains


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [1, 100])
def test_connections_threads_and_descriptors_are_released(counted, at_once):
    """Of a thousand chains with NEAR, some of them alive at once; but for the last."""
    before = counted()
    for start in range(0, 1000, at_once):
        used(range(start, start + at_once))
        gc.collect(0 if at_once == 1 else 2)
    gc.collect()
    until(lambda: all(n - b <= 5 for n, b in zip(counted(), before, strict=True)))


@pytest.mark.slow
def test_chains_that_live_share_their_connections(counted):
    """Two hundred with NEAR: one client, one listener. The last to leave closes both."""
    before = counted()
    chains = used(range(200))
    assert all(n - b <= 3 for n, b in zip(counted(), before, strict=True))
    first = store_of(chains[0])
    first.close()  # as when settings change
    chains[1].save("x", ContentFile(b"1"))
    assert chains[1].exists("x")
    assert chains[1].stats()["near_connected"]
    for chain in chains:
        store_of(chain).close()
    until(lambda: all(n - b <= 0 for n, b in zip(counted(), before, strict=True)))


@pytest.mark.slow
def test_each_chain_hears_of_its_own_names(counted, valkey):
    """One connection hears of all."""
    one, two = used(range(2))
    for chain in (one, two):
        # What it fills itself it hears of: a look-up after that brings it near.
        until(lambda chain=chain: chain.exists("x") or store_of(chain).peek("x") == 0)
    far = store_of(one)._far
    with redis.Redis(port=valkey.port) as other:
        other.delete(far.prefix() + b"x")
    until(lambda: store_of(one).peek("x") is None)
    assert store_of(two).peek("x") == 0


@pytest.mark.slow
def test_a_client_of_ones_own_is_made_once(counted):
    """Not once for each chain."""
    made.clear()
    chains = used(range(3), {**NEAR, "CLIENT": f"{__name__}.make_client"})
    assert len(made) == 1
    del chains


def test_the_last_store_is_used_again():
    """By whoever makes the same chain for one call, again and again."""
    stores = set()
    for _ in range(3):
        chain = chain_of(0, FAILING)
        chain.exists("x")
        stores.add(id(store_of(chain)))
        keeps = store_of(chain)
        del chain
        gc.collect()
    assert stores == {id(keeps)}


def test_a_store_lives_as_long_as_somebody_uses_it():
    """Not only for the chain that was used last."""
    first = chain_of(0, FAILING)
    store = store_of(first)
    second = chain_of(1, FAILING)
    second.exists("x")
    gc.collect()
    assert store_of(chain_of(0, FAILING)) is store
    assert not store.closed


def test_what_a_chain_that_is_gone_could_not_say_is_said_at_the_end():
    """Or by the next chain of its kind, whichever comes first."""
    for number in (0, 1):
        chain = chain_of(number, FAILING)
        FailingStore.works = False
        chain.forget("x")
        del chain
    FailingStore.works = True
    chain_of(2, FAILING).exists("x")
    gc.collect()
    FailingStore.told.clear()
    chain_of(0, FAILING).exists("x")
    assert FailingStore.told == [["/", "x"]]
    close_shared_stores()
    assert FailingStore.told == [["/", "x"]] * 2


@pytest.mark.parametrize("cache", [None, {"ALIAS": "default"}, False], ids=str)
def test_what_nobody_uses_goes_at_once(tmp_path, cache):
    """Without the garbage collector: until then each write tells its memo as well."""
    storages = [FileSystemStorage(tmp_path / name) for name in "ab"]
    chain = FallbackStorage(storages, cache)
    for _ in range(2):  # what is kept of an answer, too
        assert not chain.exists("none")
        assert chain.url("none")
        assert not chain.resolve("none").held
        assert not chain.resolve_many(["none"])["none"].held
    engine = chain._get_engine()
    kept = [
        weakref.ref(part)
        for part in (
            engine,
            engine.memo,
            engine.resolver,
            engine.resolver.recall,
            engine.resolver.scout,
        )
    ]
    gc.disable()
    try:
        del engine, chain
        assert [part() for part in kept] == [None] * len(kept)
    finally:
        gc.enable()
