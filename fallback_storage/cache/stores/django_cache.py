r"""The store in a Django cache alias: locmem, file, database, memcached, Redis...

No cache API of Django can compare and set, most drop keys when they like, and some
lose a write without a word. So nothing is decided when an entry is written; it is
decided when it is read:

* Every name has a **stamp**, and every chain a **generation**: random tokens, each
  written by one call and never again. Who looks a name up leases both.
* An **entry** carries the lease that its walk began with, and a deadline. It counts
  only until then, and while stamp and generation are present and equal to what it
  carries.
* ``invalidate`` writes a new stamp, ``clear`` a new generation. A token that was
  replaced, evicted or expired never comes back, so no entry and no lease that carries
  it is ever valid again. Every loss of a key is a miss.

A new stamp, not a deletion: an ``add`` that the cache's client sends twice (a reader's,
after a lost answer) would bring back a stamp that was deleted, but not one that was
replaced. And the next reader finds his lease without another round trip. For the same
reason many stamps are ``add``\ ed one by one, except to Django's memcached caches, whose
clients send nothing twice and ``set_many`` in one round trip.

Round trips: a hit one, of one name or of hundreds; a miss at most three (``get_many``,
``add`` of the stamp if there is none, ``set`` of the entry, or ``touch`` of the stamp
behind it); an invalidation three
(``set_many`` of the stamp for ``EVERY``, then of the names', and ``get_many`` to
see that it is so).
"""

from __future__ import annotations

import contextlib
import time
from itertools import chain
from typing import TYPE_CHECKING, Any

from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.db import BaseDatabaseCache
from django.core.cache.backends.memcached import BaseMemcachedCache
from django.utils.functional import cached_property

from fallback_storage.cache.stores import django_entries, memcached_quick
from fallback_storage.cache.stores.alias import as_seen_from
from fallback_storage.cache.stores.base import EVERY
from fallback_storage.cache.stores.django_savepoints import apart
from fallback_storage.cache.stores.django_tokens import (
    CacheLosesWritesError,
    TokenStore,
)
from fallback_storage.cache.stores.keys import Keys
from fallback_storage.utils import forks

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

# A name whose stamp has gone is a miss: stamps should live for several TTLs. They are
# also what a flood of unknown names leaves behind, so not for ever.
STAMP_SECONDS = 3600
# The longest that memcached takes as a duration. Then all is asked once more.
GENERATION_SECONDS = 30 * 24 * 3600

# Names of one get_many. Two keys each: the database cache passes them all in one query,
# and a database takes a limited number (999 in older SQLite).
MAX_NAMES = 400


