"""Tokens of a store in a Django cache: written where there are none, or anew.

And seen to be there: see ``django_cache``.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from fallback_storage.cache.stores.base import PlacedStore
from fallback_storage.cache.stores.django_entries import is_token, new_token
from fallback_storage.exceptions import FallbackStorageError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from django.core.cache.backends.base import BaseCache

# How often an invalidation is written that is not seen afterwards.
ATTEMPTS = 3


class CacheLosesWritesError(FallbackStorageError):
    """Raised when the cache took a write that matters and does not show it."""


class TokenStore(PlacedStore):
    """A store that decides by tokens in a Django cache what is valid."""

    @abstractmethod
    def _cache(self) -> BaseCache:
        """Return the cache, as this thread has it."""

    def _new_token(self) -> str:
        return new_token()

    def _complete(
        self,
        values: dict[str, Any],
        keys: Sequence[str],
        seconds: float,
        *,
        replace: bool,
    ) -> None:
        """Write a token under each key that has none, here and in the cache.

        ``replace``: set them, instead of adding each.
        """
        fresh = {
            key: self._new_token() for key in keys if not is_token(values.get(key))
        }
        if not fresh:
            return
        cache = self._cache()
        if replace or any(key in values for key in fresh):
            # (Something that is no token can only be replaced.)
            values.update(fresh)
            for key in cache.set_many(fresh, timeout=seconds) or ():
                values.pop(key, None)
            return
        for key, token in fresh.items():
            if cache.add(key, token, timeout=seconds):
                values[key] = token
            else:
                # Somebody was first, or nothing was written: see which.
                values.update(cache.get_many([key]))

    def _renew(
        self,
        cache: BaseCache,
        first: Collection[str],
        keys: Collection[str],
        seconds: float,
    ) -> None:
        """Replace the tokens under these keys, those of ``first`` before the others.

        And make sure of it.

        A cache may report keys that it failed to write (memcached), raise, or say
        nothing (the database cache on an error, django-redis with IGNORE_EXCEPTIONS).
        Seen is what was written, or that another writer has replaced what was there.
        """
        unsure = dict.fromkeys((*first, *keys))
        before: dict[str, object] = {}
        for _ in range(ATTEMPTS):
            if any(key in unsure for key in first):
                unsure.update(dict.fromkeys(keys))  # in this order, or again
            fresh = {key: self._new_token() for key in unsure}
            # No cache says in which order a set_many() over several servers arrives.
            try:
                _set_all(cache, _of(fresh, first), seconds)
            finally:
                # Also where those were refused: they may lie on a server that is dead.
                _set_all(cache, _of(fresh, keys), seconds)
            seen = cache.get_many(list(fresh))
            for key, token in fresh.items():
                there = seen.get(key)
                if there == token or (there and there != before.get(key, there)):
                    del unsure[key]
                elif there:
                    before[key] = there
            if not unsure:
                return
        raise CacheLosesWritesError(
            "The cache does not show what was written: an invalidation."
        )


def _of(fresh: dict[str, str], keys: Collection[str]) -> dict[str, str]:
    return {key: fresh[key] for key in keys if key in fresh}


def _set_all(cache: BaseCache, values: dict[str, str], seconds: float) -> None:
    """Raise if not all were taken. Of several servers those that live take theirs."""
    if not values:
        return
    lost: object = None
    try:
        lost = cache.set_many(values, timeout=seconds)
    except Exception:
        if len(getattr(cache, "_servers", ())) <= 1:
            raise
        # A client of several stops at the first one that is dead.
        _set_each(cache, values, seconds)
    if lost:
        raise CacheLosesWritesError("The cache took no invalidation.")


def _set_each(cache: BaseCache, values: dict[str, str], seconds: float) -> None:
    failure: Exception | None = None
    for key, value in values.items():
        try:
            cache.set(key, value, timeout=seconds)
        except Exception as error:  # noqa: BLE001 - raised below
            failure = error
    if failure is not None:
        raise failure from None
