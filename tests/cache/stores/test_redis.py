"""What the Redis store promises beyond the contract: round trips, values, keys."""

from __future__ import annotations

import re

import pytest
from aging import age_redis
from stores import as_of_an_alias

from fallback_storage.cache.entry import HIDDEN, NOWHERE, from_, held
from fallback_storage.cache.stores.redis import LEASE_SECONDS, RedisStore

redis = pytest.importorskip("redis")

PREFIX = "p:*[1]?\\^-:"
NAMES = [f"picture-{number}.jpg" for number in range(100)]


class CountingConnection(redis.Connection):
    """Counts what is sent at once: a round trip each."""

    trips = 0

    def send_packed_command(self, *args, **kwargs):
        CountingConnection.trips += 1
        return super().send_packed_command(*args, **kwargs)


@pytest.fixture
def client(valkey):
    with redis.Redis(port=valkey.port, **as_of_an_alias()) as client:
        yield client


@pytest.fixture
def store(client):
    return RedisStore(client, PREFIX)


def key(name):
    return PREFIX.encode() + name.encode()


def lease_of(store, name="a"):
    return store.look_up([name])[name][1]


def code_of(store, name="a"):
    return store.look_up([name])[name][0]


def fill(store, name="a", code=1, ttl=60.0):
    assert store.fill(name, lease_of(store, name), code, ttl)


# Round trips


@pytest.fixture(params=[dict, as_of_an_alias])
def trips(valkey, request):
    """Return a function that counts the round trips of a call of a store."""
    pool = redis.ConnectionPool(
        connection_class=CountingConnection,
        host=valkey.host,
        port=valkey.port,
        **request.param(),
    )
    store = RedisStore(redis.Redis.from_pool(pool), PREFIX)
    store.look_up(["connects"])

    def count(method, *args):
        before = CountingConnection.trips
        result = getattr(store, method)(*args)
        return CountingConnection.trips - before, result

    yield count
    pool.disconnect()


@pytest.mark.parametrize("names", [["a"], NAMES], ids=["one", "hundred"])
def test_round_trips_do_not_grow_with_names(trips, names):
    """A hit is one, a miss two, a fill one, an invalidation one; nothing is none."""
    count, found = trips("look_up", names)
    assert count == 2
    fills = {name: (found[name][1], held(0), 60.0) for name in names}
    assert trips("fill_many", fills) == (1, len(names))
    count, found = trips("look_up", names)
    assert count == 1
    assert {code for code, _ in found.values()} == {held(0)}
    count, found = trips("look_up_lasting", names)
    assert count == 1
    assert all(59 < seconds <= 60 for _, _, seconds in found.values())
    assert trips("invalidate", names) == (1, None)


def test_nothing_costs_nothing(trips):
    """No names, no round trip."""
    assert trips("look_up", []) == (0, {})
    assert trips("look_up_lasting", []) == (0, {})
    assert trips("look_up_held", []) == (0, {})
    assert trips("fill_many", {}) == (0, 0)
    assert trips("fill_many", {"a": (None, 1, 60.0)}) == (0, 0)
    assert trips("invalidate", []) == (0, None)


def test_a_lease_that_somebody_holds_is_shared_in_one_round_trip(trips, store):
    """A pending lease is seen by the first question."""
    lease = lease_of(store)
    assert trips("look_up", ["a"]) == (1, {"a": (None, lease)})


def test_one_name_looked_up_by_itself_is_the_same(trips, store):
    """``look_up_one`` gives what ``look_up`` gives of it, in as many round trips."""
    count, (code, lease) = trips("look_up_one", "a")
    assert (count, code) == (2, None)
    assert trips("look_up_one", "a") == (1, (None, lease))
    store.fill("a", lease, held(1), 60.0)
    assert trips("look_up_one", "a") == (1, store.look_up(["a"])["a"])


