"""The option ``cache``: how resolutions are remembered."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from fallback_storage.cache.memo import DEFAULT_NEGATIVE_TTL, DEFAULT_TTL
from fallback_storage.cache.stores.alias import (
    LOCMEM_BACKEND,
    MEMCACHED_BACKENDS,
    REDIS_BACKENDS,
    cache_aliases,
    cache_backend,
)
from fallback_storage.conf import rules
from fallback_storage.conf.messages import quoted, shown, suggestion
from fallback_storage.exceptions import ConfigurationError, Mistake
from fallback_storage.utils.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DEFAULT_MAX_ENTRIES = 100_000
DEFAULT_GRACE = 24 * 3600.0
# Where it applies unless it is said: not in a database or in files, which are slower to
# ask than a backend is to fail, nor in caches that are not known here. "": in process.
GRACE_BACKENDS = {"", LOCMEM_BACKEND, *MEMCACHED_BACKENDS, *REDIS_BACKENDS}
# And no cache is asked to keep a key beyond what its clock can count (memcached: 2038).
MAX_GRACE = 365 * 24 * 3600.0
MAX_FLOAT = sys.float_info.max
# Not "< 0": that is false for what is not a number.
SECONDS = rules.Rule(lambda n: 0 <= n <= MAX_FLOAT, "Write seconds, 0 for never.")
NAMES = rules.Rule(lambda n: n >= 1, "Write how many names to remember, at least 1.")
CACHE_KEYS: rules.Rules = {
    "ALIAS": (rules.TEXT,),
    "CLIENT": (rules.TEXT,),
    "STORE": (rules.TEXT,),
    "TTL": (rules.NUMBER, SECONDS),
    "NEGATIVE_TTL": (rules.NUMBER, SECONDS),
    "GRACE": (rules.NUMBER, SECONDS),
    "MAX_ENTRIES": (rules.WHOLE_NUMBER, NAMES),
    "NEAR": (rules.FLAG,),
    "VARY": (rules.TEXT,),
    "FACTS": (rules.FLAG,),
}


class CacheSpec(Record):
    """How resolutions are remembered.

    ``alias``: of ``CACHES``; ``client``: dotted path of what returns a client of
    redis-py for it; ``store``: dotted path of a store class; neither: process memory.
    ``near``: process memory in front of a Redis alias. ``ttl``, ``negative_ttl`` and
    ``grace`` are seconds; without ``grace``, what suits the cache (``seconds_of_grace``).
    ``vary``: dotted path of what tells tenants apart. ``facts``: sizes and times, too.
    """

    where: str
    alias: str | None = None
    client: str | None = None
    store: str | None = None
    ttl: float = DEFAULT_TTL
    negative_ttl: float = DEFAULT_NEGATIVE_TTL
    max_entries: int = DEFAULT_MAX_ENTRIES
    near: bool = False
    grace: float | None = None
    vary: str | None = None
    facts: bool = True

    @property
    def is_shared(self) -> bool:
        """Whether it names what several processes can share."""
        return self.alias is not None or self.store is not None

    @property
    def is_told(self) -> bool:
        """Whether it hears of what other processes write."""
        return self.is_shared and cache_backend(self.alias) != LOCMEM_BACKEND

    @property
    def seconds_of_grace(self) -> float:
        """For how long what is over is kept, for when its backend cannot be reached."""
        if self.grace is not None:
            return min(self.grace, MAX_GRACE)
        suits = self.store is None and cache_backend(self.alias) in GRACE_BACKENDS
        return DEFAULT_GRACE if suits else 0.0


def mistakes_in_cache(value: object, where: str) -> Iterator[ConfigurationError]:
    """Yield what is wrong with the description of a memo that stands at ``where``."""
    value = _written_out(value)
    if isinstance(value, dict):
        found = rules.mistakes_in(value, CACHE_KEYS, where)
        yield from found or _conflicts(value, where)
    elif value is not False:
        yield ConfigurationError(
            Mistake.NO_CACHE,
            where,
            f"is {shown(value)}.",
            'Write an alias of CACHES, a dict such as {"TTL": 300}, or False for no '
            "memo.",
        )


def _written_out(value: object) -> object:
    """Return the dict that an alias, or nothing, stands for."""
    if isinstance(value, str):
        return {"ALIAS": value}
    return {} if value is None else value


def _conflicts(value: Mapping[str, Any], where: str) -> Iterator[ConfigurationError]:
    alias = value.get("ALIAS")
    if alias is not None and "STORE" in value:
        yield ConfigurationError(
            Mistake.ALIAS_AND_STORE,
            where,
            "has both ALIAS and STORE.",
            "Write one of them.",
        )
    elif alias is not None and alias not in cache_aliases():
        yield ConfigurationError(
            Mistake.UNKNOWN_CACHE,
            where,
            f"names the alias {quoted(alias)}, which CACHES does not have.",
            suggestion(alias, cache_aliases(), "aliases"),
        )
    elif cache_backend(alias) not in REDIS_BACKENDS:
        for key in [key for key in ("NEAR", "CLIENT") if value.get(key)]:
            yield ConfigurationError(
                Mistake.NEEDS_REDIS_ALIAS,
                f"{where}[{key!r}]",
                "is set without a Redis alias.",
                f"Give it an ALIAS whose BACKEND is one of: {', '.join(REDIS_BACKENDS)}.",
            )


def read_cache(value: object, where: str) -> CacheSpec | None:
    """Return what a description without mistakes says; None: no memo."""
    value = _written_out(value)
    if not isinstance(value, dict):
        return None
    return CacheSpec(where, **{key.lower(): each for key, each in value.items()})
