"""Keys of a cache in process memory, past Django's own steps: nothing else is left out."""

from __future__ import annotations

import time

import pytest
from django.core.cache.backends.base import CacheKeyWarning, memcache_key_warnings
from django.core.cache.backends.locmem import LocMemCache
from hypothesis import given
from hypothesis import strategies as st

from fallback_storage.cache.stores import locmem_quick
from fallback_storage.cache.stores.keys import are_safe


class Watched(LocMemCache):
    """Sees to its ``get`` itself."""

    def get(self, *args, **kwargs):
        return super().get(*args, **kwargs)


@pytest.fixture
def cache(request):
    made = LocMemCache(request.node.name, {"KEY_PREFIX": "p"})
    yield made
    made.clear()


def backwards(key, prefix, version):
    return f"{version}:{prefix}:{key[::-1]}"


@pytest.mark.parametrize(
    "params", [{}, {"KEY_PREFIX": "p", "VERSION": 3}, {"KEY_FUNCTION": backwards}]
)
def test_the_values_are_the_caches(request, params):
    cache = LocMemCache(request.node.name, params)
    values = {"a": "1", "b": 2, "c": None, "d" * 200: [3]}
    cache.set_many(values, timeout=None)
    cache.set("b", 2, timeout=60)
    assert locmem_quick.get_many(cache, [*values]) == cache.get_many([*values])
    assert locmem_quick.get_many(cache, [*values]) == values


def test_of_what_is_missing_or_over_the_cache_is_asked(cache, monkeypatch):
    """It deletes what is over."""
    cache.set_many({"a": 1, "b": 2}, timeout=60)
    assert locmem_quick.get_many(cache, ["a", "b"]) == {"a": 1, "b": 2}
    assert locmem_quick.get_many(cache, ["a", "missing"]) is None
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 61)
    assert locmem_quick.get_many(cache, ["a", "b"]) is None
    assert cache.get_many(["a", "b"]) == {}


def test_what_was_asked_for_is_the_last_to_be_culled(cache):
    cache.set_many({"a": 1, "b": 2, "c": 3})
    locmem_quick.get_many(cache, ["a", "b"])
    assert [*cache._cache] == [cache.make_key(key) for key in "bac"]


@pytest.mark.parametrize("key", ["x" * 300, "a b", "a\n", "a\x7f", "\x00", "x" * 247])
def test_of_keys_that_memcached_could_not_bear_the_cache_is_asked(cache, key):
    """It warns of them."""
    with pytest.warns(CacheKeyWarning):
        cache.set(key, 1)
    cache.set("short", 1)
    assert locmem_quick.get_many(cache, ["short", key]) is None


@given(
    st.text(st.characters(max_codepoint=300, exclude_categories=("Cs",)), max_size=260)
)
def test_django_warns_of_no_key_that_passes_for_safe(key):
    if are_safe([key]):
        assert [*memcache_key_warnings(key)] == []


@pytest.mark.parametrize("method", ["get", "get_many"])
def test_where_a_method_was_replaced_the_cache_is_asked(cache, monkeypatch, method):
    cache.set("a", 1)
    with monkeypatch.context() as patch:
        patch.setattr(cache, method, getattr(cache, method))
        assert locmem_quick.get_many(cache, ["a"]) is None
    assert locmem_quick.get_many(cache, ["a"])
    own = getattr(LocMemCache, method)
    with monkeypatch.context() as patch:
        patch.setattr(LocMemCache, method, lambda *args, **kwargs: own(*args, **kwargs))
        assert locmem_quick.get_many(cache, ["a"]) is None


def test_a_cache_of_another_kind_is_asked(request, cache, monkeypatch):
    watched = Watched(request.node.name, {"KEY_PREFIX": "p"})
    watched.set("a", 1)
    assert locmem_quick.get_many(watched, ["a"]) is None
    assert locmem_quick.get_many(cache, ["a"])
    with monkeypatch.context() as patch:
        patch.delattr(cache, "_expire_info")
        assert locmem_quick.get_many(cache, ["a"]) is None