def test_a_hit_is_one_get_and_many_are_one_mget(store, client):
    """The server is asked nothing else."""
    fill(store, "a")
    fill(store, "b")
    client.config_resetstat()
    store.look_up(["a"])
    store.look_up(["a", "b"])
    stats = client.info("commandstats")
    calls = {name: stats[name]["calls"] for name in stats if "config" not in name}
    assert calls == {"cmdstat_get": 1, "cmdstat_mget": 1}


# Values


@pytest.mark.parametrize("code", [NOWHERE, held(0), from_(1), held(16383)])
def test_values_are_short_ascii(store, client, code):
    """A number, an end, a token; for a lease a dash instead of number and end."""
    lease = lease_of(store)
    assert re.fullmatch(rb"-:[0-9a-f]{16}", client.get(key("a")))
    assert client.get(key("a")) == lease
    store.fill("a", lease, code, 60.0)
    written, end, token = client.get(key("a")).split(b":")
    assert (int(written), token) == (code, lease[2:])
    seconds, microseconds = client.time()
    assert 59 < int(end) / 1000 - seconds - microseconds / 1e6 <= 60


def test_lifetimes_are_the_servers(store, client):
    """An entry lives for its TTL, a lease for as long as a walk may take."""
    lease = lease_of(store)
    assert 0.9 < client.pttl(key("a")) / 1000 / LEASE_SECONDS <= 1
    store.fill("a", lease, 1, 7.5)
    assert 7.0 < client.pttl(key("a")) / 1000 <= 7.5


def test_what_is_worth_something_later_is_there_for_longer(client):
    """Who holds a file: for the grace. (What no backend holds must not pile up.)"""
    store = RedisStore(client, PREFIX, grace=100)
    for code, seconds in {
        held(1): 107.5,
        NOWHERE: 7.5,
        HIDDEN: 7.5,
        from_(1): 7.5,
    }.items():
        store.invalidate(["a"])
        fill(store, code=code, ttl=7.5)
        assert seconds - 1 < client.pttl(key("a")) / 1000 <= seconds


def test_a_lease_that_was_an_entry_costs_no_other_trip(client, trips):
    """And takes nothing away: it is replaced when it is filled."""
    store = RedisStore(client, PREFIX, grace=100)
    fill(store, code=held(1))
    age_redis(client, 61)
    written = client.get(key("a"))
    lease = b"!" + written
    assert trips("look_up_one", "a") == (2, (None, lease))
    assert client.get(key("a")) == written
    count, _ = trips("look_up_held", ["a", "b"])
    assert count == 1
    assert store.look_up_held(["a", "b"]) == {"a": held(1)}
    assert lease_of(store) == lease
    assert store.fill("a", lease, held(1), 60.0)
    assert not store.fill("a", lease, held(0), 60.0)
    assert code_of(store) == held(1)


def test_a_fill_that_is_to_live_for_no_time_lives_shortly(store):
    """The server refuses a lifetime of nothing; a millisecond is as good."""
    assert store.fill("a", lease_of(store), 1, 0.0)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"x",
        b"1",
        b"1:",
        b"-1:0123456789abcdef",
        b"1:0123456789abcdeX",
        b"1:0123456789abcdef\n",
        b"1:9999999999999:0123456789abcdef\n",
        b"123456:9999999999999:0123456789abcdef",
        b"1 2:9999999999999:0123456789abcdef",
        b"1:9999999999999",
        b"\x80\x04K\x01.",
        b"\xff" * 100,
    ],
)
@pytest.mark.parametrize("others", [[], ["b"]])
def test_a_malformed_value_is_a_miss_and_is_replaced(store, client, value, others):
    """What nobody of us wrote is nobody's answer and in nobody's way."""
    client.set(key("a"), value)
    found = store.look_up(["a", *others])
    assert found["a"][0] is None
    assert store.fill("a", found["a"][1], held(1), 60.0)
    assert code_of(store) == held(1)


