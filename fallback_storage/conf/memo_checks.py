"""System checks of what is configured of the memo. Nothing is contacted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning

from fallback_storage.cache.stores.alias import (
    DUMMY_BACKEND,
    cache_backend,
    cache_params,
)
from fallback_storage.chain.fingerprint import is_shareable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from fallback_storage.chain.backend import Backend
    from fallback_storage.conf.memo import CacheSpec

DJANGOS = "django.core.cache.backends"
LOCMEM_BACKEND = f"{DJANGOS}.locmem.LocMemCache"
PYMEMCACHE_BACKEND = f"{DJANGOS}.memcached.PyMemcacheCache"

# Those that throw entries away at a number of their own: 300, if none is given.
CULLING_BACKENDS = (
    f"{DJANGOS}.db.DatabaseCache",
    f"{DJANGOS}.filebased.FileBasedCache",
)


def check_memo(spec: CacheSpec | None, obj: str) -> Iterator[CheckMessage]:
    """Yield warnings of a memo that works. ``obj``: what ``check`` names."""
    if spec is None:
        return
    backend = cache_backend(spec.alias)
    params = cache_params(spec.alias)
    place = f"{spec.where}: CACHES[{spec.alias!r}]"
    if backend == DUMMY_BACKEND:
        yield CheckWarning(
            f"{place} is a DummyCache: nothing is remembered.",
            hint="Name another alias, or write False if that is what you want.",
            obj=obj,
            id="fallback_storage.W006",
        )
    elif backend == LOCMEM_BACKEND:
        yield CheckWarning(
            f"{place} is a LocMemCache: every process has its own, and one worker's "
            "writes are not seen by the others.",
            hint="Name an alias that all workers share, or none: process memory "
            "without Django's cache in between is faster.",
            obj=obj,
            id="fallback_storage.W007",
        )
    elif backend in CULLING_BACKENDS and not _says_max_entries(params):
        yield CheckWarning(
            f"{place} keeps 300 entries, and a name takes two: most of what is "
            "remembered is thrown away.",
            hint=f"Give CACHES[{spec.alias!r}] the OPTIONS "
            "{'MAX_ENTRIES': ...}: at least twice the number of names.",
            obj=obj,
            id="fallback_storage.W008",
        )
    elif backend == PYMEMCACHE_BACKEND and (missing := _missing_time_outs(params)):
        yield CheckWarning(
            f"{place} has no {' and no '.join(missing)}: while the server hangs, so "
            "does every request.",
            hint=f"Give CACHES[{spec.alias!r}] the OPTIONS "
            "{'connect_timeout': 0.25, 'timeout': 0.25}.",
            obj=obj,
            id="fallback_storage.W009",
        )
    yield from _check_lifetimes(spec, obj)


def check_sharing(
    spec: CacheSpec | None, backends: Sequence[Backend], obj: str
) -> Iterator[CheckMessage]:
    """Yield a warning if a memo is meant to be shared, and the chain cannot be."""
    if spec is None or not spec.is_shared:
        return
    if cache_backend(spec.alias) in {DUMMY_BACKEND, LOCMEM_BACKEND}:
        return
    alone = [backend for backend in backends if not is_shareable(backend)]
    if alone:
        names = ", ".join(repr(backend.name) for backend in alone)
        yield CheckWarning(
            f"The memo is not shared, though {spec.where} names what can be: the files "
            f"of {names} are, or may be, those of one process alone.",
            hint="Leave out the cache (process memory is faster), or name a storage "
            "that every process has.",
            obj=obj,
            id="fallback_storage.W010",
        )


def _check_lifetimes(spec: CacheSpec, obj: str) -> Iterator[CheckMessage]:
    if spec.negative_ttl > spec.ttl:
        yield CheckWarning(
            f"{spec.where}: NEGATIVE_TTL ({spec.negative_ttl:g} s) is more than TTL "
            f'({spec.ttl:g} s): "no backend holds it" is believed for longer than '
            '"this backend holds it".',
            hint="Write a NEGATIVE_TTL of a few seconds, no more than TTL.",
            obj=obj,
            id="fallback_storage.W011",
        )


def _says_max_entries(params: Mapping[str, Any]) -> bool:
    return "max_entries" in params or "MAX_ENTRIES" in _options(params)


def _missing_time_outs(params: Mapping[str, Any]) -> list[str]:
    options = _options(params)
    return [key for key in ("connect_timeout", "timeout") if options.get(key) is None]


def _options(params: Mapping[str, Any]) -> Mapping[str, Any]:
    options = params.get("OPTIONS")
    return options if isinstance(options, dict) else {}
