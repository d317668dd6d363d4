"""The memo of a chain: built as the option ``cache`` says."""

from __future__ import annotations

import atexit
import time
import weakref
from typing import TYPE_CHECKING, Any

from django.core.signals import setting_changed
from django.dispatch import receiver
from django.utils.module_loading import import_string

from fallback_storage.cache.counters import Tally
from fallback_storage.cache.memo import Memo
from fallback_storage.cache.stores.alias import (
    DUMMY_BACKEND,
    REDIS_BACKENDS,
    build_cache,
    cache_backend,
    cache_params,
)
from fallback_storage.conf.messages import presentable_cause, quoted
from fallback_storage.conf.settings import MEMO_SETTINGS, is_relevant
from fallback_storage.exceptions import ConfigurationError, Mistake
from fallback_storage.utils import forks
from fallback_storage.utils.tenants import Vary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fallback_storage.cache.stores.base import Store
    from fallback_storage.chain.backend import Backend
    from fallback_storage.conf.cache import CacheSpec

    Clock = Callable[[], float]

# Seconds. Most chains then have one store for all lifetimes.
MIN_STAMP_SECONDS = 3600
# And no cache is asked to keep a key beyond what its clock can count (memcached: 2038).
MAX_STAMP_SECONDS = 365 * 24 * 3600


class _SharedStores:
    """One store for all instances of a chain: one connection, one breaker, one near tier.

    Without it every save would be announced once for each instance. It lives as long as
    a memo that uses it, and lets go of its connections and its thread when it is
    collected. (But for the last one: who makes one chain after the other, and each for
    one call, would connect for each.)
    """

    def __init__(self) -> None:
        # Those that nobody uses any more, and that have something to deliver.
        self._owing: set[Store] = set()
        self.after_fork()
        forks.register(self)

    def after_fork(self) -> None:
        """See ``forks.ForkSensitive``; the stores look after themselves."""
        # Each is kept by what publishes there, or by what it has to deliver.
        self._stores: weakref.WeakValueDictionary[tuple[Any, ...], Store] = (
            weakref.WeakValueDictionary()
        )
        self._tallies: weakref.WeakValueDictionary[tuple[Any, ...], Tally] = (
            weakref.WeakValueDictionary()
        )
        self._last: Tally | None = None
        self._owing.clear()

    def get(self, spec: CacheSpec, chain: str, clock: Clock, length: int) -> Tally:
        """Return what publishes in the store of a chain. Contacts nothing."""
        from fallback_storage.cache.stores.guarded import GuardedStore

        bare = spec.replace(ttl=0, negative_ttl=0, facts=True)
        key = (bare, _stamp_seconds(spec), chain, clock)
        with forks.build_lock():
            tally = self._tallies.get(key)
            if tally is None:
                store = self._stores.get(key)
                if store is None:
                    inner = build_apart(spec, chain, clock, length)
                    store = GuardedStore(inner, clock, owing=self._owing)
                    self._stores[key] = store
                tally = self._tallies[key] = Tally(store, clock)
            self._last = tally
            return tally

    def _all(self) -> list[Tally]:
        found = [reference() for reference in self._tallies.valuerefs()]
        return [tally for tally in found if tally is not None]

    def publish(self) -> None:
        """Publish what was counted."""
        for tally in self._all():
            tally.publish()

    def close(self) -> None:
        """Let go of all of them: settings have changed, or the process ends."""
        with forks.build_lock():
            tallies, stores = self._all(), set(self._owing)
            self.after_fork()
        for tally in tallies:
            tally.close()
            stores.add(tally.store)
        for store in stores:
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
    clock: Clock,
    *,
    whiteouts: bool,
) -> Memo:
    """Return the memo of a chain; one that remembers nothing if ``spec`` is None.

    ``clock`` gives seconds, for what is in process. ``whiteouts``: whether what
    read-only backends hold may be hidden.
    """
    if spec is None or cache_backend(spec.alias) == DUMMY_BACKEND:
        return _nothing(backends)
    vary = _import_vary(spec)
    tally = None
    store: Store
    lasting = frozenset(
        index
        for index, backend in enumerate(backends)
        if spec.seconds_of_grace and (backend.read_only or spec.is_told)
    )
    if spec.is_shared:
        if vary is None and cache_params(spec.alias).get("KEY_FUNCTION"):
            build_cache(spec.alias or "")  # raises what is wrong with it
            return _nothing(backends)
        from fallback_storage.chain.fingerprint import fingerprint

        chain = fingerprint(backends, whiteouts=whiteouts, vary=spec.vary or "")
        if vary is None and any(backend.place_varies for backend in backends):
            return _nothing(backends)
        tally = _shared.get(spec, chain, clock, len(backends))
        store = tally.store
    else:
        from fallback_storage.cache.stores.local import LocalStore

        grace = spec.seconds_of_grace if lasting else 0.0
        # (What varies shows when it is first asked: ``Recall`` looks.)
        store = _apart(LocalStore(spec.max_entries, clock, grace), vary)
    return Memo(
        store,
        chain_length=len(backends),
        ttl=spec.ttl,
        negative_ttl=spec.negative_ttl,
        lasting=lasting,
        facts=spec.facts,
        clock=clock,
        tally=tally,
        depth=lambda: max(backend.depth for backend in backends),
        vary=vary,
    )


