"""An interrupt between a question and its answer: that is nobody else's answer."""

from __future__ import annotations

import pytest
from nearby import until

from fallback_storage.cache.entry import held
from fallback_storage.cache.stores.local import LocalStore
from fallback_storage.cache.stores.near import NearStore
from fallback_storage.cache.stores.redis import RedisStore

redis = pytest.importorskip("redis")

pytestmark = pytest.mark.slow

OPERATIONS = {
    "look_up_one": lambda store: store.look_up_one("a"),
    "look_up": lambda store: store.look_up(["a", "other"]),
    "look_up_lasting": lambda store: store.look_up_lasting(["a"]),
    "look_up_held": lambda store: store.look_up_held(["a"]),
    "fill": lambda store: store.fill("a", store.lease, held(0), 60.0),
    "invalidate": lambda store: store.invalidate(["a"]),
    "clear": lambda store: store.clear(),
    "publish": lambda store: store.publish({"hits": 1}),
    "published": lambda store: store.published(["hits"]),
    "seconds_left": lambda store: store.seconds_left("a"),
}


class TimeLimit(Exception):
    """What a task queue's handler of a signal raises."""


@pytest.fixture
def client(valkey):
    with redis.Redis(port=valkey.port, socket_timeout=30, protocol=2) as client:
        yield client


@pytest.fixture
def store(client):
    store = RedisStore(client, "p:")
    for name, index in (("a", 0), ("b", 1)):
        assert store.fill(name, store.look_up_one(name)[1], held(index), 60.0)
    store.lease = store.look_up_one("a")[1]
    return store


@pytest.fixture
def interrupt(valkey, monkeypatch):
    """Let an act be interrupted when its question is sent.

    The server, which is busy, answers when the next one is.
    """
    send = redis.Connection.send_packed_command

    def send_and_thaw(*args, **kwargs):
        send(*args, **kwargs)
        valkey.thaw()

    def interrupt(act, error):
        def raise_error(*args, **kwargs):
            raise error

        valkey.freeze()
        with monkeypatch.context() as patch:
            patch.setattr(redis.Connection, "read_response", raise_error)
            with pytest.raises(type(error)):
                act()
        monkeypatch.setattr(redis.Connection, "send_packed_command", send_and_thaw)

    yield interrupt
    valkey.thaw()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), TimeLimit()])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_next_question_has_its_own_answer(store, interrupt, operation, error):
    """Another name's entry would be believed for a lifetime."""
    interrupt(lambda: OPERATIONS[operation](store), error)
    found = store.look_up_one("b")[0]
    assert found == held(1) or (operation == "clear" and found is None)


def test_a_near_tier_keeps_no_other_names_entry(valkey, store, interrupt):
    """Nobody would tell it that this is wrong."""
    near = NearStore(store, LocalStore())
    near.look_up_one("connects")
    until(lambda: near.stats()["near_connected"])
    interrupt(lambda: near.look_up_one("a"), KeyboardInterrupt())
    assert near.look_up_one("b")[0] == held(1)
    assert near.peek("b") in {held(1), None}
    near.close()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_is_raised_before_the_client_is_asked_costs_no_connection(
    client, operation
):
    """A KEY_FUNCTION that fails, where there is no tenant: nothing was sent."""

    class NoTenantError(Exception):
        pass

    def key_function():
        raise NoTenantError

    connected = client.client_id()
    store = RedisStore(client, key_function)
    store.lease = b"-:0123456789abcdef"
    with pytest.raises(NoTenantError):
        OPERATIONS[operation](store)
    assert client.client_id() == connected
