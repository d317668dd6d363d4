"""Helpers for the tests of near tiers, which are told of changes a moment later."""

from __future__ import annotations

import time

import pytest

from fallback_storage.cache.entry import held

redis = pytest.importorskip("redis")
from redis.backoff import NoBackoff  # noqa: E402
from redis.retry import Retry  # noqa: E402

PREFIX = "near:"


def until(condition, seconds=10):
    """Wait until something is so, or fail."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "It did not happen."
        time.sleep(0.0005)


def impatient(port):
    # redis-py's default is to try for three seconds.
    return redis.Redis(port=port, socket_timeout=0.5, retry=Retry(NoBackoff(), 0))


def connect(store):
    store.look_up(["connects"])
    until(lambda: store.stats()["near_connected"])
    return store


def lease_of(store, name="a"):
    return store.look_up([name])[name][1]


def settle(near, other):
    """Wait until the near tier has heard of all that was done so far."""
    messages = near.stats()["near_messages"]
    other.look_up([f"settle-{messages}"])
    until(lambda: near.stats()["near_messages"] > messages)


def know(near, other, name="a", code=held(1), ttl=60.0):  # noqa: B008
    """Let the near tier know a name that another process resolved."""
    assert other.fill(name, lease_of(other, name), code, ttl)
    # The messages about it may arrive before or after our look-up.
    until(lambda: near.look_up([name])[name][0] == near.peek(name) == code)
    settle(near, other)
    until(lambda: near.look_up([name])[name][0] == near.peek(name) == code)


def tracking(client):
    """Return the connections that the server tells of changes."""
    return [each["id"] for each in client.client_list() if "t" in each["flags"]]


def kill_tracking(client):
    killed = tracking(client)
    for each in killed:
        client.client_kill_filter(_id=each)
    return len(killed)
