"""A failover that keeps connections open: the endpoint moves, the old primary stays."""

from __future__ import annotations

import pytest
from nearby import connect, tracking, until
from servers import ValkeyServer, free_port, run_or_skip

from fallback_storage.cache.entry import held
from fallback_storage.cache.stores.guarded import GuardedStore
from fallback_storage.cache.stores.local import LocalStore
from fallback_storage.cache.stores.near import NearStore
from fallback_storage.cache.stores.redis import RedisStore
from fallback_storage.cache.stores.redis_failover import reconnecting

redis = pytest.importorskip("redis")

pytestmark = pytest.mark.slow

PREFIX = "p:"


@pytest.fixture(scope="module")
def second_server():
    yield from run_or_skip(ValkeyServer())


class Endpoint:
    """A name of a server that leads to another one when it moves."""

    def __init__(self, server):
        self.server = server
        self.connections = 0
        endpoint = self

        class Connection(redis.Connection):
            def _connect(self):
                endpoint.connections += 1
                self.port = endpoint.server.port
                return super()._connect()

        self.pool = redis.ConnectionPool(connection_class=Connection, port=0)


@pytest.fixture
def endpoint(valkey, second_server):
    second_server.flush()
    endpoint = Endpoint(valkey)
    yield endpoint
    endpoint.pool.disconnect()
    with redis.Redis(port=valkey.port) as client:
        client.replicaof("NO", "ONE")


@pytest.fixture
def fail_over(endpoint, valkey, second_server):
    """Return a function that demotes the first server and moves the endpoint."""

    def fail_over(*, move=True):
        with redis.Redis(port=valkey.port) as client:
            client.replicaof("127.0.0.1", free_port())
        if move:
            endpoint.server = second_server

    return fail_over


@pytest.fixture
def store(endpoint):
    return RedisStore(redis.Redis.from_pool(endpoint.pool), PREFIX)


def fill(store, name="a"):
    return store.fill(name, store.look_up_one(name)[1], held(1), 60.0)


WRITES = {
    "a miss": lambda store: store.look_up_one("unknown"),
    "misses": lambda store: store.look_up(["unknown", "others"]),
    "lasting": lambda store: store.look_up_lasting(["unknown"]),
    "invalidate": lambda store: store.invalidate(["a"]),
    "clear": lambda store: store.clear(),
    "publish": lambda store: store.publish({"hits": 1}),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_what_a_replica_refuses_goes_to_the_new_primary(
    store, fail_over, second_server, endpoint, write
):
    """At once, and to no open connection again."""
    assert fill(store)
    fail_over()
    with redis.Redis(port=second_server.port) as client:
        client.set(f"{PREFIX}a", "theirs")
        write(store)
        assert endpoint.connections == 2
        assert client.info("clients")["connected_clients"] == 2
    assert fill(store)
    assert endpoint.connections == 2


def test_a_fill_finds_no_lease_at_the_new_primary(store, fail_over):
    """It is late, as the lease was the old one's."""
    _, lease = store.look_up_one("a")
    fail_over()
    assert not store.fill("a", lease, held(1), 60.0)
    assert fill(store)


def test_an_announcement_arrives_at_the_new_primary(store, fail_over, second_server):
    """A write in the middle of a failover is seen by other workers at once."""
    guarded = GuardedStore(store)
    assert fill(guarded)
    fail_over()
    with redis.Redis(port=second_server.port) as client:
        other = RedisStore(client, PREFIX)
        assert fill(other)
        guarded.invalidate(["a"])
        assert other.look_up_one("a")[0] is None
    assert guarded.stats()["undelivered"] == guarded.stats()["store_failures"] == 0


def test_until_the_endpoint_has_moved_nothing_is_announced_for_good(
    store, fail_over, clock, endpoint, second_server
):
    """It is tried twice, kept, and delivered when there is a primary."""
    guarded = GuardedStore(store, clock)
    assert fill(guarded)
    fail_over(move=False)
    guarded.invalidate(["a"])
    assert endpoint.connections == 2
    assert guarded.stats()["undelivered"] == 1
    assert guarded.look_up_one("a") == (None, None)
    endpoint.server = second_server
    assert fill(guarded)
    assert guarded.stats()["undelivered"] == 0


@pytest.mark.parametrize("may_ask", [True, False])
def test_a_near_tier_leaves_a_server_that_became_a_replica(
    store, fail_over, valkey, second_server, may_ask
):
    """Within two heartbeats, though its connection stands, and is answered."""
    with redis.Redis(port=valkey.port) as admin:
        admin.execute_command(
            "ACL", "SETUSER", "default", "+role" if may_ask else "-role"
        )
        near = NearStore(store, LocalStore(), heartbeat=0.2)
        try:
            connect(near)
            assert fill(near)
            until(lambda: near.look_up(["a"])["a"][0] == near.peek("a") == held(1))
            if not may_ask:
                until(lambda: admin.info("stats")["acl_access_denied_cmd"] > 1)
                until(lambda: near.look_up(["a"])["a"][0] == near.peek("a") == held(1))
                return
            fail_over()
            until(lambda: near.peek("a") is None)
            until(lambda: near.stats()["near_connections"] > 1)
            assert near.look_up(["a"])["a"][0] is None
            with redis.Redis(port=second_server.port) as client:
                assert tracking(client)
        finally:
            admin.execute_command("ACL", "SETUSER", "default", "+role")
            near.close()


def test_connections_in_use_are_left_to_their_threads(store, fail_over, endpoint):
    """What another thread is waiting for is not cut off."""
    store.look_up_one("a")
    theirs = endpoint.pool.get_connection()
    fail_over()
    store.invalidate(["a"])
    theirs.send_command("GET", "x")
    assert theirs.read_response() is None
    endpoint.pool.release(theirs)
    assert fill(store, "b")
    assert store.look_up_one("b")[0] == held(1)


class Pool:
    def __init__(self):
        self.dropped = 0

    def disconnect(self, inuse_connections):
        self.dropped += 1


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (redis.exceptions.ReadOnlyError("You can't write"), 2),
        (redis.exceptions.MasterDownError("Link with MASTER is down"), 2),
        (redis.ResponseError("Error running script: -READONLY You can't write"), 2),
        (redis.ResponseError("unknown command"), 1),
        (redis.exceptions.OutOfMemoryError("used memory"), 1),
        (redis.ConnectionError("refused"), 1),
        (redis.TimeoutError("timed out"), 1),
    ],
    ids=str,
)
@pytest.mark.parametrize("cluster", [False, True])
def test_only_a_replicas_refusal_is_tried_again(error, tries, cluster):
    """Once; and a client without a pool, a cluster's, is left alone."""

    class Failing:
        def __init__(self):
            self.client = type("Client", (), {})()
            if not cluster:
                self.client.connection_pool = Pool()
            self.tries = 0

        @reconnecting
        def act(self):
            self.tries += 1
            raise error

    failing = Failing()
    with pytest.raises(type(error)):
        failing.act()
    assert failing.tries == (1 if cluster else tries)
    if not cluster:
        assert failing.client.connection_pool.dropped == tries - 1
