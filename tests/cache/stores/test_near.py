"""The near tier: hits in process, and every change ends in a miss."""

from __future__ import annotations

import threading

import pytest
from fakes import RecordingStorage
from nearby import PREFIX, connect, impatient, know, lease_of, settle, until

from fallback_storage.cache.entry import HIDDEN, NOWHERE, from_, held
from fallback_storage.cache.memo import Memo
from fallback_storage.cache.stores.local import LocalStore
from fallback_storage.cache.stores.near import NearStore
from fallback_storage.cache.stores.redis import RedisStore
from fallback_storage.conf.memo import close_shared_stores
from fallback_storage.storage import FallbackStorage

redis = pytest.importorskip("redis")


@pytest.fixture
def client(valkey):
    with redis.Redis(port=valkey.port) as client:
        yield client


@pytest.fixture
def other(client):
    """The far store as another process has it."""
    return RedisStore(client, PREFIX)


@pytest.fixture
def make_near(valkey, clock):
    """Return a function that makes near stores; closes them in the end."""
    stores = []

    def make(local=None, far_class=RedisStore, heartbeat=1.0):
        far = far_class(lambda: impatient(valkey.port), PREFIX)
        stores.append(NearStore(far, local or LocalStore(100, clock), heartbeat))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


def store_of(chain):
    return chain._get_engine().memo.store


@pytest.fixture
def near(make_near):
    return connect(make_near())


# Hits


@pytest.mark.parametrize("code", [NOWHERE, HIDDEN, held(0), held(1), from_(1)])
def test_a_look_up_brings_a_far_entry_into_the_process(near, other, client, code):
    """From then on it is answered by ``peek``, and the server is not asked."""
    know(near, other, code=code)
    client.config_resetstat()
    assert near.peek("a") == code
    assert "cmdstat_get" not in client.info("commandstats")


@pytest.mark.parametrize("many", [False, True])
def test_a_damaged_entry_is_not_kept_in_process(near, other, many):
    """A backend that this chain has not: the memo refuses it, and it is gone."""
    memo = Memo(near, chain_length=2)
    lease = other.look_up(["a"])["a"][1]
    assert other.fill("a", lease, held(7), 60.0)
    found = memo.look_up_many(["a"])["a"] if many else memo.look_up("a")
    assert found[0] is None
    assert memo.quick_peek("a") is None
    assert other.look_up(["a"])["a"][0] is None


@pytest.mark.parametrize("ask", ["exists", "url", "size"])
def test_nobody_sees_a_damaged_entry_before_it_is_refused(
    settings, valkey, client, ask
):
    """Who peeks while another thread has just looked it up: it would be no backend's."""
    backend = "django.core.cache.backends.redis.RedisCache"
    settings.CACHES = {"media": {"BACKEND": backend, "LOCATION": valkey.url}}
    files = [RecordingStorage("a", {"a": b"xyz"}), RecordingStorage("b")]
    chain = FallbackStorage(files, {"ALIAS": "media", "NEAR": True})
    chain.exists("warm-up")
    until(lambda: chain.stats()["near_connected"])
    assert chain.exists("a")
    (key,) = client.scan_iter("*:a")
    value = client.get(key)
    for code in (held(7), from_(5)):
        heard = chain.stats()["near_messages"]
        damaged = b"%d%b" % (code, value[value.index(b":") :])
        client.set(key, damaged, keepttl=True)
        until(lambda: chain.stats()["near_messages"] > heard)  # noqa: B023 - called here
        assert store_of(chain).look_up(["a"])["a"][0] == code
        assert getattr(chain, ask)("a") == getattr(files[0], ask)("a")
    close_shared_stores()


def test_the_hit_path_is_the_local_stores_own_method(make_near):
    """Not one call deeper than without a far store."""
    local = LocalStore()
    assert make_near(local).peek == local.peek


def test_a_look_up_of_known_names_asks_no_server(near, other, client):
    """``look_up``, too, answers from the process; such a hit has no lease to fill."""
    know(near, other, "a", held(1))
    know(near, other, "b", NOWHERE)
    know(near, other, "c", HIDDEN)
    client.config_resetstat()
    found = near.look_up(["a", "b", "c"])
    assert found == {"a": (held(1), None), "b": (NOWHERE, None), "c": (HIDDEN, None)}
    assert "cmdstat_get" not in client.info("commandstats")
    assert not near.fill("a", None, from_(1), 60.0)
    assert near.peek("a") == held(1)


def test_half_an_answer_comes_with_a_far_lease(near, other):
    """Who knows only what does not hold a name can complete the entry."""
    know(near, other, code=from_(1))
    code, lease = near.look_up(["a"])["a"]
    assert code == from_(1)
    assert near.fill("a", lease, held(1), 60.0)
    assert other.look_up(["a"])["a"][0] == held(1)


