"""Values of keys, past the methods of redis-py's client, which cost as much again.

The pool, its connections and all that they see to are the client's own: TLS, time-outs,
health checks, forks. Left out is what the client adds to a command: packing it one
argument after the other, retries, events and metrics. So this is done only where the
client would do no more than that, which is looked at each time.
"""

from __future__ import annotations

import inspect
import sys
from functools import partial
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

POOLS = frozenset({"BlockingConnectionPool", "ConnectionPool"})


class QuickGet:
    """``GET`` and ``MGET`` for a client of redis-py. Thread-safe as its pool is."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._pool = _plain_pool(client)
        self._methods = self._pool and _own_methods(client)
        self._take_connection = self._pool and _taker(self._pool)
        recorder = sys.modules.get("redis.observability.recorder")
        self._is_measured = getattr(recorder, "is_enabled", bool)

    def is_right(self) -> bool:
        """Whether the client's own methods would do the same, and nobody sees to them."""
        if self._methods is None or self._is_measured():
            return False
        for known, now in zip(self._methods, _methods(self._client), strict=True):
            # (What wraps a method says that it is equal to that.)
            if type(now) is not MethodType or now != known:
                return False
        return True

    def get(self, keys: Sequence[bytes]) -> Sequence[Any]:
        """Return the values of keys. Raises what the connection raises."""
        connection = self._take_connection()
        try:
            connection.send_packed_command((packed(keys),))
            answer = connection.read_response()
        except BaseException:
            # Ctrl-C may have come in between: the answer would be that of the next one.
            connection.disconnect()
            raise
        finally:
            self._pool.release(connection)
        return (answer,) if len(keys) == 1 else answer


def packed(keys: Sequence[bytes]) -> bytes:
    """Return the command that gets these keys, as it is sent."""
    if len(keys) == 1:
        return b"*2\r\n$3\r\nGET\r\n$%d\r\n%b\r\n" % (len(keys[0]), keys[0])
    words = [b"$%d\r\n%b\r\n" % (len(word), word) for word in (b"MGET", *keys)]
    return b"*%d\r\n%b" % (len(words), b"".join(words))


def _plain_pool(client: Any) -> Any:
    """Return the pool of a client that does nothing of its own, or None.

    Of one server, with RESP 2, without retries; of redis-py >= 6, whose pools want to be
    told no command.
    """
    pool = getattr(client, "connection_pool", None)
    arguments = getattr(pool, "connection_kwargs", {})
    plain = (
        _is(client, "redis.client", {"Redis"})
        and _is(pool, "redis.connection", POOLS)
        and getattr(client, "connection", pool) is None  # not one for all threads
        and str(arguments.get("protocol")) == "2"
        and getattr(arguments.get("retry"), "_retries", None) == 0
    )
    if not plain:
        return None
    try:
        inspect.signature(pool.get_connection).bind()  # type: ignore[union-attr]
    except TypeError:
        return None
    return pool


def _taker(pool: Any) -> Callable[[], Any]:
    """Return what takes a connection, and does not look for arguments of former times."""
    method = type(pool).get_connection
    if type(method) is FunctionType and method.__globals__["__name__"] == "redis.utils":
        return partial(getattr(method, "__wrapped__", method), pool)
    return pool.get_connection  # type: ignore[no-any-return]


def _is(thing: Any, module: str, names: Any) -> bool:
    own = type(thing)
    return own.__module__ == module and own.__name__ in names


def _methods(client: Any) -> tuple[Any, ...]:
    return client.execute_command, client.get, client.mget


def _own_methods(client: Any) -> tuple[Any, ...] | None:
    """Return what a client would call, unless somebody has put something in its place.

    (As tracing does.)
    """
    methods = _methods(client)
    for method in methods:
        function = method.__func__ if type(method) is MethodType else None
        if type(function) is not FunctionType:
            return None
        if function.__globals__["__name__"].partition(".")[0] != "redis":
            return None
    return methods