def test_a_value_that_turns_malformed_in_between_gives_no_lease(valkey, client):
    """Only what was seen is replaced; the next look-up sees the rest."""

    class Meddling(redis.Redis):
        def eval(self, *args):
            client.set(key("a"), b"other garbage")
            return super().eval(*args)

    with Meddling(port=valkey.port) as meddling:
        store = RedisStore(meddling, PREFIX)
        assert store.look_up(["a"]) == {"a": (None, None)}
        assert not store.fill("a", None, 1, 60.0)


def test_an_entry_that_appears_in_between_is_a_hit(valkey, store):
    """Between the two round trips of a miss somebody else may have filled."""

    class Slow(redis.Redis):
        def eval(self, *args):
            fill(store, code=held(1))
            return super().eval(*args)

    with Slow(port=valkey.port) as slow:
        code, lease = RedisStore(slow, PREFIX).look_up(["a"])["a"]
    assert (code, lease) == store.look_up(["a"])["a"]
    assert code == held(1)


def test_what_completes_an_entry_gets_no_older_than_it(store, client):
    """It rests on what the entry says; a lease of no entry takes the new TTL."""
    fill(store, code=from_(1), ttl=5.0)
    fill(store, code=held(1), ttl=60.0)
    assert 4.0 < client.pttl(key("a")) / 1000 <= 5.0
    fill(store, code=from_(1), ttl=2.0)
    assert client.pttl(key("a")) <= 2000


# The end of a lifetime


def in_milliseconds(client, seconds):
    """Return a moment of the server's time, from now on."""
    whole, microseconds = client.time()
    return (whole + seconds) * 1000 + microseconds // 1000


@pytest.mark.parametrize("others", [[], ["b"]])
@pytest.mark.parametrize("known", [False, True], ids=["first hit", "later"])
def test_an_entry_that_is_over_is_a_miss_while_its_key_is_there(
    store, client, others, known
):
    """The server's clock decides; the next fill replaces it and lives a full TTL."""
    if known:
        store.look_up(["the server's time"])
    over = b"3:%d:0123456789abcdef" % in_milliseconds(client, -1)
    client.set(key("a"), over, px=60_000)
    assert store.seconds_left("a") is None
    assert store.look_up_lasting(["a", *others])["a"][::2] == (None, 0.0)
    client.set(key("a"), over, px=60_000)
    found = store.look_up(["a", *others])["a"] if others else store.look_up_one("a")
    code, lease = found
    assert code is None
    assert not store.fill("a", over, held(1), 60.0)
    assert store.fill("a", lease, held(1), 60.0)
    assert store.look_up_one("a")[0] == held(1)
    assert 59 < store.seconds_left("a") <= 60


def test_an_entry_that_ends_while_it_is_completed_takes_no_fill(store, client):
    """What the answer rests on is too old by then."""
    over = b"2:%d:0123456789abcdef" % in_milliseconds(client, -1)
    client.set(key("a"), over, px=60_000)
    assert not store.fill("a", over, held(1), 60.0)
    assert client.get(key("a")) == over


@pytest.mark.parametrize("hours", [-5, 5])
def test_the_clocks_of_server_and_process_may_differ(valkey, store, client, hours):
    """Lifetimes are the server's; the process learns of its clock by the way."""

    class Elsewhere(redis.Redis):
        def eval(self, *args):
            *answers, now = super().eval(*args)
            return [*answers, now + hours * 3_600_000]

    fill(store, "a", held(1))
    end = in_milliseconds(client, 30 + hours * 3600)
    client.set(key("b"), b"3:%d:0123456789abcdef" % end, px=60_000)
    client.set(key("c"), b"3:%d:0123456789abcdef" % (end - 60_000), px=60_000)
    with Elsewhere(port=valkey.port) as elsewhere:
        there = RedisStore(elsewhere, PREFIX)
        there.look_up(["the server's time"])
        assert there.look_up_one("b")[0] == held(1)
        client.config_resetstat()
        there.look_up_one("c")
        assert client.info("commandstats")["cmdstat_eval"]["calls"] == 1