def test_an_entry_lives_here_no_longer_than_there(near, other, clock):
    """Its remaining life is read with it, not taken anew."""
    know(near, other, ttl=5.0)
    clock.tick(5.0)
    assert near.peek("a") is None


def test_many_names_cost_one_round_trip_for_those_not_known(near, other, client):
    """Of names known and unknown only the unknown are asked for, all at once."""
    know(near, other, "a")
    for name in "bcd":
        other.fill(name, lease_of(other, name), held(1), 60.0)
    client.config_resetstat()
    assert {code for code, _ in near.look_up("abcd").values()} == {held(1)}
    stats = client.info("commandstats")
    assert stats["cmdstat_get"]["calls"] == stats["cmdstat_pttl"]["calls"] == 3


# Changes


@pytest.mark.parametrize(
    "change",
    ["invalidate", "clear", "fill", "delete", "flushall", "flushdb", "expire", "evict"],
)
def test_whatever_happens_to_a_key_drops_the_name(near, other, client, change):
    """Writes of others, deletion, FLUSHALL, expiry and eviction all end in a miss."""
    know(near, other)
    if change == "invalidate":
        other.invalidate(["a"])
    elif change == "clear":
        other.clear()
    elif change == "fill":
        other.fill("a", lease_of(other), held(0), 60.0)
    elif change == "delete":
        client.delete(f"{PREFIX}a")
    elif change == "expire":
        client.pexpire(f"{PREFIX}a", 300)
        settle(near, other)
        # (By the near tier's own clock, which stands still, it would live for ever.)
        assert near.look_up(["a"])["a"][0] == near.peek("a") == held(1)
    elif change == "evict":
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("maxmemory", 1)
    else:
        getattr(client, change)()
    until(lambda: near.peek("a") is None)
    client.config_set("maxmemory", 0)
    client.config_set("maxmemory-policy", "noeviction")
    assert near.look_up(["a"])["a"][0] == (held(0) if change == "fill" else None)
    assert near.stats()["near_connections"] == 1


def test_of_a_swapped_database_the_server_tells_nothing(near, other, client):
    """The one change that is seen when the entry ends. (If it is ever told: good.)"""
    know(near, other)
    client.swapdb(0, 1)
    settle(near, other)
    assert near.peek("a") == held(1)
    near.invalidate(["a"])
    assert near.look_up(["a"])["a"][0] is None


class DeafStore(LocalStore):
    """Hears nothing from the tracker's thread."""

    def invalidate(self, names):
        if "tracker" not in threading.current_thread().name:
            super().invalidate(names)


@pytest.mark.parametrize("how", ["invalidate", "clear"])
def test_own_writes_are_seen_without_a_message(make_near, other, clock, how):
    """When ``invalidate`` returns nothing old is left, whatever the server tells us."""
    near = connect(make_near(DeafStore(100, clock)))
    other.fill("a", lease_of(other), held(1), 60.0)
    near.look_up(["a"])
    assert near.peek("a") == held(1)
    near.invalidate(["a"]) if how == "invalidate" else near.clear()
    assert near.peek("a") is None
    assert near.look_up(["a"])["a"][0] is None


@pytest.mark.parametrize("how", ["invalidate", "clear"])
def test_a_failed_invalidation_empties_the_process_all_the_same(near, other, how):
    """The error is the caller's; the near tier forgets first."""
    know(near, other)
    near._far.close()
    near._far._server._client = impatient(1)
    with pytest.raises(redis.ConnectionError):
        near.invalidate(["a"]) if how == "invalidate" else near.clear()
    assert near.peek("a") is None


# Tenants


def test_the_tier_is_that_of_the_tenant_who_comes_first(make_near, client, clock):
    """Of the others nothing is kept in process, and none is told another's answer."""
    tenant, threads = [PREFIX], []

    def prefix():
        threads.append(threading.get_ident())
        return tenant[0]

    class Far(RedisStore):
        def __init__(self, client, _):
            super().__init__(client, prefix)

    other = RedisStore(client, "second:")
    near = connect(make_near(far_class=Far))
    know(near, RedisStore(client, PREFIX), code=held(1))
    tenant[0] = "second:"
    assert near.peek("a") is None
    code, lease = near.look_up(["a"])["a"]
    assert code is None
    assert near.fill("a", lease, held(0), 60.0)
    assert near.look_up(["a"])["a"][0] == held(0)
    assert near.peek("a") is None
    other.invalidate(["a"])
    assert near.look_up(["a"])["a"][0] is None
    tenant[0] = PREFIX
    assert near.peek("a") == held(1)
    # (On the tracker's thread there is no tenant.)
    assert set(threads) == {threading.get_ident()}
