"""The Redis store on a cluster, which refuses commands over several slots."""

from __future__ import annotations

import logging
import time

import pytest
from servers import ValkeyServer

from fallback_storage.cache.entry import held
from fallback_storage.cache.stores.local import LocalStore
from fallback_storage.cache.stores.near import NearStore
from fallback_storage.cache.stores.redis import RedisStore

redis = pytest.importorskip("redis")

NAMES = [f"picture-{number}.jpg" for number in range(50)]


class ClusterNode(ValkeyServer):
    """A cluster of one: it has all the slots, and checks them like any other."""

    port_names = ("port", "bus")

    def command(self):
        return [
            *super().command(),
            *("--cluster-enabled", "yes"),
            *("--cluster-port", str(self.ports["bus"])),
        ]


@pytest.fixture(scope="module")
def node(valkey_server):
    """A node of our own; the other server is only there to skip if there is none."""
    with ClusterNode() as node:
        with redis.Redis(port=node.port) as client:
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            deadline = time.monotonic() + 30
            while client.cluster("INFO")["cluster_state"] != "ok":
                assert time.monotonic() < deadline
        yield node


@pytest.fixture
def store(node):
    def connect():
        return redis.RedisCluster(host=node.host, port=node.port)

    store = RedisStore(connect, "p:")
    yield store
    store.client.flushall()
    store.close()


def test_the_cluster_does_refuse_several_slots(node):
    """Otherwise the tests of this file would say nothing."""
    with (
        redis.Redis(port=node.port) as client,
        pytest.raises(redis.ResponseError, match="same slot"),
    ):
        client.mget(["p:a", "p:b"])


def test_every_operation_works_across_slots(store):
    """Look-ups, leases, fills, invalidations and clear, of one name and of many."""
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
