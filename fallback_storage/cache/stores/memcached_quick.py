"""Many keys of one memcached server, past pymemcache's choice among several.

That choice is most of what a hit costs: a hash of each key, computed in Python, to find
out which of one server it is. What is left out is nothing else: who is dead and when it is
tried again is pymemcache's own to say, and so are connections, pools and values. Of several
servers, and where anything was put in the place of a method, the cache itself is asked.
"""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, Any

from django.core.cache.backends.memcached import BaseMemcachedCache

from fallback_storage.cache.stores.keys import are_safe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.core.cache.backends.base import BaseCache

MODULE = "pymemcache.client.hash"


def get_many(cache: BaseCache, keys: Sequence[str]) -> dict[str, Any]:
    """Return what ``cache.get_many`` does, and raise what it raises."""
    chooser: Any = _chooser_of_one(cache)
    if chooser is None:
        return dict(cache.get_many(keys))
    made = {cache.make_key(key): key for key in keys}
    if not are_safe(made):
        return dict(cache.get_many(keys))  # which raises
    (client,) = chooser.clients.values()
    found = chooser._safely_run_func(client, client.get_many, {}, list(made))  # noqa: SLF001
    return {made[key]: value for key, value in found.items()}


def _chooser_of_one(cache: Any) -> Any:
    """Return pymemcache's client of a cache, if it has one server, which lives; or None."""
    own: Any = type(cache)
    if (
        own.get_many is not BaseMemcachedCache.get_many
        or own.validate_key is not BaseMemcachedCache.validate_key
        or "get_many" in vars(cache)
    ):
        return None
    chooser = cache._cache  # noqa: SLF001
    kind: Any = type(chooser)
    if (kind.__module__, kind.__name__) != (MODULE, "HashClient"):
        return None
    method = kind.get_many
    if type(method) is not FunctionType or method.__globals__["__name__"] != MODULE:
        return None
    # (In a release that keeps these elsewhere there is nothing to go by.)
    away = [
        getattr(chooser, which, True) for which in ("_failed_clients", "_dead_clients")
    ]
    return None if any(away) or len(chooser.clients) != 1 else chooser
