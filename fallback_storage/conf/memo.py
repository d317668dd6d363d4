"""What is configured of the memo: validated, then built."""

from __future__ import annotations

import atexit
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from django.core.cache import caches
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.utils.module_loading import import_string

from fallback_storage.cache.counters import Tally
from fallback_storage.cache.memo import (
    DEFAULT_NEGATIVE_TTL,
    DEFAULT_TTL,
    Memo,
)
from fallback_storage.cache.stores.alias import (
    DUMMY_BACKEND,
    REDIS_BACKENDS,
    build_cache,
    cache_backend,
)
from fallback_storage.cache.stores.null import NullStore
from fallback_storage.chain.fingerprint import fingerprint
from fallback_storage.conf.messages import shown, suggestion
from fallback_storage.conf.rules import (
    FLAG,
    NUMBER,
    TEXT,
    WHOLE_NUMBER,
    Rule,
    Rules,
    broken,
    raised_by,
    unknown,
)
from fallback_storage.conf.settings import MEMO_SETTINGS, is_relevant
from fallback_storage.exceptions import ConfigurationError, Mistake
from fallback_storage.utils import forks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from fallback_storage.cache.stores.base import Store
    from fallback_storage.chain.backend import Backend

DEFAULT_MAX_ENTRIES = 100_000
SECONDS = Rule(lambda value: 0 <= value < float("inf"), "Write seconds, 0 for never.")
CACHE_KEYS: Rules = {
    "ALIAS": (TEXT,),
    "CLIENT": (TEXT,),
    "STORE": (TEXT,),
    "TTL": (NUMBER, SECONDS),
    "NEGATIVE_TTL": (NUMBER, SECONDS),
    "MAX_ENTRIES": (
        WHOLE_NUMBER,
        Rule(lambda value: value >= 1, "Write how many names to remember, at least 1."),
    ),
    "NEAR": (FLAG,),
}


@dataclass(frozen=True, slots=True)
class CacheSpec:
    """How resolutions are remembered.

    ``alias``: of ``CACHES``; ``client``: dotted path of what returns a client of
    redis-py for it; ``store``: dotted path of a store class; neither: process memory.
    ``near``: process memory in front of a Redis alias. ``ttl`` and ``negative_ttl``
    are seconds.
    """

    where: str
    alias: str | None = None
    client: str | None = None
    store: str | None = None
    ttl: float = DEFAULT_TTL
    negative_ttl: float = DEFAULT_NEGATIVE_TTL
    max_entries: int = DEFAULT_MAX_ENTRIES
    near: bool = False

    @property
    def is_shared(self) -> bool:
        """Whether it names what several processes can share."""
        return self.alias is not None or self.store is not None


def mistakes_in_cache(value: object, where: str) -> Iterator[ConfigurationError]:
    """Yield what is wrong with the description of a memo that stands at ``where``."""
    value = _written_out(value)
    if value is False:
        return
    if not isinstance(value, dict):
        yield ConfigurationError(
            Mistake.NO_CACHE,
            where,
            f"is {shown(value)}.",
            'Write an alias of CACHES, a dict such as {"TTL": 300}, or False for no '
            "memo.",
        )
        return
    found = [*unknown(value, CACHE_KEYS, where), *broken(value, CACHE_KEYS, where)]
    yield from found or _conflicts(value, where)


def _written_out(value: object) -> object:
    """Return the dict that an alias, or nothing, stands for."""
    return (
        {"ALIAS": value} if isinstance(value, str) else {} if value is None else value
    )


