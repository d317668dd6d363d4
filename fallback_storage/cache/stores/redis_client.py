"""From an alias of ``CACHES`` to a client of its Redis or Valkey server, and to keys.

LOCATION and the connection's OPTIONS are the alias's; the client is our own. It has
short time-outs, unless the alias says otherwise, and does not retry (redis-py's own
client does, for 3 seconds): a memo that is slow is worse than none.

Sentinel and clusters are a client that is passed. Keys: the alias's KEY_PREFIX, VERSION
and KEY_FUNCTION make the beginning of a chain's keys; the file's name follows in clear,
whatever the function does (keys of Redis take any length and any byte).
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from django.core.cache import caches
from django.utils.module_loading import import_string

from fallback_storage.cache.stores.alias import build_cache, cache_params
from fallback_storage.cache.stores.keys import Keys
from fallback_storage.exceptions import ConfigurationError, Mistake
from fallback_storage.utils import forks
from fallback_storage.utils.living import Living

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DJANGO_REDIS = "django_redis.cache.RedisCache"

# Seconds to wait for the server, to connect and for each answer.
TIMEOUT = 0.25

# django-redis's client classes that talk to one server.
PLAIN_CLIENTS = {
    "django_redis.client.DefaultClient",
    "django_redis.client.HerdClient",
    "django_redis.client.default.DefaultClient",
    "django_redis.client.herd.HerdClient",
}
PLAIN_FACTORY = "django_redis.pool.ConnectionFactory"

CLIENT_ADVICE = (
    "For Sentinel or a cluster give a client: the dotted path of a function that "
    "returns a client of redis-py."
)


def prefix_of(alias: str, chain: str) -> str | Callable[[], str]:
    """Return what the keys of a chain begin with, or a function that gives it.

    That is to be called anew for every operation: a KEY_FUNCTION may tell tenants apart.
    """
    cache = build_cache(alias)
    beginning = Keys(chain).prefix
    if cache_params(alias).get("KEY_FUNCTION") is None:
        return str(cache.make_key(beginning))
    return lambda: str(cache.make_key(beginning))


class SharedClient:
    """A client for all stores that connect to one place; the last to leave closes it.

    ``params``: what the alias describes. Whoever uses it keeps it; nobody else does.
    """

    def __init__(self, params: Mapping[str, Any], make: Callable[[], Any]) -> None:
        self.params = params
        self._make = make
        self._users: Living[object] = Living()
        self._client: Any = None
        self.after_fork()
        forks.register(self)

    def after_fork(self) -> None:
        """Redis-py sees to its own connections."""
        self._lock = threading.RLock()

    def join(self, user: object) -> Any:
        """Return the client; made now, if it is not yet."""
        with self._lock:
            self._users.add(user)
            if self._client is None:
                self._client = _prompt(self._make(), Mistake.BAD_CLIENT, "CLIENT")
            return self._client

    def leave(self, user: object) -> None:
        """Close the client, if nobody else uses it."""
        with self._lock:
            self._users.discard(user)
            if self._client is None or self._users.all():
                return
            client, self._client = self._client, None
        client.close()


def lags(client: Any) -> bool:
    """Whether a client may not see what was written, though the server has it.

    It asks replicas, or keeps what it has read, of which it hears later that it is over.
    """
    pool = getattr(client, "connection_pool", None)
    return (
        getattr(pool, "cache", None) is not None
        or not getattr(pool, "is_master", True)
        or getattr(client, "read_from_replicas", False) is True
        or getattr(client, "load_balancing_strategy", None) is not None
    )


def _prompt(client: Any, mistake: Mistake, where: str) -> Any:
    """Return a client. Raises ``ConfigurationError``, and closes it, if it ``lags``."""
    if lags(client):
        client.close()
        raise ConfigurationError(
            mistake,
            where,
            "gives a client that reads from replicas, or from a cache of its own: writes "
            "are seen late.",
            "Leave out its cache, and the replicas. With NEAR, what was read is kept in "
            "process memory.",
        )
    return client


_shared: WeakValueDictionary[tuple[str, object], SharedClient] = WeakValueDictionary()


def shared_client(alias: str, client: Any = None) -> SharedClient:
    """Return the shared client of an alias; made by ``client()``, if that is given.

    Contacts nothing.
    """
    if isinstance(client, str):
        client = import_string(client)
    params = dict(cache_params(alias))
    with forks.build_lock():
        found = _shared.get((alias, client))
        if found is None or found.params != params:
            if client is None:
                own = client_of(alias)  # or raises what is wrong with the alias
                found = SharedClient(params, lambda: own)
            else:
                found = SharedClient(params, client)
            _shared[alias, client] = found
        return found


def client_of(alias: str) -> Any:
    """Return a client of our own for the server that ``CACHES[alias]`` writes to."""
    try:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError:
        raise ConfigurationError(
            Mistake.NO_REDIS_LIBRARY,
            f"CACHES[{alias!r}]",
            "is a Redis cache, and the library redis is not installed.",
            "Install django-fallback-storage[redis].",
        ) from None

    params = caches.settings[alias]
    options = dict(params.get("OPTIONS") or {})
    if params["BACKEND"] == DJANGO_REDIS:
        pool_class, arguments = _read_django_redis(alias, options)
    else:
        pool_class, arguments = _read_django(options)
    pool_class = _imported(pool_class, alias)
    if "parser_class" in arguments:
        arguments["parser_class"] = _imported(arguments["parser_class"], alias)
    arguments = {
        "socket_timeout": TIMEOUT,
        "socket_connect_timeout": TIMEOUT,
        "protocol": 2,
        **arguments,
        "retry": Retry(NoBackoff(), 0),
    }
    try:
        pool = (pool_class or redis.ConnectionPool).from_url(
            _writer(params.get("LOCATION")), **arguments
        )
    except (ValueError, TypeError, AttributeError):
        # (The library's message may quote the URL, and so a password.)
        raise ConfigurationError(
            Mistake.BAD_REDIS_ALIAS,
            f"CACHES[{alias!r}]['LOCATION']",
            "is not the URL of a Redis server.",
            f"Write 'redis://host:6379/0'. {CLIENT_ADVICE}",
        ) from None
    where = f"CACHES[{alias!r}]['OPTIONS']"
    return _prompt(redis.Redis.from_pool(pool), Mistake.BAD_REDIS_ALIAS, where)


def _imported(found: Any, alias: str) -> Any:
    """Return what an option names by a dotted path; anything else as it is."""
    if not isinstance(found, str):
        return found
    try:
        return import_string(found)
    except ImportError:
        raise ConfigurationError(
            Mistake.BAD_REDIS_ALIAS,
            f"CACHES[{alias!r}]['OPTIONS']",
            "names a class that cannot be imported.",
            "Correct its dotted path: that of the connection pool, or of the parser.",
        ) from None


def _writer(location: Any) -> Any:
    """Return the URL of the first server: the one that both libraries write to."""
    if isinstance(location, str):
        return re.split("[;,]", location)[0]
    return next(iter(location or ()), None)


def _read_django(options: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    arguments = dict(options)
    arguments.pop("serializer", None)
    return arguments.pop("pool_class", None), arguments


def _read_django_redis(
    alias: str, options: Mapping[str, Any]
) -> tuple[Any, dict[str, Any]]:
    for key, plain in (
        ("CLIENT_CLASS", PLAIN_CLIENTS),
        ("CONNECTION_FACTORY", {PLAIN_FACTORY}),
    ):
        if options.get(key) and options[key] not in plain:
            raise ConfigurationError(
                Mistake.NOT_ONE_SERVER,
                f"CACHES[{alias!r}]['OPTIONS'][{key!r}]",
                "is not the one for a single server.",
                CLIENT_ADVICE,
            )
    arguments = {
        key.lower(): options[key]
        for key in (
            "USERNAME",
            "PASSWORD",
            "SOCKET_TIMEOUT",
            "SOCKET_CONNECT_TIMEOUT",
            "PARSER_CLASS",
        )
        if options.get(key)
    }
    arguments.update(options.get("CONNECTION_POOL_KWARGS") or {})
    return options.get("CONNECTION_POOL_CLASS"), arguments
