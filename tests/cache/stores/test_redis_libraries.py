"""Whose client the Redis store uses, and what becomes of it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from fallback_storage.cache.entry import NOWHERE, held
from fallback_storage.cache.stores.redis import RedisStore

redis = pytest.importorskip("redis")

PREFIX = "p:"


@pytest.fixture
def store(valkey):
    with redis.Redis(port=valkey.port) as client:
        yield RedisStore(client, PREFIX)


def code_of(store, name="a"):
    return store.look_up([name])[name][0]


def fill(store, name="a", code=1, ttl=60.0):
    assert store.fill(name, store.look_up([name])[name][1], code, ttl)


def test_a_client_that_decodes_is_as_good(valkey, store):
    """``decode_responses`` turns values into text; they are understood."""
    with redis.Redis(port=valkey.port, decode_responses=True) as client:
        decoding = RedisStore(client, PREFIX)
        fill(decoding, "a", held(1))
        fill(decoding, "b", NOWHERE)
        assert code_of(decoding) == code_of(store) == held(1)
        assert decoding.look_up(["a", "b"]) == store.look_up(["a", "b"])
        decoding.clear()
        assert code_of(store) is None


def test_a_function_is_called_once_and_late_and_its_client_closed(valkey):
    """A client that was passed belongs to whoever passed it; one we made is ours."""
    made = []

    def make():
        made.append(redis.Redis(port=valkey.port))
        return made[-1]

    store = RedisStore(make, PREFIX)
    store.close()
    assert made == []
    fill(store)
    fill(store, "b")
    assert len(made) == 1
    store.close()
    with redis.Redis(port=valkey.port) as passed:
        connection = passed.client_id()
        RedisStore(passed, PREFIX).close()
        assert passed.client_id() == connection


FORK = """
import os, redis, sys
from fallback_storage.cache.stores.redis import RedisStore
store = RedisStore(lambda: redis.Redis(port=int(sys.argv[1])), "p:")
def use(name, code):
    lease = store.look_up([name])[name][1]
    assert store.fill(name, lease, code, 60.0)
    return store.client.client_id()
mine = use("parent", 1)
child = os.fork()
for turn in range(200):
    assert store.look_up(["parent"])["parent"][0] == 1
    used = use(f"{child and 1} {turn}", turn)
    assert (used == mine) == bool(child)
if child:
    sys.exit(os.waitpid(child, 0)[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Needs os.fork().")
def test_a_forked_child_uses_a_connection_of_its_own(valkey):
    """Parent and child at the same time read their own answers."""
    command = [sys.executable, "-c", FORK, str(valkey.port)]
    assert subprocess.run(command, timeout=60, check=False).returncode == 0
