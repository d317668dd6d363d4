"""The Redis store on a cluster, which refuses commands over several slots."""

from __future__ import annotations

import contextlib
import itertools
import logging

import pytest
from nearby import until
from servers import ValkeyServer

from fallback_storage.cache.entry import held
from fallback_storage.cache.stores.base import EVERY
from fallback_storage.cache.stores.local import LocalStore
from fallback_storage.cache.stores.near import NearStore
from fallback_storage.cache.stores.redis import RedisStore
from fallback_storage.cache.stores.redis_client import lags
from fallback_storage.exceptions import ConfigurationError

redis = pytest.importorskip("redis")

NAMES = [f"picture-{number}.jpg" for number in range(50)]


class ClusterNode(ValkeyServer):
    """One of three: it has a third of the slots, and checks them."""

    port_names = ("port", "bus")

    def command(self):
        return [
            *super().command(),
            *("--cluster-enabled", "yes"),
            *("--cluster-port", str(self.ports["bus"])),
            *("--cluster-require-full-coverage", "no"),
        ]


@pytest.fixture(scope="module")
def nodes(valkey_server):
    """Nodes of our own; the other server is only there to skip if there is none."""
    with contextlib.ExitStack() as stack:
        nodes = [stack.enter_context(ClusterNode()) for _ in range(3)]
        clients = [stack.enter_context(redis.Redis(port=node.port)) for node in nodes]
        for number, client in enumerate(clients):
            first, last = number * 16384 // 3, (number + 1) * 16384 // 3 - 1
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for client in clients[1:]:
            meet = (
                "CLUSTER",
                "MEET",
                nodes[0].host,
                nodes[0].port,
                nodes[0].ports["bus"],
            )
            client.execute_command(*meet)
        until_whole(nodes)
        yield nodes


def until_whole(nodes):
    for node in nodes:
        with redis.Redis(port=node.port) as client:
            until(lambda client=client: is_whole(client.cluster("INFO")))


def is_whole(info):
    return info["cluster_state"] == "ok" and info["cluster_slots_ok"] == "16384"


@pytest.fixture
def node(nodes):
    return nodes[0]


@pytest.fixture
def store(node):
    def connect():
        return redis.RedisCluster(host=node.host, port=node.port)

    store = RedisStore(connect, "p:")
    yield store
    store.client.flushall(target_nodes=redis.RedisCluster.PRIMARIES)
    store.close()


def test_the_cluster_does_refuse_several_slots(node):
    """Otherwise the tests of this file would say nothing."""
    with (
        redis.Redis(port=node.port) as client,
        pytest.raises(redis.ResponseError, match="same slot"),
    ):
        client.mget(["p:a", "p:b"])


def test_every_operation_works_across_slots(store, nodes):
    """Look-ups, leases, fills, invalidations and clear, of one name and of many."""
    store.look_up(NAMES)
    for node in nodes:
        with redis.Redis(port=node.port) as client:
            # Nobody is asked where a key is.
            assert "cmdstat_command|getkeys" not in client.info("commandstats")
    found = store.look_up(NAMES)
    fills = {name: (lease, held(0), 60.0) for name, (_, lease) in found.items()}
    assert store.fill_many(fills) == len(NAMES)
    assert {code for code, _ in store.look_up(NAMES).values()} == {held(0)}
    assert store.look_up(NAMES[:1])[NAMES[0]][0] == held(0)
    store.invalidate(NAMES[:10])
    left = [name for name, (code, _) in store.look_up(NAMES).items() if code]
    assert left == NAMES[10:]
    assert store.fill_many(fills) == 0
    store.clear()
    assert store.client.dbsize() == 0


@pytest.mark.parametrize("with_every", [True, False])
def test_a_dead_node_keeps_the_others_from_nothing(nodes, store, with_every):
    """Of a write all hear whose entries lie on nodes that live; the writer is told."""
    other = RedisStore(store.client, "p:")
    found = store.look_up(NAMES)
    fills = {name: (lease, held(0), 60.0) for name, (_, lease) in found.items()}
    assert store.fill_many(fills) == len(NAMES)
    every = store.client.get_node_from_key(b"p:" + EVERY.encode()).port
    dead = next(node for node in nodes if (node.port == every) is with_every)
    dead.kill()
    try:
        with pytest.raises(redis.RedisError):
            store.invalidate([EVERY, *NAMES])
        places = {n: other.client.get_node_from_key(b"p:" + n.encode()) for n in NAMES}
        alive = [name for name, place in places.items() if place.port != dead.port]
        assert 0 < len(alive) < len(NAMES)
        assert {other.look_up_one(name)[0] for name in alive} == {None}
    finally:
        dead.start()
        until_whole(nodes)


def test_a_near_tier_in_front_of_a_cluster_is_refused_and_does_without(store, caplog):
    """Each node would have to be listened to; the log says so, and answers are right."""
    with caplog.at_level(logging.ERROR, "fallback_storage"):
        near = NearStore(store, LocalStore())
        lease = near.look_up(["a"])["a"][1]
        near._tracker.join(10)
    assert "NEAR: is set for a Redis Cluster" in caplog.text
    assert near.fill("a", lease, held(1), 60.0)
    assert near.look_up(["a"])["a"][0] == held(1)
    assert near.peek("a") is None
    assert near.stats()["near_connected"] == 0


def test_an_interrupt_between_a_question_and_its_answer(store, nodes, monkeypatch):
    """The next question has its own answer; see test_redis_interrupts.py."""
    client = store.client
    of_a = client.get_node_from_key("p:a").port
    names = (f"{number}" for number in itertools.count())
    other = next(n for n in names if client.get_node_from_key(f"p:{n}").port == of_a)
    for name, index in (("a", 0), (other, 1)):
        assert store.fill(name, store.look_up_one(name)[1], held(index), 60.0)
    (server,) = (node for node in nodes if node.port == of_a)
    send = redis.Connection.send_packed_command

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    def send_and_thaw(*args, **kwargs):
        send(*args, **kwargs)
        server.thaw()

    server.freeze()
    try:
        with monkeypatch.context() as patch:
            patch.setattr(redis.Connection, "read_response", interrupt)
            with pytest.raises(KeyboardInterrupt):
                store.look_up_one("a")
        monkeypatch.setattr(redis.Connection, "send_packed_command", send_and_thaw)
        assert store.look_up_one(other)[0] == held(1)
    finally:
        server.thaw()


def from_replicas():
    return {"read_from_replicas": True}


def from_any():
    cluster = pytest.importorskip("redis.cluster")
    if not hasattr(cluster, "LoadBalancingStrategy"):
        pytest.skip("this redis-py balances no load")
    return {"load_balancing_strategy": cluster.LoadBalancingStrategy.ROUND_ROBIN}


@pytest.mark.filterwarnings("ignore:Call to '__init__':DeprecationWarning")
@pytest.mark.parametrize("options", [from_replicas, from_any])
def test_a_client_that_sees_late_what_was_written_is_refused(node, options):
    with redis.RedisCluster(host=node.host, port=node.port) as client:
        assert not lags(client)
    found = {"host": node.host, "port": node.port, **options()}
    store = RedisStore(lambda: redis.RedisCluster(**found), "p:")
    with pytest.raises(ConfigurationError, match="reads from replicas, or"):
        store.look_up(["a"])
    store.close()