def _nothing(backends: Sequence[Backend]) -> Memo:
    from fallback_storage.cache.stores.null import NullStore

    return Memo(NullStore(), len(backends), ttl=0, negative_ttl=0)


def mistakes_in_memo(spec: CacheSpec | None) -> Iterator[ConfigurationError]:
    """Yield what the first use of a memo would raise. Contacts nothing."""
    try:
        if spec is not None:
            _import_vary(spec)
        if spec is not None and spec.is_shared:
            _build_bare(spec, "check", time.monotonic, 1).close()
    except ConfigurationError as mistake:
        yield mistake


def _stamp_seconds(spec: CacheSpec) -> float:
    # An entry dies with its name's stamp, which is older than it.
    seconds = max(MIN_STAMP_SECONDS, min(4 * spec.ttl, MAX_STAMP_SECONDS))
    return seconds + spec.seconds_of_grace


def _build_bare(spec: CacheSpec, chain: str, clock: Clock, length: int) -> Store:
    if spec.store is not None:
        return _build_custom(spec, chain)
    alias, grace = spec.alias or "", spec.seconds_of_grace
    if cache_backend(alias) not in REDIS_BACKENDS:
        from fallback_storage.cache.stores.django_cache import DjangoCacheStore

        build_cache(alias)
        return DjangoCacheStore(alias, chain, _stamp_seconds(spec), grace=grace)
    client = None if spec.client is None else _import_client(spec)
    from fallback_storage.cache.stores.redis import redis_store

    store = redis_store(alias, chain, client, grace)
    if not spec.near:
        return store
    from fallback_storage.cache.stores.local import LocalStore
    from fallback_storage.cache.stores.near import near_store

    return near_store(store, LocalStore(spec.max_entries, clock), chain, length)


def build_apart(spec: CacheSpec, chain: str, clock: Clock, length: int) -> Store:
    """Return the store of a chain, unguarded; with ``VARY`` one for all tenants."""
    return _apart(_build_bare(spec, chain, clock, length), _import_vary(spec))


def _apart(store: Store, vary: Vary | None) -> Store:
    if vary is None:
        return store
    from fallback_storage.cache.stores.varied import VariedStore

    return VariedStore(store, vary)


def _import_vary(spec: CacheSpec) -> Vary | None:
    if spec.vary is None:
        return None
    function = _imported(spec, "VARY")
    if not callable(function):
        raise _bad(spec, "VARY", "is no function")
    return Vary(f"{spec.where}['VARY']", spec.vary, function)


def _import_client(spec: CacheSpec) -> Any:
    client = _imported(spec, "CLIENT")
    if not callable(client) and not hasattr(client, "eval"):
        raise _bad(spec, "CLIENT", "is neither a function nor a client")
    return client


def _build_custom(spec: CacheSpec, chain: str) -> Store:
    from fallback_storage.cache.stores.base import Store

    found = _imported(spec, "STORE")
    if not (isinstance(found, type) and issubclass(found, Store)):
        advice = "Subclass fallback_storage.cache.stores.base.Store."
        raise _bad(spec, "STORE", "is no Store", advice)
    if spec.grace and found.look_up_held is Store.look_up_held:
        why = "has no look_up_held(), which GRACE needs"
        raise _bad(spec, "STORE", why, "Write it, or leave out GRACE.")
    try:
        store = found(chain)  # type: ignore[call-arg]
    except Exception as error:
        why = f"cannot be built: {type(error).__name__}"
        advice = (
            "It is called with one argument, the chain's digest, and has to define "
            "all abstract methods of Store."
        )
        raise _bad(spec, "STORE", why, advice) from error
    store.grace = spec.seconds_of_grace
    return store


# Keys with dotted paths: the id of a wrong one, and what to write.
PATHS = {
    "CLIENT": (Mistake.BAD_CLIENT, "a function that returns a client of redis-py"),
    "STORE": (Mistake.BAD_STORE, "a Store subclass"),
    "VARY": (Mistake.BAD_VARY, "a function without arguments that returns a str"),
}


def _imported(spec: CacheSpec, key: str) -> Any:
    try:
        return import_string(getattr(spec, key.lower()))
    except ImportError as error:
        cause = presentable_cause(error, {})
        raise _bad(spec, key, "cannot be imported") from cause


def _bad(spec: CacheSpec, key: str, why: str, advice: str = "") -> ConfigurationError:
    mistake, wanted = PATHS[key]
    found = f"is {quoted(getattr(spec, key.lower()))}, which {why}."
    advice = advice or f"Write the dotted path of {wanted}."
    return ConfigurationError(mistake, f"{spec.where}[{key!r}]", found, advice)
