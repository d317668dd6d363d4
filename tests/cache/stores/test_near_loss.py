"""The near tier in doubt: a late answer, a lost connection, a server that is away."""

from __future__ import annotations

import threading
import time

import pytest
from nearby import (
    PREFIX,
    connect,
    impatient,
    kill_tracking,
    know,
    lease_of,
    settle,
    until,
)

from fallback_storage.cache.entry import held
from fallback_storage.cache.stores.local import LocalStore
from fallback_storage.cache.stores.near import NearStore
from fallback_storage.cache.stores.redis import RedisStore

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


@pytest.fixture
def near(make_near):
    return connect(make_near())


# No late fill


class PausingStore(RedisStore):
    """Does something between the answer of the server and its return."""

    meanwhile = None

    def look_up(self, names):
        return self._pause(super().look_up(names))

    def look_up_lasting(self, names):
        return self._pause(super().look_up_lasting(names))

    def _pause(self, found):
        if self.meanwhile:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        return found


@pytest.mark.parametrize("who", ["another", "we"])
def test_what_was_read_before_an_invalidation_is_not_kept(make_near, other, who):
    """The near tier's lease is older than its look at the far store."""
    near = connect(make_near(far_class=PausingStore))
    other.fill("a", lease_of(other), held(1), 60.0)
    settle(near, other)

    def invalidate():
        if who == "we":
            near.invalidate(["a"])
        else:
            other.invalidate(["a"])
            settle(near, other)

    near._far.meanwhile = invalidate
    assert near.look_up(["a"])["a"][0] == held(1)
    assert near.peek("a") is None


def test_what_was_read_during_our_own_invalidation_is_not_kept(make_near, other):
    """Between its begin and its end the far store may still say what was before."""

    class Slow(RedisStore):
        def invalidate(self, names):
            assert near.look_up(["a"])["a"][0] == near.peek("a") == held(1)
            super().invalidate(names)

    class Deaf(LocalStore):
        def invalidate(self, names):
            if threading.current_thread() is threading.main_thread():
                super().invalidate(names)

    near = connect(make_near(Deaf(), far_class=Slow))
    other.fill("a", lease_of(other), held(1), 60.0)
    near.invalidate(["a"])
    assert near.peek("a") is None


def test_what_was_read_before_the_connection_was_lost_is_not_kept(
    make_near, other, client
):
    """Not even if there is a new connection by then."""
    near = connect(make_near(far_class=PausingStore))
    other.fill("a", lease_of(other), held(1), 60.0)
    settle(near, other)

    def lose():
        kill_tracking(client)
        until(lambda: near.stats()["near_connections"] == 2)

    near._far.meanwhile = lose
    assert near.look_up(["a"])["a"][0] == held(1)
    assert near.peek("a") is None


def test_what_was_read_without_a_connection_is_not_kept(make_near, other):
    """Who began to read before the server tracked may have missed a change."""
    near = make_near(far_class=PausingStore)
    other.fill("a", lease_of(other), held(1), 60.0)
    near._far.meanwhile = lambda: until(lambda: near.stats()["near_connected"])
    assert near.look_up(["a"])["a"][0] == held(1)
    assert near.peek("a") is None
    assert near.look_up(["a"])["a"][0] == near.peek("a") == held(1)


# Loss of the connection


def test_a_killed_connection_empties_the_tier_until_there_is_another(
    near, other, client
):
    """Meanwhile the far store answers."""
    know(near, other)
    assert kill_tracking(client) == 1
    until(lambda: near.peek("a") is None)
    assert near.look_up(["a"])["a"][0] == held(1)
    until(lambda: near.stats()["near_connections"] == 2)
    know(near, other, "b")
    other.invalidate(["b"])
    until(lambda: near.peek("b") is None)


def test_a_server_that_restarts_empties_the_tier(near, other, valkey):
    """Changes while it was down, or we were not connected, are never missed."""
    know(near, other)
    valkey.kill()
    until(lambda: near.peek("a") is None)
    with pytest.raises(redis.ConnectionError):
        near.look_up(["a"])
    valkey.start()
    other.invalidate(["a"])
    until(lambda: near.stats()["near_connections"] == 2)
    assert near.look_up(["a"])["a"][0] is None


def test_a_silent_server_empties_the_tier_within_two_heartbeats(
    make_near, other, valkey
):
    """A connection that died without a word is found out by asking."""
    near = connect(make_near(heartbeat=0.2))
    know(near, other)
    valkey.freeze()
    begin = time.monotonic()
    until(lambda: near.peek("a") is None)
    took = time.monotonic() - begin
    assert not near.stats()["near_connected"]
    valkey.thaw()
    assert took < 5
    until(lambda: near.stats()["near_connections"] == 2)


def test_a_quiet_server_is_not_a_silent_one(make_near, other, client):
    """It answers the heartbeat, so the connection stands."""
    near = connect(make_near(heartbeat=0.2))
    know(near, other)
    client.config_resetstat()
    until(lambda: client.info("commandstats").get("cmdstat_role", {}).get("calls") == 2)
    assert near.peek("a") == held(1)
    assert near.stats()["near_connections"] == 1


def test_a_server_that_cannot_track_leaves_the_far_store(
    valkey, make_near, other, caplog
):
    """Where CLIENT TRACKING is refused every answer comes from the server."""
    with redis.Redis(port=valkey.port) as admin:
        admin.execute_command("ACL", "SETUSER", "default", "-client|tracking")
        try:
            near = make_near()
            assert other.fill("a", lease_of(other), held(1), 60.0)
            near.look_up(["a"])
            until(lambda: "No invalidations arrive" in caplog.text)
            assert "server (it refuses CLIENT TRACKING: NOPERM); nothing" in caplog.text
            assert near.look_up(["a"])["a"][0] == held(1)
            assert near.peek("a") is None
        finally:
            admin.execute_command("ACL", "SETUSER", "default", "+client|tracking")
    until(lambda: near.stats()["near_connected"])
