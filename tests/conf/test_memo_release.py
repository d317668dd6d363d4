"""Chains that come and go: nothing is kept for those that are gone."""

from __future__ import annotations

import gc
import threading
from pathlib import Path

import pytest
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


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [1, 20])
def test_connections_threads_and_descriptors_are_released(settings, valkey, at_once):
    """Of a thousand chains with NEAR, some of them alive at once; but for the last."""
    backend = "django.core.cache.backends.redis.RedisCache"
    settings.CACHES = {"media": {"BACKEND": backend, "LOCATION": valkey.url}}
    with redis.Redis(port=valkey.port) as client:

        def counted():
            connections = client.info("clients")["connected_clients"]
            return connections, threading.active_count(), descriptors()

        before = counted()
        for start in range(0, 60, at_once):
            chains = [
                chain_of(number, {"ALIAS": "media", "NEAR": True})
                for number in range(start, start + at_once)
            ]
            assert not any(chain.exists("x") for chain in chains)
            for chain in chains:
                until(lambda chain=chain: chain.stats()["near_connected"])
            chains = chain = None
            gc.collect()
        until(lambda: all(n - b <= 5 for n, b in zip(counted(), before, strict=True)))


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
