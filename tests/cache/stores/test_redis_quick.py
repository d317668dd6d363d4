"""GET past redis-py's client: only where that would do no more, and with its answers."""

from __future__ import annotations

import functools

import pytest
from stores import as_of_an_alias

from fallback_storage.cache.stores.redis_client import client_of
from fallback_storage.cache.stores.redis_quick import QuickGet, packed

redis = pytest.importorskip("redis")

# redis-py 5 wants to be told the command: there it is never done.
PLAIN = int(redis.__version__.partition(".")[0]) >= 6


class Subclass(redis.Redis):
    """May do anything."""


class OtherPool(redis.ConnectionPool):
    """May do anything."""


def client(kind=redis.Redis, **arguments):
    return kind(**{**as_of_an_alias(), **arguments})


def of_pool(kind, **arguments):
    return redis.Redis.from_pool(kind(**as_of_an_alias(), **arguments))


# When it is done


@pytest.mark.parametrize(
    "options",
    [{}, {"max_connections": 3}, {"pool_class": "redis.BlockingConnectionPool"}],
)
def test_a_client_of_an_alias_does_no_more(settings, options):
    backend = "django.core.cache.backends.redis.RedisCache"
    params = {"BACKEND": backend, "LOCATION": "redis://127.0.0.1:1/0"}
    settings.CACHES = {"media": {**params, "OPTIONS": options}}
    assert QuickGet(client_of("media")).is_right() == PLAIN


@pytest.mark.parametrize("protocol", [3, None])
def test_of_resp_3_it_is_not_done(protocol):
    """Answers may come with messages that the client sees to."""
    assert not QuickGet(client(protocol=protocol)).is_right()


def test_who_may_do_more_is_asked():
    others = [client(Subclass), client(retry=None), of_pool(OtherPool), object()]
    assert not any(QuickGet(other).is_right() for other in others)


def traced(function):
    @functools.wraps(function)
    def traced(*args, **kwargs):
        return function(*args, **kwargs)

    return traced


@pytest.mark.parametrize("method", ["execute_command", "get", "mget"])
@pytest.mark.parametrize("owner", ["class", "instance"])
def test_who_is_traced_is_asked(monkeypatch, method, owner):
    """Whether that began before or afterwards; as Sentry and OpenTelemetry do it."""
    one = client()
    before = QuickGet(one)
    target = redis.Redis if owner == "class" else one
    monkeypatch.setattr(target, method, traced(getattr(target, method)))
    assert not before.is_right()
    assert not QuickGet(one).is_right()


class Wrapper:
    """As wrapt makes them: it says of itself that it is what it wraps."""

    def __init__(self, wrapped):
        self.wrapped = wrapped

    def __get__(self, instance, owner):
        return self if instance is None else Wrapper(self.wrapped.__get__(instance))

    def __eq__(self, other):
        return self.wrapped == other

    def __hash__(self):
        return hash(self.wrapped)

    def __call__(self, *args, **kwargs):
        return self.wrapped(*args, **kwargs)


@pytest.mark.skipif(not PLAIN, reason="is never done")
def test_who_is_traced_by_one_that_hides_is_asked(monkeypatch):
    quick = QuickGet(client())
    assert quick.is_right()
    method = redis.Redis.execute_command
    monkeypatch.setattr(redis.Redis, "execute_command", Wrapper(method))
    assert not quick.is_right()


@pytest.mark.skipif(not PLAIN, reason="is never done")
def test_who_is_measured_is_asked(monkeypatch):
    recorder = pytest.importorskip("redis.observability.recorder")
    quick = QuickGet(client())
    assert quick.is_right()
    monkeypatch.setattr(recorder, "_metrics_collector", object())
    assert not quick.is_right()


# What it gives


@pytest.fixture
def other(valkey):
    """A client as it comes."""
    with redis.Redis(port=valkey.port) as client:
        yield client


@pytest.fixture
def quick(valkey):
    with client(port=valkey.port) as one:
        if not QuickGet(one).is_right():
            pytest.skip("is never done")
        yield QuickGet(one)


KEYS = [
    b"a",
    b"b" * 300,
    "ä\udcff".encode("utf-8", "surrogatepass"),
    b"\r\n$3\r\n",
    b"",
]


def test_it_sends_what_redis_py_sends():
    pack = redis.Connection().pack_command
    for keys in (KEYS[:1], KEYS, KEYS * 200):
        command = "GET" if len(keys) == 1 else "MGET"
        assert packed(keys) == b"".join(pack(command, *keys))


def test_it_gives_what_the_client_gives(quick, other):
    for number, key in enumerate(KEYS[:-1]):
        other.set(key, bytes([number]) * 100_000 * number)
    other.sadd(b"set", 1)
    assert quick.get(KEYS) == other.mget(KEYS)
    assert [quick.get([key])[0] for key in KEYS] == other.mget(KEYS)
    assert quick.get([b"a", b"set"]) == [b"", None]
    with pytest.raises(redis.ResponseError):
        quick.get([b"set"])
    assert quick.get([b"a"]) == (b"",)


def test_it_takes_a_connection_of_the_pool_and_gives_it_back(quick, other):
    before = {each["id"] for each in other.client_list()}
    for _ in range(5):
        quick.get([b"a"])
    assert len({each["id"] for each in other.client_list()} - before) <= 1


class Halfway(redis.Connection):
    """Is interrupted when a command was sent, as by Ctrl-C; the answer is late."""

    interrupts = 0

    def read_response(self, *args, **kwargs):
        if Halfway.interrupts:
            Halfway.interrupts -= 1
            raise KeyboardInterrupt
        return super().read_response(*args, **kwargs)

    def can_read(self, *args, **kwargs):
        return False


def test_what_nobody_waited_for_is_nobodys_answer(valkey, other):
    other.mset({"mine": 1, "yours": 2})
    pool = functools.partial(redis.ConnectionPool, connection_class=Halfway)
    quick = QuickGet(of_pool(pool, port=valkey.port))
    if not quick.is_right():
        pytest.skip("is never done")
    quick.get([b"mine"])
    Halfway.interrupts = 1
    with pytest.raises(KeyboardInterrupt):
        quick.get([b"mine"])
    assert quick.get([b"yours"]) == (b"2",)
    quick._pool.disconnect()


def test_a_server_that_was_restarted_is_connected_to_again(valkey, quick):
    quick.get([b"a"])
    valkey.kill()
    with pytest.raises(redis.ConnectionError):
        quick.get([b"a"])
    valkey.start()
    assert quick.get([b"a"]) == (None,)
