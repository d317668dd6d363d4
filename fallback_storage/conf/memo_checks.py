"""System checks of what is configured of the memo. Nothing is contacted."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning
from django.db import router

from fallback_storage.cache.stores.alias import (
    DUMMY_BACKEND,
    LOCMEM_BACKEND,
    PYMEMCACHE_BACKEND,
    build_cache,
    cache_backend,
    cache_params,
)
from fallback_storage.chain.fingerprint import is_shareable
from fallback_storage.chain.places import class_path
from fallback_storage.chain.wrapped import entries_of
from fallback_storage.conf.settings import class_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from fallback_storage.chain.backend import Backend
    from fallback_storage.conf.cache import CacheSpec

DJANGOS = "django.core.cache.backends"
TIME_OUTS = ("connect_timeout", "timeout")

# Those that throw entries away at a number of their own: 300, if none is given.
DATABASE_BACKEND = f"{DJANGOS}.db.DatabaseCache"
CULLING_BACKENDS = {DATABASE_BACKEND, f"{DJANGOS}.filebased.FileBasedCache"}

VARY_HINT = (
    "Give {where} the key 'VARY': the dotted path of a function without arguments that "
    "returns a str, another one for each tenant."
)


def check_memo(spec: CacheSpec) -> Iterator[CheckMessage]:
    """Yield warnings of a memo that works."""
    kinds, params = _kinds(spec), cache_params(spec.alias)
    options = params.get("OPTIONS")
    options = options if isinstance(options, dict) else {}
    is_bounded = "max_entries" in params or "MAX_ENTRIES" in options
    missing = [key for key in TIME_OUTS if options.get(key) is None]
    place = f"{spec.where}: CACHES[{spec.alias!r}]"
    if DUMMY_BACKEND in kinds:
        yield CheckWarning(
            f"{place} is a DummyCache: nothing is remembered.",
            hint="Name another alias, or write False if that is what you want.",
            id="fallback_storage.W006",
        )
    elif LOCMEM_BACKEND in kinds:
        yield CheckWarning(
            f"{place} is a LocMemCache: every process has its own, and one worker's "
            "writes are not seen by the others.",
            hint="Name an alias that all workers share, or none: process memory "
            "without Django's cache in between is faster.",
            id="fallback_storage.W007",
        )
    elif kinds & CULLING_BACKENDS and not is_bounded:
        yield CheckWarning(
            f"{place} keeps 300 entries, and a name takes two: most of what is "
            "remembered is thrown away.",
            hint=f"Give CACHES[{spec.alias!r}] the OPTIONS "
            "{'MAX_ENTRIES': ...}: at least twice the number of names.",
            id="fallback_storage.W008",
        )
    elif PYMEMCACHE_BACKEND in kinds and missing:
        yield CheckWarning(
            f"{place} has no {' and no '.join(missing)}: while the server hangs, so "
            "does every request.",
            hint=f"Give CACHES[{spec.alias!r}] the OPTIONS "
            "{'connect_timeout': 0.25, 'timeout': 0.25}.",
            id="fallback_storage.W009",
        )
    if f"{DJANGOS}.memcached.BaseMemcachedCache" in kinds and _has_several(
        params.get("LOCATION")
    ):
        yield CheckWarning(
            f"{place} is memcached on several servers: while one is dead its keys move, "
            "and not in all workers at the same time. They miss each other's writes.",
            hint="Name one server (a LOCATION of the memo's own), or use Redis or Valkey.",
            id="fallback_storage.W020",
        )
    yield from _check_database(place, spec.alias or "", kinds)
    if params.get("KEY_FUNCTION") and spec.vary is None:
        yield CheckWarning(
            f"{place} has a KEY_FUNCTION: nothing is remembered, for one tenant's workers "
            "would not hear of what another's write.",
            hint=VARY_HINT.format(where=spec.where),
            id="fallback_storage.W017",
        )
    if spec.negative_ttl > spec.ttl:
        yield CheckWarning(
            f"{spec.where}: NEGATIVE_TTL ({spec.negative_ttl:g} s) is more than TTL "
            f'({spec.ttl:g} s): "no backend holds it" is believed for longer than '
            '"this backend holds it".',
            hint="Write a NEGATIVE_TTL of a few seconds, no more than TTL.",
            id="fallback_storage.W011",
        )


def _has_several(location: object) -> bool:
    """As Django splits the LOCATION of memcached."""
    servers = re.split("[;,]", location) if isinstance(location, str) else location
    return isinstance(servers, list | tuple) and len(servers) > 1


def _check_database(
    place: str, alias: str, kinds: Collection[str]
) -> Iterator[CheckMessage]:
    """Yield a warning if routers send those who read a cache to another database."""
    if DATABASE_BACKEND not in kinds:
        return
    entry = build_cache(alias).cache_model_class  # type: ignore[attr-defined]
    if router.db_for_read(entry) != router.db_for_write(entry):
        yield CheckWarning(
            f"{place} is read from another database than it is written to: if that is "
            "a replica, what other workers write is seen late.",
            hint="Let db_for_read() of your DATABASE_ROUTERS return, for the app "
            "'django_cache', what db_for_write() does.",
            id="fallback_storage.W021",
        )


def _kinds(spec: CacheSpec) -> set[str]:
    """Return the paths of the cache's class and of its bases."""
    return {
        class_path(base)
        for base in getattr(class_of(cache_backend(spec.alias)), "__mro__", ())
    }


def check_places(
    spec: CacheSpec, backends: Sequence[Backend]
) -> Iterator[CheckMessage]:
    """Yield a warning if the files may be other ones for another tenant."""
    varying = [repr(backend.name) for backend in backends if _varies(backend)]
    if varying and spec.vary is None:
        yield CheckWarning(
            f"Where the files of {', '.join(varying)} are is computed at each call: "
            "nothing is remembered of them, for it may be another tenant's.",
            hint=VARY_HINT.format(where=spec.where)
            + " Is it the same place for everybody, write "
            "{'PLACE_VARIES': False} into the entry's PROFILE.",
            id="fallback_storage.W016",
        )


def _varies(backend: Backend) -> bool:
    # The checks build chains within chains for nobody.
    return backend.place_varies or any(map(_varies, entries_of(backend.storage)))


def check_sharing(
    spec: CacheSpec, backends: Sequence[Backend]
) -> Iterator[CheckMessage]:
    """Yield a warning if a memo is meant to be shared, and the chain cannot be."""
    lonely_cache = _kinds(spec) & {DUMMY_BACKEND, LOCMEM_BACKEND}
    if lonely_cache or not spec.is_shared:
        return
    alone = [repr(backend.name) for backend in backends if not is_shareable(backend)]
    if alone:
        yield CheckWarning(
            f"The memo is not shared, though {spec.where} names what can be: the files "
            f"of {', '.join(alone)} are, or may be, those of one process alone.",
            hint="Leave out the cache (process memory is faster), or name a storage "
            "that every process has.",
            id="fallback_storage.W010",
        )
