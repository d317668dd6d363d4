"""From an alias of CACHES to a client of our own, and to the keys of a chain."""

from __future__ import annotations

import hashlib
import socket
import sys
import threading
import time

import pytest
from django.core.cache import caches

from fallback_storage.cache.entry import held
from fallback_storage.cache.stores.local import LocalStore
from fallback_storage.cache.stores.near import NearStore
from fallback_storage.cache.stores.redis import RedisStore, redis_store
from fallback_storage.cache.stores.redis_client import client_of, lags
from fallback_storage.exceptions import ConfigurationError

redis = pytest.importorskip("redis")
Sentinel = pytest.importorskip("redis.sentinel").Sentinel

DJANGO = "django.core.cache.backends.redis.RedisCache"
DJANGO_REDIS = "django_redis.cache.RedisCache"
SECRET = "hunter2"


@pytest.fixture
def alias(settings):
    """Return a function that configures CACHES["media"] and returns that alias."""

    def configure(location="redis://127.0.0.1:1/0", backend=DJANGO, **params):
        params = {"BACKEND": backend, "LOCATION": location, **params}
        settings.CACHES = {"default": settings.CACHES["default"], "media": params}
        return "media"

    return configure


def arguments_of(alias):
    return client_of(alias).connection_pool.connection_kwargs


# Connections


@pytest.mark.parametrize(
    "location",
    [
        "redis://one:6380/3",
        "redis://one:6380/3,redis://two/4",
        "redis://one:6380/3;redis://two/4",
        ["redis://one:6380/3", "redis://two/4"],
        ("redis://one:6380/3",),
    ],
)
@pytest.mark.parametrize("backend", [DJANGO, DJANGO_REDIS])
def test_the_first_location_is_taken(alias, backend, location):
    """Both libraries write to the first server; a replica lags, so it is not asked."""
    arguments = arguments_of(alias(location, backend))
    assert (arguments["host"], arguments["port"], arguments["db"]) == ("one", 6380, 3)


def test_the_client_has_short_time_outs_and_does_not_retry(alias):
    """Unlike redis-py's own, which tries for three seconds."""
    client = client_of(alias())
    connection = client.connection_pool.make_connection()
    assert connection.socket_timeout == 0.25
    assert connection.socket_connect_timeout == 0.25
    assert connection.retry._retries == 0
    assert client.get_retry()._retries == 0


def test_a_silent_server_is_asked_once(alias):
    """One connection, one time-out, one error."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"redis://127.0.0.1:{server.getsockname()[1]}/0"
        store = redis_store(alias(url, OPTIONS={"socket_timeout": 0.02}), "c0")
        with pytest.raises(redis.TimeoutError):
            store.look_up(["a"])
        server.settimeout(0)
        server.accept()[0].close()
        with pytest.raises(BlockingIOError):
            server.accept()
        store.close()


def test_djangos_options_are_the_connections(alias):
    """OPTIONS of Django's cache go to the connection, but for what is Django's own."""
    name = alias(
        OPTIONS={
            "db": 7,
            "username": "me",
            "password": SECRET,
            "socket_timeout": 2,
            "parser_class": "redis._parsers._RESP2Parser",
            "pool_class": "redis.BlockingConnectionPool",
            "serializer": "no.such.Serializer",
        }
    )
    arguments = arguments_of(name)
    assert isinstance(client_of(name).connection_pool, redis.BlockingConnectionPool)
    assert arguments["db"] == 0  # the URL has the last word, as for Django
    assert (arguments["username"], arguments["password"]) == ("me", SECRET)
    assert (arguments["socket_timeout"], arguments["socket_connect_timeout"]) == (
        2,
        0.25,
    )
    assert arguments["parser_class"].__name__ == "_RESP2Parser"
    assert "serializer" not in arguments


def test_django_redis_options_are_the_connections(alias):
    """Those of its OPTIONS that make a connection, and CONNECTION_POOL_KWARGS."""
    name = alias(
        "rediss://one",
        DJANGO_REDIS,
        OPTIONS={
            "CLIENT_CLASS": "django_redis.client.HerdClient",
            "USERNAME": "me",
            "PASSWORD": SECRET,
            "SOCKET_TIMEOUT": 3,
            "SOCKET_CONNECT_TIMEOUT": 1,
            "PARSER_CLASS": "redis._parsers._RESP2Parser",
            "CONNECTION_POOL_CLASS": "redis.BlockingConnectionPool",
            "CONNECTION_POOL_KWARGS": {"max_connections": 5, "retry_on_timeout": True},
            "IGNORE_EXCEPTIONS": True,
            "COMPRESSOR": "no.such.Compressor",
        },
    )
    pool = client_of(name).connection_pool
    arguments = pool.connection_kwargs
    assert pool.connection_class is redis.SSLConnection
    assert (arguments["username"], arguments["password"]) == ("me", SECRET)
    assert (arguments["socket_timeout"], arguments["socket_connect_timeout"]) == (3, 1)
    assert pool.max_connections == 5
    assert pool.make_connection().retry._retries == 0


def test_a_database_and_a_password_reach_the_server(alias, valkey):
    """The alias's credentials open, and its database is the one that is written to."""
    name = alias(f"redis://127.0.0.1:{valkey.port}/5", OPTIONS={"password": SECRET})
    with redis.Redis(port=valkey.port) as admin:
        admin.config_set("requirepass", SECRET)
        try:
            store = redis_store(name, "c0")
            store.look_up(["a"])
            assert admin.info("keyspace")["db5"]["keys"] == 1
            store.close()
        finally:
            admin.config_set("requirepass", "")


# Configuration errors


