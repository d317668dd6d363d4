"""Many keys of a cache in process memory, in one step past Django's own for each.

A hit wants three keys, and ``LocMemCache`` looks into each for what memcached could not
bear, twice at the clock, and takes its lock for each. Here that is done once for all. It
is done only where all of them are there, for what Django's own methods do with the others
is theirs to do; and where anything was put in the place of a method, the cache is asked.
"""

from __future__ import annotations

import pickle
import time
from typing import TYPE_CHECKING, Any

from django.core.cache.backends.locmem import LocMemCache

from fallback_storage.cache.stores.keys import are_safe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.core.cache.backends.base import BaseCache

GET, GET_MANY = LocMemCache.get, LocMemCache.get_many


def get_many(cache: BaseCache, keys: Sequence[str]) -> dict[str, Any] | None:
    """Return the values of keys that are all there; None: the cache is to be asked."""
    if type(cache) is not LocMemCache or not _is_own(cache):
        return None
    there: Any = cache
    made = [cache.make_key(key) for key in keys]
    if not are_safe(made):
        return None
    values, ends = there._cache, there._expire_info  # noqa: SLF001
    now, pickled = time.time(), []
    try:
        with there._lock:  # noqa: SLF001
            for key in made:
                end = ends[key]
                if end is not None and end <= now:
                    return None
                pickled.append(values[key])
                # The first are the last to be culled.
                values.move_to_end(key, last=False)
    except KeyError:
        return None
    return dict(zip(keys, map(pickle.loads, pickled), strict=True))


def _is_own(cache: Any) -> bool:
    """Whether the methods of the cache are Django's."""
    own = vars(cache)
    return (
        LocMemCache.get_many is GET_MANY
        and LocMemCache.get is GET
        and "get_many" not in own
        and "get" not in own
        and "_expire_info" in own
    )
