"""The store in Redis or Valkey: one key a name, leases and fills decided by the server.

The value of a name's key is ASCII, never a pickle::

    -:<token>                           a lease: somebody asks the backends
    <code>[,<facts>]:<end>:<token>      an entry, with the token of its lease

* A **token** is random. It enters the server only where the key is absent; a fill
  keeps it. So as long as a key shows one token it was there all the time.
* A **lease** is the value seen, also an entry's whose lifetime is over. Readers that come
  while one is pending share it.
* A **fill** replaces the value if it is still the lease, in one step on the server.
* An **invalidation** deletes the key.
* The **end** of an entry's lifetime is the server's time, in milliseconds since 1970,
  written by the script that fills. The key is there for longer by the ``grace`` of the
  store, if it tells who holds the file; who reads it goes by what the server's last
  answers told of its clock, and asks a script in doubt.

Why no fill is late: say it finds its lease. The key then has been there, with this
token, since the lease was given, because a deleted key comes back with another token.
So nobody deleted it since: no invalidation came in between. That the value itself may
have changed and changed back meanwhile (two fills) is no matter. Expiry and eviction
delete keys as well: they void leases that were still good, which costs a walk.

One client for reads and writes, to the server that takes the writes: a replica lags.
A server that loses writes it has confirmed (it restarts with an old snapshot, or an
outdated replica takes over) may lose invalidations too; the TTL is then the bound.

Round trips: a hit one, of one name or of hundreds (the first of a process: two); a miss
two (the second for all leases), and one for its fill; an invalidation one.
Redis >= 6, Valkey >= 7.2; redis-py >= 5.1.
"""

from __future__ import annotations

import time
from itertools import islice
from typing import TYPE_CHECKING, Any

from fallback_storage.cache.stores import redis_protocol
from fallback_storage.cache.stores.base import EVERY, SINCE, PlacedStore
from fallback_storage.cache.stores.redis_client import prefix_of, shared_client
from fallback_storage.cache.stores.redis_failover import reconnecting
from fallback_storage.cache.stores.redis_server import Server
from fallback_storage.exceptions import ConfigurationError, Mistake

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

# The longest walk whose answer is kept. What nobody fills is gone after that.
LEASE_SECONDS = 60.0

# Keys to ask for, and to delete, at a time in ``clear``.
BATCH = 1000

# How long counters outlive the last process that added to them.
COUNTERS_SECONDS = 30 * 24 * 3600


def redis_store(
    alias: str, chain: str, client: Any = None, grace: float = 0.0
) -> RedisStore:
    """Return the store of a chain (its fingerprint) in a Redis alias.

    ``client``: a client of redis-py, a function that returns one, or its dotted path;
    default: one made from the alias. Contacts nothing.
    """
    if client is None or callable(client) or isinstance(client, str):
        client = shared_client(alias, client)
    return RedisStore(client, prefix_of(alias, chain), grace=grace)


