"""What is configured of the memo: validated, nothing built yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.core.cache import caches

from fallback_storage.cache.memo import DEFAULT_NEGATIVE_TTL, DEFAULT_TTL
from fallback_storage.exceptions import ConfigurationError, Mistake
from fallback_storage.validation import (
    refuse_unknown_keys,
    require_kinds,
    shown,
    suggestion,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

CACHE_SETTING = "FALLBACK_STORAGE_CACHE"

DEFAULT_MAX_ENTRIES = 100_000
DUMMY_BACKEND = "django.core.cache.backends.dummy.DummyCache"
REDIS_BACKENDS = (
    "django.core.cache.backends.redis.RedisCache",
    "django_redis.cache.RedisCache",
)
CACHE_KINDS: Mapping[str, type | tuple[type, ...]] = {
    "ALIAS": str,
    "CLIENT": str,
    "STORE": str,
    "TTL": (int, float),
    "NEGATIVE_TTL": (int, float),
    "MAX_ENTRIES": int,
    "NEAR": bool,
}


@dataclass(frozen=True, slots=True)
class CacheSpec:
    """How resolutions are remembered.

    ``alias``: of ``CACHES``; ``client``: dotted path of what returns a client of
    redis-py for it; ``store``: dotted path of a store class; neither: process memory.
    ``near``: process memory in front of a Redis alias. ``ttl`` and ``negative_ttl``
    are seconds.
    """

    where: str = CACHE_SETTING
    alias: str | None = None
    client: str | None = None
    store: str | None = None
    ttl: float = DEFAULT_TTL
    negative_ttl: float = DEFAULT_NEGATIVE_TTL
    max_entries: int = DEFAULT_MAX_ENTRIES
    near: bool = False


def read_cache(value: object, where: str) -> CacheSpec | None:
    """Validate what stands at ``where``; None: no memo. Raises ``ConfigurationError``."""
    if value is None:
        return CacheSpec()
    if value is False:
        return None
    if isinstance(value, str):
        value = {"ALIAS": value}
    if not isinstance(value, dict):
        raise ConfigurationError(
            Mistake.NO_CACHE,
            where,
            f"is {shown(value)}.",
            'Write an alias of CACHES, a dict such as {"TTL": 300}, or False for no '
            "memo.",
        )
    refuse_unknown_keys(value, CACHE_KINDS, where)
    require_kinds(value, CACHE_KINDS.items(), where)
    _require_sense(value, where)
    return CacheSpec(
        where=where,
        alias=value.get("ALIAS"),
        client=value.get("CLIENT"),
        store=value.get("STORE"),
        ttl=float(value.get("TTL", DEFAULT_TTL)),
        negative_ttl=float(value.get("NEGATIVE_TTL", DEFAULT_NEGATIVE_TTL)),
        max_entries=value.get("MAX_ENTRIES", DEFAULT_MAX_ENTRIES),
        near=value.get("NEAR", False),
    )


def _require_sense(value: Mapping[str, Any], where: str) -> None:
    for key in ("TTL", "NEGATIVE_TTL"):
        # Not "< 0": that is false for what is not a number.
        if not 0 <= value.get(key, 0) < float("inf"):
            raise ConfigurationError(
                Mistake.WRONG_VALUE,
                f"{where}[{key!r}]",
                f"is {value[key]!r}.",
                "Write seconds, 0 for never.",
            )
    if value.get("MAX_ENTRIES", 1) < 1:
        raise ConfigurationError(
            Mistake.WRONG_VALUE,
            f"{where}['MAX_ENTRIES']",
            f"is {value['MAX_ENTRIES']!r}.",
            "Write how many names to remember, at least 1.",
        )
    alias = value.get("ALIAS")
    if alias is not None and "STORE" in value:
        raise ConfigurationError(
            Mistake.ALIAS_AND_STORE,
            where,
            "has both ALIAS and STORE.",
            "Write one of them.",
        )
    if alias is not None and alias not in caches.settings:
        raise ConfigurationError(
            Mistake.UNKNOWN_CACHE,
            where,
            f"names the alias {alias!r}, which CACHES does not have.",
            suggestion(alias, caches.settings, "the aliases are"),
        )
    for key in ("NEAR", "CLIENT"):
        if value.get(key) and cache_backend(alias) not in REDIS_BACKENDS:
            raise ConfigurationError(
                Mistake.NEEDS_REDIS_ALIAS,
                f"{where}[{key!r}]",
                "is set without a Redis alias.",
                f"Give it an ALIAS whose BACKEND is one of: {', '.join(REDIS_BACKENDS)}.",
            )


def cache_params(alias: str | None) -> Mapping[str, Any]:
    """Return what an alias of ``CACHES`` describes; nothing, if it describes nothing."""
    params: Any = caches.settings.get(alias or "")
    return params if isinstance(params, dict) else {}


def cache_backend(alias: str | None) -> str:
    """Return the BACKEND of an alias of ``CACHES``, or nothing."""
    return str(cache_params(alias).get("BACKEND", ""))
