"""Builds the memo that a configuration asks for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from django.core.signals import setting_changed
from django.dispatch import receiver
from django.utils.module_loading import import_string

from fallback_storage import config, forks
from fallback_storage.cache.memo import Memo, ResolutionMemo
from fallback_storage.exceptions import ConfigurationError
from fallback_storage.fingerprint import fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fallback_storage.backends import Backend
    from fallback_storage.cache.stores.base import Store
    from fallback_storage.config import CacheSpec, Options


class _SharedStores:
    """One store for all instances of a chain: one connection, one breaker, one near tier.

    Without it every save would be announced once for each instance.
    """

    def __init__(self) -> None:
        self._stores: dict[tuple[Any, ...], Store] = {}
        forks.register(self)

    def after_fork(self) -> None:
        """See ``forks.ForkSensitive``; the stores look after themselves."""
        self._stores = {}

    def get(self, spec: CacheSpec, chain: str, clock: Callable[[], float]) -> Store:
        """Return the store of a chain. Contacts nothing."""
        key = (replace(spec, ttl=0, negative_ttl=0), chain, clock)
        with forks.build_lock():
            if key not in self._stores:
                self._stores[key] = _build_shared(spec, chain, clock)
            return self._stores[key]

    def close(self) -> None:
        """Let go of all of them: settings have changed."""
        with forks.build_lock():
            stores, self._stores = self._stores, {}
        for store in stores.values():
            store.close()


_shared = _SharedStores()
close_shared_stores = _shared.close


@receiver(setting_changed)
def _close_stale_stores(*, setting: str, **kwargs: Any) -> None:
    """Let go of what was built by other settings, also if no instance is left."""
    if setting in config.MEMO_SETTINGS or config.is_relevant(setting):
        close_shared_stores()


def build_memo(
    options: Options, backends: Sequence[Backend], clock: Callable[[], float]
) -> Memo:
    """Return the memo of a chain. ``clock`` gives seconds, for what is in process."""
    spec = options.cache
    if spec is None or config.cache_backend(spec.alias) == config.DUMMY_BACKEND:
        return Memo()
    store: Store
    if spec.alias is None and spec.store is None:
        from fallback_storage.cache.stores.local import LocalStore

        store = LocalStore(spec.max_entries, clock)
    else:
        chain = fingerprint(backends, whiteouts=options.on_delete == "whiteout")
        store = _shared.get(spec, chain, clock)
    return ResolutionMemo(
        store,
        chain_length=len(backends),
        ttl=spec.ttl,
        negative_ttl=spec.negative_ttl,
    )


def _build_shared(spec: CacheSpec, chain: str, clock: Callable[[], float]) -> Store:
    from fallback_storage.cache.stores.guarded import GuardedStore

    return GuardedStore(_build_bare(spec, chain, clock), clock)


def _build_bare(spec: CacheSpec, chain: str, clock: Callable[[], float]) -> Store:
    if spec.store is not None:
        return _build_custom(spec, spec.store, chain)
    alias = spec.alias or ""
    if config.cache_backend(alias) not in config.REDIS_BACKENDS:
        from fallback_storage.cache.stores.django_cache import DjangoCacheStore

        return DjangoCacheStore(alias, chain)
    if spec.near:
        from fallback_storage.cache.stores.near import near_store

        return near_store(alias, chain, spec.max_entries, clock, spec.client)
    from fallback_storage.cache.stores.redis import redis_store

    return redis_store(alias, chain, spec.client)


def _build_custom(spec: CacheSpec, path: str, chain: str) -> Store:
    from fallback_storage.cache.stores.base import Store

    try:
        found = import_string(path)
    except ImportError as error:
        raise ConfigurationError(
            f"{spec.where}['STORE']",
            f"is {path!r}, which cannot be imported.",
            "Write the dotted path of a Store subclass.",
        ) from error
    if not (isinstance(found, type) and issubclass(found, Store)):
        raise ConfigurationError(
            f"{spec.where}['STORE']",
            f"is {path!r}, which is no Store.",
            "Subclass fallback_storage.cache.stores.base.Store.",
        )
    return found(chain)  # type: ignore[call-arg]