@pytest.mark.parametrize(
    "location",
    [
        "",
        None,
        f"one:{SECRET}",
        f"redis://me:{SECRET}@one:{SECRET}",
        f"http://{SECRET}",
    ],
)
@pytest.mark.parametrize("backend", [DJANGO, DJANGO_REDIS])
def test_a_location_that_is_no_url_is_an_error_without_secrets(
    alias, backend, location
):
    """It says where and what to write, and not what was there."""
    with pytest.raises(ConfigurationError, match=r"CACHES\['media'\]\['LOC") as caught:
        client_of(alias(location, backend))
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("CLIENT_CLASS", "django_redis.client.SentinelClient"),
        ("CLIENT_CLASS", "django_redis.client.ShardClient"),
        ("CONNECTION_FACTORY", "django_redis.pool.SentinelConnectionFactory"),
    ],
)
def test_what_is_not_one_server_is_refused(alias, key, value):
    """Sentinel and sharding want a client that is passed."""
    name = alias(backend=DJANGO_REDIS, OPTIONS={key: value})
    with pytest.raises(ConfigurationError, match=key):
        client_of(name)


def test_a_missing_library_is_an_error_that_names_the_extra(alias, monkeypatch):
    """What to install is in the message."""
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ConfigurationError, match=r"django-fallback-storage\[redis\]"):
        redis_store(alias(), "c0")


def test_a_client_may_be_passed_in_three_ways(alias, monkeypatch):
    """As an object, as a function, and as the dotted path of one."""
    name, client = alias(), redis.Redis()
    assert redis_store(name, "c0", client).client is client
    assert redis_store(name, "c0", lambda: client).client is client
    monkeypatch.setattr(sys.modules[__name__], "make", lambda: client, raising=False)
    monkeypatch.setitem(sys.modules, "passed", sys.modules[__name__])
    assert redis_store(name, "c0", "passed.make").client is client


# Keys


def hashed(key, prefix, version):
    return hashlib.sha256(f"{prefix}{version}{key}".encode()).hexdigest()


def reversed_order(key, prefix, version):
    return f"{key}/{version}/{prefix}"


@pytest.mark.parametrize("function", [None, hashed, reversed_order])
def test_keys_begin_as_the_alias_says_and_end_with_the_name(alias, valkey, function):
    """KEY_PREFIX, VERSION and KEY_FUNCTION tell chains and sites apart."""
    keys = set()
    with redis.Redis(port=valkey.port) as client:
        given = {"KEY_FUNCTION": function} if function else {}
        for params in ({}, {"KEY_PREFIX": "site"}, {"VERSION": 2}):
            name = alias(valkey.url, **params, **given)
            for chain in ("c0", "c1"):
                store = redis_store(name, chain)
                assert store.look_up(["a/b"])["a/b"][0] is None
                new = set(client.keys()) - keys
                assert len(new) == 1
                keys |= new
                (key,) = new
                assert key.endswith(b"a/b")
                if function is not hashed:
                    assert f"fbs3:{chain}::".encode() in key
                if function is None:
                    assert key.decode() == caches[name].make_key(f"fbs3:{chain}::a/b")
                store.close()
        # Each clears what is its own.
        store = redis_store(name, "c0")
        store.clear()
        assert len(client.keys()) == len(keys) - 1
        store.close()


def test_django_redis_aliases_work_as_well(alias, valkey):
    """Its cache makes the same keys."""
    pytest.importorskip("django_redis")
    store = redis_store(alias(valkey.url, DJANGO_REDIS, KEY_PREFIX="site"), "c0")
    lease = store.look_up(["a"])["a"][1]
    assert store.fill("a", lease, held(1), 60.0)
    with redis.Redis(port=valkey.port) as client:
        assert client.keys() == [b"site:1:fbs3:c0::a"]
    store.close()


def test_a_near_store_contacts_nothing_before_its_use(alias, valkey, clock):
    """Then it is the alias's store with an in-process tier, whatever makes the keys."""
    threads = threading.active_count()
    far = redis_store(alias(valkey.url, KEY_FUNCTION=hashed), "c0")
    store = NearStore(far, LocalStore(10, clock))
    with redis.Redis(port=valkey.port) as client:
        assert len(client.client_list()) == 1
    assert threading.active_count() == threads
    lease = store.look_up(["a"])["a"][1]
    assert store.fill("a", lease, held(1), 60.0)
    deadline = time.monotonic() + 10
    while store.peek("a") is None:
        assert time.monotonic() < deadline
        store.look_up(["a"])
    assert store.peek("a") == held(1)
    clock.tick(61)
    assert store.peek("a") is None
    store.close()


# What reads from elsewhere than where it writes sees late what was written


def client_with_cache():
    cache = pytest.importorskip("redis.cache")
    return redis.Redis(protocol=3, cache_config=cache.CacheConfig())


def client_of_replica():
    return Sentinel([("127.0.0.1", 1)]).slave_for("media")


@pytest.mark.parametrize("make", [client_with_cache, client_of_replica])
def test_a_client_that_sees_late_what_was_written_is_refused(make):
    store = RedisStore(make, "p:")
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="reads from replicas, or") as told:
            store.look_up(["a"])
        assert "CLIENT" in str(told.value)
    store.close()


def test_so_is_an_alias_of_one(alias):
    cache = pytest.importorskip("redis.cache")
    options = {"protocol": 3, "cache_config": cache.CacheConfig()}
    with pytest.raises(ConfigurationError, match=r"\['media'\]\['OPTIONS'\]: gives a"):
        redis_store(alias(OPTIONS=options), "c0")


def test_those_that_ask_who_is_written_to_are_not():
    for client in (
        redis.Redis(),
        redis.Redis(protocol=3),
        Sentinel([("127.0.0.1", 1)]).master_for("media"),
    ):
        assert not lags(client)
