"""Workers of two releases at one cache: none reads, or trips over, what another wrote."""

from __future__ import annotations

import time

import pytest
from django.core.cache import caches

from fallback_storage.cache.entry import held
from fallback_storage.cache.stores.django_cache import DjangoCacheStore
from fallback_storage.cache.stores.redis import redis_store

TOKEN, OTHER = "0123456789abcdef", "fedcba9876543210"
LATE = 9_999_999_999_999  # milliseconds since 1970
LOCMEM = "django.core.cache.backends.locmem.LocMemCache"


@pytest.fixture
def locmem(settings, request):
    settings.CACHES = {"media": {"BACKEND": LOCMEM, "LOCATION": request.node.name}}
    store = DjangoCacheStore("media", "c0ffee")
    yield store
    caches["media"].clear()


@pytest.fixture
def on_valkey(settings, valkey):
    backend = "django.core.cache.backends.redis.RedisCache"
    settings.CACHES = {"media": {"BACKEND": backend, "LOCATION": valkey.url}}
    store = redis_store("media", "c0ffee")
    yield store
    store.close()


def hash_of(store, name):
    return store._keys.entry(name).split(":")[-2]


# What other releases write, under their own keys.
PREFIXES = ["fbs2:c0ffee:", "fbs2:c0ffee::", "fbs4:c0ffee::", "fbs30:c0ffee::"]
DJANGO_ENTRIES = [
    f"{TOKEN}.{OTHER}.{LATE}.1",
    f"{TOKEN}.{OTHER}.1",
    f"{TOKEN}.{OTHER}.{LATE}.1.something.new",
    b"\x80\x04K\x01.",
    {"new": 1},
]
REDIS_VALUES = [
    b"1:0123456789abcdef",
    b"-:0123456789abcdef",
    b"1:9999999999999:0123456789abcdef",
    b"1:9999999999999:0123456789abcdef:new",
    b"4;1:0123456789abcdef",
]


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("entry", DJANGO_ENTRIES)
def test_entries_of_other_releases_in_a_django_cache(locmem, prefix, entry):
    """Never read, never in the way, never removed."""
    base = f"{prefix}{hash_of(locmem, 'a')}"
    theirs = {f"{prefix}g": TOKEN, f"{base}:s": OTHER, f"{base}:e": entry}
    caches["media"].set_many(theirs)
    code, lease = locmem.look_up_one("a")
    assert code is None
    assert locmem.fill("a", lease, held(1), 60.0)
    assert locmem.look_up_one("a")[0] == held(1)
    locmem.invalidate(["a"])
    locmem.clear()
    assert caches["media"].get_many(theirs) == theirs


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("value", REDIS_VALUES)
def test_entries_of_other_releases_in_redis(on_valkey, prefix, value):
    """Never read, never in the way, never removed."""
    client, key = on_valkey.client, f":1:{prefix}a"
    client.set(key, value)
    code, lease = on_valkey.look_up_one("a")
    assert code is None
    assert on_valkey.fill("a", lease, held(1), 60.0)
    assert on_valkey.look_up(["a"])["a"][0] == held(1)
    on_valkey.invalidate(["a"])
    on_valkey.clear()
    assert client.get(key) == value


FACTS = [
    ",20480,1732713000000000",
    ",20480,",
    ",,5",
    ",1,2,3",
    ",20480,-1",
    ",",
    ",x/y;z",
]


@pytest.mark.parametrize("facts", FACTS)
def test_facts_behind_a_code_in_a_django_cache(locmem, facts):
    """There is a place for them in this version: who does not know them passes over them."""
    _, lease = locmem.look_up_one("a")
    now = time.time() * 1000
    for text, found in ((facts, held(1)), (f"{facts}.1", None), (f"{facts} ", None)):
        entry = f"{lease.tokens}.{int(now) + 60_000}.3{text}"
        caches["media"].set(locmem._keys.entry("a"), entry)
        assert locmem.look_up_one("a")[0] == found


@pytest.mark.parametrize("facts", FACTS)
def test_facts_behind_a_code_in_redis(on_valkey, facts):
    """The same; and what completes such an entry replaces them."""
    value = f"3{facts}:{LATE}:{TOKEN}".encode()
    on_valkey.client.set(":1:fbs3:c0ffee::a", value, px=60_000)
    assert on_valkey.look_up_one("a") == (held(1), value)
    assert on_valkey.look_up_lasting(["a"])["a"][:2] == (held(1), value)
    assert on_valkey.fill("a", value, held(0), 60.0)
    assert on_valkey.look_up_one("a")[0] == held(0)