def test_the_first_hit_of_a_process_asks_for_the_time(valkey, client, store):
    """Along with it: every hit is one round trip, also the first."""
    fill(store, "a", held(1))
    with redis.Redis(port=valkey.port) as watched:
        fresh = RedisStore(watched, PREFIX)
        client.config_resetstat()
        for _ in range(2):
            assert fresh.look_up_one("a") == store.look_up_one("a")
        stats = client.info("commandstats")
    asked = {name.removeprefix("cmdstat_"): stats[name]["calls"] for name in stats}
    assert {name: asked.get(name, 0) for name in ("mget", "time", "get", "eval")} == {
        "mget": 1,
        "time": 1,
        "get": 3,
        "eval": 0,
    }


# Leases


@pytest.mark.parametrize("loss", ["expiry", "eviction"])
@pytest.mark.parametrize("again", [False, True], ids=["gone", "taken again"])
def test_a_lease_that_the_server_lost_is_void(store, client, loss, again):
    """A key that comes back has another token, so the old lease does not fit."""
    lease = lease_of(store)
    if loss == "expiry":
        client.pexpire(key("a"), -1)
    else:
        client.delete(key("a"))
    assert not again or lease_of(store) != lease
    assert not store.fill("a", lease, held(1), 60.0)
    assert code_of(store) is None


def test_an_equal_answer_from_before_an_invalidation_does_not_fit(store):
    """The same code again, written afresh, is not the entry that the lease saw."""
    fill(store, code=from_(1))
    lease = lease_of(store)
    store.invalidate(["a"])
    fill(store, code=from_(1))
    assert not store.fill("a", lease, held(1), 60.0)
    assert code_of(store) == from_(1)


def test_readers_that_share_a_lease_fill_once(store):
    """The first one's answer stays; the others' are as right, and refused."""
    lease = lease_of(store)
    assert store.fill("a", lease, held(1), 60.0)
    assert not store.fill("a", lease, from_(1), 60.0)
    assert code_of(store) == held(1)


def test_scripts_need_not_be_loaded(store, client):
    """A server that forgot all scripts, or was restarted, is no special case."""
    client.script_flush()
    fill(store)
    client.script_flush()
    found = store.look_up(NAMES)
    fills = {name: (lease, 1, 60.0) for name, (_, lease) in found.items()}
    client.script_flush()
    assert store.fill_many(fills) == len(NAMES)


# Keys


@pytest.mark.parametrize(
    "name", ["a b", "ü/\u0308", "\n\r\n", "\x00", "\udcff", "x" * 10_000, "{a}b", "*"]
)
def test_any_name_is_a_key_in_clear(store, client, name):
    """The key ends with the name itself, whatever it holds."""
    fill(store, name, held(1))
    assert code_of(store, name) == held(1)
    assert client.keys() == [PREFIX.encode() + name.encode("utf-8", "surrogatepass")]
    store.invalidate([name])
    assert client.dbsize() == 0


def test_clear_removes_this_chains_keys_only(store, client):
    """Other keys stay, also those that the prefix, read as a pattern, would match."""
    others = ["p:x[1]y\\^-:a", "p:x1y^-:a", "p:", "other", "xp:*[1]?\\^-:a"]
    client.mset(dict.fromkeys(others, "x"))
    found = store.look_up([f"name-{number}" for number in range(2500)])
    store.fill_many({name: (found[name][1], 1, 60.0) for name in list(found)[:1000]})
    store.clear()
    assert sorted(client.keys()) == sorted(other.encode() for other in others)
    store.clear()
    assert client.dbsize() == len(others)


def test_a_prefix_that_changes_is_asked_for_every_time(client):
    """Whoever tells tenants apart by their keys is not mixed up."""
    tenant = ["one:"]
    store = RedisStore(client, lambda: tenant[0])
    fill(store)
    tenant[0] = "two:"
    assert code_of(store) is None
    store.clear()
    tenant[0] = "one:"
    assert code_of(store) == 1