class DjangoCacheStore(TokenStore):
    """Keeps entries in ``CACHES[alias]``, under keys of this chain.

    ``chain`` identifies the chain (``keys.Keys``). ``stamp_seconds`` is the longest
    that an entry lives, whatever its TTL; give several times the TTL, and the ``grace``.
    ``clock`` returns the time of day in seconds, the same in all processes.
    """

    def __init__(
        self,
        alias: str,
        chain: str,
        stamp_seconds: float = STAMP_SECONDS,
        clock: Callable[[], float] = time.time,
        grace: float = 0.0,
    ) -> None:
        self.grace = grace
        self._alias = alias
        self._keys = Keys(chain)
        self._stamp_seconds = stamp_seconds
        self._clock = clock
        forks.register(self)

    def after_fork(self) -> None:
        # Parent and child would read each other's answers from one socket of memcached.
        with contextlib.suppress(AttributeError):
            del caches[self._alias]

    def _cache(self) -> BaseCache:
        # Asked for at each call: Django gives every thread a connection of its own.
        return caches[self._alias]

    @cached_property
    def in_database(self) -> bool:
        """Whether the alias is a database cache."""
        return isinstance(self._cache(), BaseDatabaseCache)

    def _shares_keys(self) -> bool:
        # One row for all names would be locked until the writer's
        # transaction ends: uploads would wait for each other.
        return not self.in_database

    def _sends_once(self) -> bool:
        return isinstance(self._cache(), BaseMemcachedCache)

    # Reading

    @apart
    def look_up(self, names: Collection[str]) -> Mapping[str, tuple[int | None, Any]]:
        found: dict[str, tuple[int | None, Any]] = {}
        if EVERY in names and not self._shares_keys():
            # A lease that never holds: who relies on it reads twice (``jobs.warm``).
            found[EVERY] = None, django_entries.Lease(self._new_token())
            names = [name for name in names if name != EVERY]
        for part in _parts(names):
            found.update(self._look_up_part(part))
        return found

    def look_up_one(self, name: str) -> tuple[int | None, Any]:
        if name == EVERY or self.in_database:
            return self.look_up((name,))[name]
        keys = self._keys.stamp_and_entry(name)
        # (As ``_cache``.)
        values = memcached_quick.get_many(
            caches[self._alias], (self._keys.generation, *keys)
        )
        code, lease = self._read_one(keys, values)
        if code is None:
            self._take_leases({name: keys}, values)
            return self._read_one(keys, values)
        return code, lease

    def _read_one(
        self, keys: tuple[str, str], values: Mapping[str, Any]
    ) -> tuple[int | None, Any]:
        """Return the code and the lease of a name, by what is there."""
        generation, stamp = values.get(self._keys.generation), values.get(keys[0])
        if not (django_entries.is_token(generation) and django_entries.is_token(stamp)):
            return None, None
        now = self._clock() * 1000
        return django_entries.read_hit(values.get(keys[1]), generation, stamp, now)

    def _get(
        self, names: Collection[str]
    ) -> tuple[dict[str, tuple[str, str]], dict[str, Any]]:
        """Return the keys of names, and what is there under them."""
        keys = {name: self._keys.stamp_and_entry(name) for name in names}
        wanted = [self._keys.generation, *chain(*keys.values())]
        return keys, memcached_quick.get_many(self._cache(), wanted)

    def _look_up_part(self, names: Sequence[str]) -> dict[str, tuple[int | None, Any]]:
        keys, values = self._get(names)
        found = self._found(keys, values)
        missing = {name: keys[name] for name in keys if found[name][0] is None}
        if missing:
            self._take_leases(missing, values)
            found |= self._found(missing, values)
        return found

    def _take_leases(
        self, keys: Mapping[str, tuple[str, str]], values: dict[str, Any]
    ) -> None:
        """Write the tokens that are not there, here and in the cache."""
        generation_key = self._keys.generation
        self._complete(values, [generation_key], GENERATION_SECONDS, replace=False)
        if not django_entries.is_token(values.get(generation_key)):
            # As a client answers that ignores its errors, or waits to connect again.
            raise CacheLosesWritesError(
                "The cache does not show what was written: a generation."
            )
        stamp_keys = [stamp_key for stamp_key, _ in keys.values()]
        # Set instead of added, many cost one round trip. To write a new stamp is safe
        # at any time (another process that came first loses its fill and no more), but
        # not twice: a client must not send it again after an error.
        at_once = len(stamp_keys) > 1 and self._sends_once()
        self._complete(values, stamp_keys, self._stamp_seconds, replace=at_once)

    def _found(
        self, keys: Mapping[str, tuple[str, str]], values: Mapping[str, Any]
    ) -> dict[str, tuple[int | None, Any]]:
        """Return codes and leases, by what is there."""
        return {name: self._read_one(each, values) for name, each in keys.items()}

    @apart
    def look_up_held(self, names: Collection[str]) -> Mapping[str, int]:
        """One round trip for ``MAX_NAMES``, and nothing is written."""
        oldest = (self._clock() - self.grace) * 1000
        entries = (item for part in _parts(names) for item in self._read(part).items())
        return {
            name: entry.held.code
            for name, entry in entries
            if entry and entry.held and entry.held.end > oldest
        }

    def _read(self, names: Collection[str]) -> dict[str, django_entries.Entry | None]:
        keys, values = self._get(names)
        generation = values.get(self._keys.generation)
        return {
            name: django_entries.read(
                values.get(entry), f"{generation}.{values.get(stamp)}"
            )
            for name, (stamp, entry) in keys.items()
        }

    @apart
    def seconds_left(self, name: str) -> float | None:
        """One round trip, and nothing is written."""
        entry = self._read((name,))[name]
        left = entry.deadline / 1000 - self._clock() if entry else 0
        return left if left > 0 else None

    # Writing

    @apart
    def fill(
        self, name: str, lease: django_entries.Lease | None, code: int, ttl: float
    ) -> bool:
        # True does not tell whether it came too late.
        entry = django_entries.entry(lease, code, ttl, self._clock())
        if entry is None:
            return False
        timeout = self._timeout(entry, ttl)
        self._cache().set(self._keys.entry(name), entry, timeout=timeout)
        self._extend(name, lease)
        return True

    @apart
    def fill_many(
        self, fills: Mapping[str, tuple[django_entries.Lease | None, int, float]]
    ) -> int:
        """One ``set_many`` for each timeout that occurs."""
        now = self._clock()
        by_timeout: dict[float, dict[str, str]] = {}
        for name, (lease, code, ttl) in fills.items():
            entry = django_entries.entry(lease, code, ttl, now)
            if entry is not None:
                entries = by_timeout.setdefault(self._timeout(entry, ttl), {})
                entries[self._keys.entry(name)] = entry
        kept = 0
        for timeout, entries in by_timeout.items():
            failed = self._cache().set_many(entries, timeout=timeout) or ()
            kept += len(entries) - len(failed)
        for name, (lease, _, _) in fills.items():
            self._extend(name, lease)
        return kept

    def _extend(self, name: str, lease: django_entries.Lease | None) -> None:
        """Let the stamp of an entry that was renewed live as long as that.

        Written again it might come back after it was replaced; this cannot do that.
        """
        if self.grace and lease is not None and lease.held:
            with contextlib.suppress(NotImplementedError):
                self._cache().touch(self._keys.stamp(name), self._stamp_seconds)

    def _timeout(self, entry: str, ttl: float) -> float:
        # Several caches cut to whole seconds, and take 0 for "do not keep". What
        # completes an entry has less to live than this: its deadline sees to that, and
        # the entries of a page need not be written one by one.
        ttl += self.grace if django_entries.lasts(entry) else 0
        return max(1, min(ttl, self._stamp_seconds))

    def place(self) -> str:
        """Return what the alias's KEY_FUNCTION makes of the chain's prefix."""
        return str(self._cache().make_key(self._keys.prefix))

    @apart
    def invalidate_at(self, place: Any, names: Collection[str] | None) -> None:
        """Raise if the cache does not show it afterwards. Touches no keys but ours."""
        cache = self._cache()
        if place is not None:
            cache = as_seen_from(place, cache, self._keys.prefix)
        if names is None:
            self._renew(cache, (), [self._keys.generation], GENERATION_SECONDS)
            return
        if not names:
            return
        first = []
        if EVERY in names and self._shares_keys():
            first = [self._keys.stamp(EVERY)]
        rest = [name for name in names if name != EVERY]
        for part in _parts(rest) if rest else [()]:
            stamps = [self._keys.stamp(name) for name in part]
            self._renew(cache, first, stamps, self._stamp_seconds)


def _parts(names: Collection[str]) -> Iterator[Sequence[str]]:
    names = list(names)
    for start in range(0, len(names), MAX_NAMES):
        yield names[start : start + MAX_NAMES]