class RedisStore(PlacedStore):
    """Keeps entries on a Redis or Valkey server, or a cluster of them.

    ``client``: a client of redis-py, a function that returns one, or one that is shared;
    the function is called at the first use, and what it returns is closed with the store,
    or with the last that shares it. ``prefix`` is what
    this chain's keys begin with and no other's: text, or a function that returns it,
    called every time. The name follows in clear, so that an invalidation message tells
    it. ``lease_seconds``: how long a walk may take.

    Raises whatever the client raises.
    """

    def __init__(
        self,
        client: Any,
        prefix: str | Callable[[], str],
        lease_seconds: float = LEASE_SECONDS,
        grace: float = 0.0,
    ) -> None:
        self.grace = grace
        self._server = Server(client)
        self.shared_client = self._server.shared
        self._prefix = prefix
        self.has_one_prefix = isinstance(prefix, str)
        self._one_prefix = (
            redis_protocol.encode(prefix) if isinstance(prefix, str) else None
        )
        self._lease_ms = redis_protocol.milliseconds(lease_seconds)

    @property
    def client(self) -> Any:
        """The client; made now, if it is not yet."""
        return self._server.client

    def prefix(self) -> bytes:
        """Return what every key of this chain, and no other key, begins with."""
        if self._one_prefix is not None:
            return self._one_prefix
        return redis_protocol.encode(self._prefix())  # type: ignore[operator]

    def tracking_connection(self) -> Any:
        """Return a connection of its own, not connected yet, for ``redis_tracking``."""
        pool = getattr(self.client, "connection_pool", None)
        if pool is None:
            raise ConfigurationError(
                Mistake.NOT_ONE_SERVER,
                "NEAR",
                "is set for a Redis Cluster, of which each node tells of its own keys.",
                "Remove NEAR, or give a client of a single server.",
            )
        return pool.connection_class(**{**pool.connection_kwargs, "protocol": 3})

    # Reading

    @reconnecting
    def look_up(self, names: Collection[str]) -> Mapping[str, tuple[int | None, Any]]:
        keys = self._keys_of(names)
        found = self._with_leases(keys, self._server.get(keys))
        return dict(zip(names, found, strict=True))

    @reconnecting
    def look_up_one(self, name: str) -> tuple[int | None, Any]:
        keys = (self.prefix() + redis_protocol.encode(name),)
        values = self._server.get(keys)
        code, lease, end = redis_protocol.read(values[0])
        if end <= self._server.now():
            ((code, lease),) = self._with_leases(keys, values)
        return code, lease

    @reconnecting
    def look_up_lasting(
        self, names: Collection[str]
    ) -> Mapping[str, tuple[int | None, Any, float]]:
        """Like ``look_up``, and for how many seconds each code will be there.

        As many round trips; zero seconds for what is not there. Not on a cluster.
        """
        keys = self._keys_of(names)
        answers = self._server.eval(redis_protocol.GET_LASTING, keys) if keys else ()
        found = self._with_leases(keys, answers[::2])
        return {
            name: (code, lease, max(0, milliseconds) / 1000)
            for name, (code, lease), milliseconds in zip(
                names, found, answers[1::2], strict=True
            )
        }

    @reconnecting
    def seconds_left(self, name: str) -> float | None:
        keys = self._keys_of((name,))
        value, milliseconds = self._server.eval(redis_protocol.GET_LASTING, keys)
        there = redis_protocol.read(value)[0] is not None and milliseconds > 0
        return milliseconds / 1000 if there else None

    def _keys_of(self, names: Collection[str], place: Any = None) -> list[bytes]:
        prefix = self.prefix() if place is None else place
        # (As ``redis_protocol.encode``.)
        return [prefix + name.encode("utf-8", "surrogatepass") for name in names]

    def _with_leases(
        self, keys: Sequence[bytes], values: Sequence[Any]
    ) -> list[tuple[int | None, Any]]:
        """Return for each key its code and lease; take leases where there are none.

        Also where an entry is over, which the server decides.
        """
        now = self._server.now()
        read = list(map(redis_protocol.read, values))
        found = [(code, lease) for code, lease, _ in read]
        missing = [index for index, (_, _, end) in enumerate(read) if end <= now]
        if missing:
            malformed = [
                b"" if read[index][1] else redis_protocol.as_bytes(values[index])
                for index in missing
            ]
            answers = self._server.run(
                redis_protocol.TAKE_LEASES,
                [keys[index] for index in missing],
                [redis_protocol.new_lease() + value for value in malformed],
                self._lease_ms,
            )
            for index, answer in zip(missing, answers, strict=True):
                found[index] = redis_protocol.read_answer(answer)
        return found

    @reconnecting
    def look_up_held(self, names: Collection[str]) -> Mapping[str, int]:
        """One round trip."""
        values = self._server.get(self._keys_of(names))
        oldest = self._server.now() - self.grace * 1000
        held = zip(names, map(redis_protocol.read_held, values), strict=True)
        return {name: last.code for name, last in held if last and last.end > oldest}

    # Writing

    def fill(self, name: str, lease: Any, code: int, ttl: float) -> bool:
        return self.fill_many({name: (lease, code, ttl)}) == 1

    @reconnecting
    def fill_many(self, fills: Mapping[str, tuple[Any, int, float]]) -> int:
        """One round trip."""
        fills = {name: fill for name, fill in fills.items() if fill[0] is not None}
        keys = self._keys_of(fills)
        texts = [redis_protocol.filling(*fill, self.grace) for fill in fills.values()]
        return sum(map(int, self._server.run(redis_protocol.FILL, keys, texts)))

    def place(self) -> bytes:
        return self.prefix()

    @reconnecting
    def invalidate_at(self, place: Any, names: Collection[str] | None) -> None:
        """One round trip (on a cluster, two, to each node); but see ``clear_below``."""
        if names is None:
            self.clear_below(place, "")
        else:
            self._server.delete(
                self._keys_of(names, place), *self._keys_of((EVERY,), place)
            )

    @reconnecting
    def clear_below(self, place: Any, beginning: str) -> None:
        """Goes through all keys of the database; flushes none.

        A ``SCAN`` returns every key that is there from its beginning to its end, so
        every lease that was given before.
        """
        every, below = self._keys_of((EVERY, beginning), place)
        self._server.delete([every], every)
        pattern = redis_protocol.escape(below) + b"*"
        keys = self.client.scan_iter(match=pattern, count=BATCH)
        while batch := list(islice(keys, BATCH)):
            self._server.delete(batch, every)

    # Counters of all processes

    @reconnecting
    def publish(self, deltas: Mapping[str, int]) -> bool:
        """One round trip to one hash."""
        key = redis_protocol.counters_key(self.prefix())
        pipeline = self.client.pipeline(transaction=False)
        pipeline.hsetnx(key, SINCE, int(time.time()))
        for name, delta in deltas.items():
            pipeline.hincrby(key, redis_protocol.encode(name), delta)
        # So that a chain that is used no more leaves nothing for ever.
        pipeline.expire(key, COUNTERS_SECONDS)
        pipeline.execute()
        return True

    @reconnecting
    def published(self, names: Collection[str]) -> Mapping[str, int]:
        wanted = [*names, SINCE]
        key = redis_protocol.counters_key(self.prefix())
        values = self.client.hmget(
            key, [redis_protocol.encode(name) for name in wanted]
        )
        found = zip(wanted, values, strict=True)
        return {name: int(value) for name, value in found if value is not None}

    def close(self) -> None:
        self._server.close()