def _conflicts(value: Mapping[str, Any], where: str) -> Iterator[ConfigurationError]:
    alias = value.get("ALIAS")
    if alias is not None and "STORE" in value:
        yield ConfigurationError(
            Mistake.ALIAS_AND_STORE,
            where,
            "has both ALIAS and STORE.",
            "Write one of them.",
        )
    elif alias is not None and alias not in caches.settings:
        yield ConfigurationError(
            Mistake.UNKNOWN_CACHE,
            where,
            f"names the alias {alias!r}, which CACHES does not have.",
            suggestion(alias, caches.settings, "the aliases are"),
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
    given = {key.lower(): each for key, each in value.items()}
    lifetimes = {
        key: float(given[key]) for key in ("ttl", "negative_ttl") if key in given
    }
    return CacheSpec(where, **{**given, **lifetimes})


# Seconds. Most chains then have one store for all lifetimes.
MIN_STAMP_SECONDS = 3600
# And no cache is asked to keep a key beyond what its clock can count (memcached: 2038).
MAX_STAMP_SECONDS = 365 * 24 * 3600


class _SharedStores:
    """One store for all instances of a chain: one connection, one breaker, one near tier.

    Without it every save would be announced once for each instance.
    """

    def __init__(self) -> None:
        self._stores: dict[tuple[Any, ...], tuple[Store, Tally]] = {}
        forks.register(self)

    def after_fork(self) -> None:
        """See ``forks.ForkSensitive``; the stores look after themselves."""
        self._stores = {}

    def get(
        self, spec: CacheSpec, chain: str, clock: Callable[[], float]
    ) -> tuple[Store, Tally]:
        """Return the store of a chain, and what publishes there. Contacts nothing."""
        bare = replace(spec, ttl=0, negative_ttl=0)
        key = (bare, _stamp_seconds(spec), chain, clock)
        with forks.build_lock():
            if key not in self._stores:
                store = _build_shared(spec, chain, clock)
                self._stores[key] = store, Tally(store, clock)
            return self._stores[key]

    def publish(self) -> None:
        """Publish what was counted."""
        with forks.build_lock():
            tallies = [tally for _, tally in self._stores.values()]
        for tally in tallies:
            tally.publish()

    def close(self) -> None:
        """Let go of all of them: settings have changed, or the process ends."""
        with forks.build_lock():
            stores, self._stores = self._stores, {}
        for store, tally in stores.values():
            tally.close()
            store.close()


_shared = _SharedStores()
close_shared_stores = _shared.close
publish_counters = _shared.publish

# In this order, at the process's end: the last to register is the first to be called.
# (To close them is to try once more to deliver invalidations.)
atexit.register(close_shared_stores)
atexit.register(publish_counters)


@receiver(setting_changed)
def _close_stale_stores(*, setting: str, **kwargs: Any) -> None:
    """Let go of what was built by other settings, also if no instance is left."""
    if setting in MEMO_SETTINGS or is_relevant(setting):
        close_shared_stores()


def build_memo(
    spec: CacheSpec | None,
    backends: Sequence[Backend],
    clock: Callable[[], float],
    *,
    whiteouts: bool,
) -> Memo:
    """Return the memo of a chain; one that remembers nothing if ``spec`` is None.

    ``clock`` gives seconds, for what is in process. ``whiteouts``: whether what
    read-only backends hold may be hidden.
    """
    if spec is None or cache_backend(spec.alias) == DUMMY_BACKEND:
        return Memo(NullStore(), len(backends), ttl=0, negative_ttl=0)
    store: Store
    tally = None
    if not spec.is_shared:
        from fallback_storage.cache.stores.local import LocalStore

        store = LocalStore(spec.max_entries, clock)
    else:
        chain = fingerprint(backends, whiteouts=whiteouts)
        store, tally = _shared.get(spec, chain, clock)
    return Memo(
        store,
        chain_length=len(backends),
        ttl=spec.ttl,
        negative_ttl=spec.negative_ttl,
        clock=clock,
        tally=tally,
    )


def mistakes_in_memo(spec: CacheSpec | None) -> Iterator[ConfigurationError]:
    """Yield what the first use of a memo would raise. Contacts nothing."""
    if spec is not None and spec.is_shared:
        yield from raised_by(lambda: _build_bare(spec, "check", time.monotonic).close())


def _stamp_seconds(spec: CacheSpec) -> float:
    # An entry dies with its name's stamp, which is older than it.
    return max(MIN_STAMP_SECONDS, min(4 * spec.ttl, MAX_STAMP_SECONDS))


def _build_shared(spec: CacheSpec, chain: str, clock: Callable[[], float]) -> Store:
    from fallback_storage.cache.stores.guarded import GuardedStore

    return GuardedStore(_build_bare(spec, chain, clock), clock)


def _build_bare(spec: CacheSpec, chain: str, clock: Callable[[], float]) -> Store:
    if spec.store is not None:
        return _build_custom(spec, spec.store, chain)
    alias = spec.alias or ""
    if cache_backend(alias) not in REDIS_BACKENDS:
        from fallback_storage.cache.stores.django_cache import DjangoCacheStore

        build_cache(alias)
        return DjangoCacheStore(alias, chain, _stamp_seconds(spec))
    client = None if spec.client is None else _import_client(spec, spec.client)
    if spec.near:
        from fallback_storage.cache.stores.near import near_store

        return near_store(alias, chain, spec.max_entries, clock, client)
    from fallback_storage.cache.stores.redis import redis_store

    return redis_store(alias, chain, client)


def _import_client(spec: CacheSpec, path: str) -> Any:
    advice = "Write the dotted path of a function that returns a client of redis-py."
    client = _imported(spec, "CLIENT", path, advice)
    if not callable(client) and not hasattr(client, "eval"):
        raise _bad(spec, "CLIENT", path, "is neither a function nor a client", advice)
    return client


def _build_custom(spec: CacheSpec, path: str, chain: str) -> Store:
    from fallback_storage.cache.stores.base import Store

    advice = "Write the dotted path of a Store subclass."
    found = _imported(spec, "STORE", path, advice)
    if not (isinstance(found, type) and issubclass(found, Store)):
        advice = "Subclass fallback_storage.cache.stores.base.Store."
        raise _bad(spec, "STORE", path, "is no Store", advice)
    try:
        return found(chain)  # type: ignore[call-arg]
    except Exception as error:
        why = f"cannot be built: {type(error).__name__}"
        advice = (
            "It is called with one argument, the chain's digest, and has to define "
            "all abstract methods of Store."
        )
        raise _bad(spec, "STORE", path, why, advice) from error


def _imported(spec: CacheSpec, key: str, path: str, advice: str) -> Any:
    try:
        return import_string(path)
    except ImportError as error:
        raise _bad(spec, key, path, "cannot be imported", advice) from error


def _bad(
    spec: CacheSpec, key: str, path: str, why: str, advice: str
) -> ConfigurationError:
    mistake = Mistake.BAD_CLIENT if key == "CLIENT" else Mistake.BAD_STORE
    where = f"{spec.where}[{key!r}]"
    return ConfigurationError(mistake, where, f"is {path!r}, which {why}.", advice)
