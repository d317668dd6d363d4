"""An alias of ``CACHES``: what it describes, and the cache that it is."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from fallback_storage.exceptions import ConfigurationError, Mistake

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.core.cache import BaseCache

DUMMY_BACKEND = "django.core.cache.backends.dummy.DummyCache"
LOCMEM_BACKEND = "django.core.cache.backends.locmem.LocMemCache"
PYMEMCACHE_BACKEND = "django.core.cache.backends.memcached.PyMemcacheCache"
MEMCACHED_BACKENDS = (
    PYMEMCACHE_BACKEND,
    "django.core.cache.backends.memcached.PyLibMCCache",
)
REDIS_BACKENDS = (
    "django.core.cache.backends.redis.RedisCache",
    "django_redis.cache.RedisCache",
)


def cache_aliases() -> Mapping[str, Any]:
    """Return what ``CACHES`` describes, by alias."""
    from django.core.cache import caches  # a memo in process needs none

    return caches.settings


def cache_params(alias: str | None) -> Mapping[str, Any]:
    """Return what an alias of ``CACHES`` describes; nothing, if it describes nothing."""
    params: Any = cache_aliases().get(alias) if alias else None
    return params if isinstance(params, dict) else {}


def cache_backend(alias: str | None) -> str:
    """Return the BACKEND of an alias of ``CACHES``, or nothing."""
    return str(cache_params(alias).get("BACKEND", ""))


def build_cache(alias: str) -> BaseCache:
    """Return the cache of an alias of ``CACHES``. Django's own contact nothing yet."""
    from django.core.cache import caches

    try:
        return caches[alias]
    except Exception as error:  # noqa: BLE001 - whatever a constructor raises
        # (Its text may quote LOCATION or OPTIONS, and so a password.)
        raise ConfigurationError(
            Mistake.BAD_CACHE,
            f"CACHES[{alias!r}]",
            f"cannot be built: {type(error).__name__}.",
            "Correct its BACKEND and OPTIONS, or install what it needs.",
        ) from None


def as_seen_from(place: str, cache: BaseCache, prefix: str) -> BaseCache:
    """Return a cache as those have it for whom its ``make_key(prefix)`` is ``place``.

    For keys that begin with ``prefix``. The cache itself, where its KEY_FUNCTION leaves
    of a key nothing to recognise.
    """
    if cache.make_key(prefix) == place or place.count(prefix) != 1:
        return cache
    # Memcached's client is made at its first use: both are to have the same.
    getattr(cache, "_cache", None)
    there = copy.copy(cache)
    there.key_func = lambda key, *_: place.replace(prefix, key)
    return there
