"""Keys of one memcached server past pymemcache's choice: where nothing else is left out."""

from __future__ import annotations

import pytest
from django.core.cache.backends.base import InvalidCacheKey
from servers import free_port

from fallback_storage.cache.stores import memcached_quick

pytest.importorskip("pymemcache")

from django.core.cache.backends.memcached import PyMemcacheCache
from pymemcache.client.hash import HashClient


class Particular(PyMemcacheCache):
    """Has a word of its own on keys."""

    def validate_key(self, key):
        super().validate_key(key)


class Watched(PyMemcacheCache):
    """Sees to its ``get_many`` itself."""

    def get_many(self, *args, **kwargs):
        return super().get_many(*args, **kwargs)


@pytest.fixture
def hashed(monkeypatch):
    """The keys for which pymemcache chose a server."""
    keys = []
    choose = HashClient._get_client

    def chooses(self, key):
        keys.append(key)
        return choose(self, key)

    monkeypatch.setattr(HashClient, "_get_client", chooses)
    return keys


def cache_of(*locations, kind=PyMemcacheCache, **options):
    return kind(list(locations), {"OPTIONS": options, "KEY_PREFIX": "p"})


def nobody():
    return f"127.0.0.1:{free_port()}"


@pytest.mark.parametrize("options", [{}, {"use_pooling": True}])
def test_the_values_are_the_caches(memcached, hashed, options):
    cache = cache_of(memcached.location, **options)
    values = {"a": "1", "b": 2, "c": None, "d" * 200: [3]}
    cache.set_many(values)
    keys = [*values, "missing"]
    expected = cache.get_many(keys)
    hashed.clear()
    assert memcached_quick.get_many(cache, keys) == expected == values
    assert hashed == []
    with pytest.raises(InvalidCacheKey):
        memcached_quick.get_many(cache, ["a", "no good key"])
    cache.close()


@pytest.mark.parametrize(
    "change",
    [
        lambda cache, patch: patch.setattr(cache, "get_many", cache.get_many),
        lambda cache, patch: patch.setattr(
            HashClient, "get_many", lambda self, keys: {}
        ),
        lambda cache, patch: patch.setattr(cache, "_cache", object()),
        lambda cache, patch: patch.setattr(cache._cache, "_failed_clients", {1: 2}),
        lambda cache, patch: patch.setattr(cache._cache, "_dead_clients", {1: 2}),
        lambda cache, patch: patch.delattr(cache._cache, "_dead_clients"),
        lambda cache, patch: patch.setattr(cache._cache, "clients", {1: 2, 3: 4}),
    ],
    ids=["cache", "client", "other", "failed", "dead", "elsewhere", "several"],
)
def test_where_more_is_to_be_seen_to_the_cache_is_asked(monkeypatch, change):
    cache = cache_of(nobody())
    assert memcached_quick._chooser_of_one(cache)
    change(cache, monkeypatch)
    assert memcached_quick._chooser_of_one(cache) is None


def test_a_cache_of_another_kind_is_asked(settings):
    from django.core.cache import caches

    caches["default"].set("a", 1)
    assert memcached_quick.get_many(caches["default"], ["a", "b"]) == {"a": 1}
    own = [cache_of(nobody(), kind=kind) for kind in (Watched, Particular)]
    for cache in (*own, cache_of(nobody(), nobody())):
        assert memcached_quick._chooser_of_one(cache) is None


@pytest.mark.parametrize("ignores", [False, True])
def test_a_server_that_is_dead_is_taken_for_it(hashed, ignores):
    """At the first call, and as by the cache's own; then pymemcache has the word."""
    place = nobody()
    outcomes = []
    for get in (PyMemcacheCache.get_many, memcached_quick.get_many):
        cache = cache_of(place, ignore_exc=ignores)
        for _ in range(2):
            try:
                outcomes.append(get(cache, ["a", "b"]))
            except ConnectionError as error:
                outcomes.append(type(error))
            outcomes.append(list(cache._cache._failed_clients))
        hashed.clear()
    assert outcomes[:4] == outcomes[4:]
    assert outcomes[1]
