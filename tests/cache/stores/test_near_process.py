"""The near tier's thread: it starts late, ends with its store, and survives no fork."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading

import pytest
from nearby import connect, tracking, until

from fallback_storage.cache.stores.local import LocalStore
from fallback_storage.cache.stores.near import NearStore
from fallback_storage.cache.stores.redis import RedisStore

redis = pytest.importorskip("redis")

THREAD = "fallback-storage-tracker"


def trackers():
    return sum(thread.name == THREAD for thread in threading.enumerate())


@pytest.fixture
def client(valkey):
    with redis.Redis(port=valkey.port) as client:
        yield client


@pytest.fixture
def store(valkey):
    far = RedisStore(lambda: redis.Redis(port=valkey.port), "near:")
    store = NearStore(far, LocalStore())
    yield store
    store.close()


def test_the_thread_starts_with_the_first_look_up(store, client):
    """Before it there is neither a thread nor a connection; after it there is one."""
    assert store.peek("a") is None
    store.invalidate(["a"])
    assert (trackers(), len(tracking(client))) == (0, 0)
    connect(store)
    store.look_up(["a"])
    assert (trackers(), len(tracking(client))) == (1, 1)


def test_close_ends_thread_and_connection(store, client):
    """A closed store still answers, from the far store and nothing in process."""
    before = len(client.client_list())
    connect(store)
    store.close()
    assert trackers() == 0
    until(lambda: len(client.client_list()) <= before)
    assert store.look_up(["a"])["a"][0] is None
    assert trackers() == 0
    store.close()


def test_a_store_that_was_never_used_can_be_closed(store):
    """Then there is nothing to end."""
    store.close()
    assert trackers() == 0


def test_a_store_that_nobody_holds_takes_its_thread_along(valkey, client):
    """Instances come and go (pickled fields, class paths): nothing piles up."""
    store = NearStore(
        RedisStore(lambda: redis.Redis(port=valkey.port), "near:"), LocalStore()
    )
    connect(store)
    del store
    gc.collect()
    until(lambda: trackers() == 0)
    until(lambda: not tracking(client))


BEGIN = """
import os, redis, sys, time
from fallback_storage.cache.stores.local import LocalStore
from fallback_storage.cache.stores.near import NearStore
from fallback_storage.cache.stores.redis import RedisStore

def until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.0005)

def connect():
    store.look_up(["connects"])
    until(lambda: store.stats()["near_connected"])

store = NearStore(
    RedisStore(lambda: redis.Redis(port=int(sys.argv[1])), "near:"), LocalStore()
)
connect()
"""

# Words: the parent's question, or the child's answer.
FORK = """
def know():
    lease = store.look_up(["a"])["a"][1]
    store.fill("a", lease, 3, 60.0)
    until(lambda: store.look_up(["a"])["a"][0] == 3 == store.peek("a"))

know()
ready, go = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    # Nothing of the parent's.
    assert store.peek("a") is None
    assert not store.stats()["near_connected"]
    assert store._tracker._thread is None
    connect()
    know()
    os.write(ready[1], b"x")
    os.read(go[0], 1)
    # It hears of the parent's write.
    until(lambda: store.peek("a") is None)
    sys.exit(0)
os.read(ready[0], 1)
clients = [each for each in store._far.client.client_list() if "t" in each["flags"]]
assert len(clients) == 2, clients
# The parent's own connection was left alone.
assert store.stats()["near_connected"] and store.stats()["near_connections"] == 1
know()
store.invalidate(["a"])
os.write(go[1], b"x")
status = os.waitpid(child, 0)[1]
assert store.stats()["near_connections"] == 1
know()
sys.exit(status)
"""

ABANDON = """
# The child never uses the store. The server drops the parent's connection all the same.
ready = os.pipe()
if os.fork() == 0:
    os.write(ready[1], b"x")
    os.read(0, 1)
    os._exit(0)
os.read(ready[0], 1)
with redis.Redis(port=int(sys.argv[1])) as client:
    me = [each["id"] for each in client.client_list() if "t" in each["flags"]]
    os.kill(os.getpid(), 9) if len(me) == 1 else sys.exit(1)
"""


def run(script, server, **kwargs):
    command = [sys.executable, "-c", BEGIN + script, str(server.port)]
    return subprocess.run(
        command, timeout=60, check=False, capture_output=True, text=True, **kwargs
    )


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="Needs os.fork().")


@needs_fork
def test_a_forked_child_starts_its_own(valkey):
    """A preloaded worker's child: an empty tier, an own thread and connection."""
    done = run(FORK, valkey)
    assert done.returncode == 0, done.stderr


@needs_fork
def test_a_forked_child_holds_no_connection_of_its_parent(valkey, client):
    """Else the server would go on telling a process that has gone."""
    with subprocess.Popen(
        [sys.executable, "-c", BEGIN + ABANDON, str(valkey.port)],
        stdin=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.wait(60) == -9
        try:
            until(lambda: not tracking(client))
        finally:
            os.killpg(process.pid, 9)


@pytest.mark.parametrize("frozen", [False, True])
def test_the_process_ends_whatever_the_thread_does(valkey, frozen):
    """Also while it waits for a server that does not answer."""
    freeze = f"os.kill({valkey.process.pid}, 19)" if frozen else ""
    try:
        done = run(f"{freeze}\nprint('end')", valkey)
    finally:
        valkey.thaw()
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")
