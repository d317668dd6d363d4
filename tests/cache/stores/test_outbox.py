"""Undelivered invalidations, by the place that they are for."""

from __future__ import annotations

import pytest
from django.core.cache import caches
from django.core.cache.backends.base import default_key_func

from fallback_storage.cache.entry import held
from fallback_storage.cache.stores.base import EVERY
from fallback_storage.cache.stores.django_cache import DjangoCacheStore
from fallback_storage.cache.stores.guarded import GuardedStore
from fallback_storage.cache.stores.local import LocalStore
from fallback_storage.cache.stores.near import NearStore
from fallback_storage.cache.stores.outbox import Outbox
from fallback_storage.cache.stores.redis import redis_store

DJANGO = "django.core.cache.backends"


def delivered(outbox):
    told = {}
    assert outbox.deliver(told.__setitem__)
    return told


def test_what_is_added_is_delivered_once():
    """Names add up, each place for itself; all names swallow single ones."""
    outbox = Outbox()
    assert not outbox
    outbox.add("one", frozenset("ab"))
    outbox.add("two", frozenset("b"))
    outbox.add("one", frozenset("bc"))
    outbox.add("three", frozenset("a"))
    outbox.add("three", None)
    outbox.add("three", frozenset("d"))
    assert len(outbox) == 3 + 1 + 1
    told = {"one": frozenset("abc"), "two": frozenset("b"), "three": None}
    assert delivered(outbox) == told
    assert not outbox
    assert delivered(outbox) == {}


def test_only_the_place_that_is_one_too_many_is_forgotten_whole():
    """The others keep their names."""
    outbox = Outbox(max_names=3)
    outbox.add("one", frozenset("ab"))
    outbox.add("two", frozenset("ab"))
    assert delivered(outbox) == {"one": frozenset("ab"), "two": None}


def test_what_fails_to_be_delivered_stays():
    """What was delivered before it does not."""
    outbox = Outbox()
    for place in ("one", "two", "three"):
        outbox.add(place, frozenset("a"))
    told = []

    def tell(place, names):
        if told:
            raise ConnectionError
        told.append(place)

    with pytest.raises(ConnectionError):
        outbox.deliver(tell)
    assert len(outbox) == 2
    assert told[0] not in delivered(outbox)


# Tenants

tenant = ["first"]


def by_tenant(key, key_prefix, version):
    return f"{tenant[0]}:{default_key_func(key, key_prefix, version)}"


def by_tenant_last(key, key_prefix, version):
    return f"{key}|{version}|{tenant[0]}"


@pytest.fixture(autouse=True)
def first_tenant():
    tenant[0] = "first"


class Cut:
    """Lets the calls of a store through, or none."""

    def __init__(self, store):
        self.off = False
        for name in ("look_up", "look_up_one", "fill", "invalidate_at"):
            setattr(store, name, self._switched(getattr(store, name)))

    def _switched(self, method):
        def call(*args):
            if self.off:
                raise ConnectionError
            return method(*args)

        return call


def alias(settings, backend, location, key_function):
    settings.CACHES = {
        "media": {
            "BACKEND": f"{DJANGO}.{backend}",
            "LOCATION": location,
            "KEY_FUNCTION": f"{__name__}.{key_function.__name__}",
        }
    }


def on_locmem(request, key_function):
    settings = request.getfixturevalue("settings")
    alias(settings, "locmem.LocMemCache", request.node.name, key_function)
    return DjangoCacheStore("media", "c0ffee")


def on_database(request, key_function):
    from django.core.management import call_command

    request.getfixturevalue("db")
    settings = request.getfixturevalue("settings")
    alias(settings, "db.DatabaseCache", "resolutions", key_function)
    call_command("createcachetable", verbosity=0)
    return DjangoCacheStore("media", "c0ffee")


def on_memcached(request, key_function):
    settings = request.getfixturevalue("settings")
    location = request.getfixturevalue("memcached").location
    alias(settings, "memcached.PyMemcacheCache", location, key_function)
    return DjangoCacheStore("media", "c0ffee")


def on_redis(request, key_function):
    settings = request.getfixturevalue("settings")
    url = request.getfixturevalue("valkey").url
    alias(settings, "redis.RedisCache", url, key_function)
    return redis_store("media", "c0ffee")


def on_near(request, key_function):
    return NearStore(on_redis(request, key_function), LocalStore())


@pytest.fixture(
    params=[
        on_locmem,
        on_database,
        pytest.param(on_memcached, marks=pytest.mark.slow),
        pytest.param(on_redis, marks=pytest.mark.slow),
        pytest.param(on_near, marks=pytest.mark.slow),
    ]
)
def make(request, settings):
    made = []

    def make(key_function):
        made.append(request.param(request, key_function))
        return made[-1]

    yield make
    for store in made:
        store.close()
    caches.close_all()


def fill(store, name="a"):
    assert store.fill(name, store.look_up([name])[name][1], held(1), 600.0)


def known(store, name="a"):
    return store.look_up([name])[name][0]


@pytest.mark.parametrize("key_function", [by_tenant, by_tenant_last])
@pytest.mark.parametrize("what", ["names", "all"])
def test_it_goes_to_the_tenant_whose_file_was_written(make, clock, key_function, what):
    """Whoever delivers it: the first call of another tenant when the store is back."""
    store = make(key_function)
    guarded = GuardedStore(store, clock)
    for tenant[0] in ("first", "second"):
        fill(guarded)
    cut = Cut(store)
    cut.off = True
    tenant[0] = "first"
    guarded.invalidate([EVERY, "a"]) if what == "names" else guarded.clear()
    cut.off = False
    tenant[0] = "second"
    assert known(guarded, "something else") is None
    assert guarded.stats()["undelivered"] == 0
    assert known(guarded) == held(1)
    tenant[0] = "first"
    assert known(guarded) is None


def test_a_place_that_cannot_be_told_is_no_trouble(make, clock):
    """A KEY_FUNCTION that raises breaks no write; the next caller delivers."""
    store = make(by_tenant)
    guarded = GuardedStore(store, clock)
    tenant.clear()
    guarded.invalidate(["a"])
    tenant.append("first")
    assert guarded.stats()["undelivered"] == 1
    assert known(guarded) is None
    assert guarded.stats()["undelivered"] == 0
