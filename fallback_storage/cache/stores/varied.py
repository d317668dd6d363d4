"""A store in front of another, which keeps what is known of each tenant's files apart.

The names that the other store sees begin with the tenant's digest (``utils.tenants``). Its
``place`` holds it, so that what is announced late goes to whose file was written. ``EVERY``
is one for all: whoever writes voids it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fallback_storage.cache.stores.base import EVERY, PlacedStore
from fallback_storage.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Mapping

    from fallback_storage.cache.stores.base import Lease, Store
    from fallback_storage.utils.tenants import Vary


class VariedStore(PlacedStore):
    """``store``, apart for each tenant that ``vary`` tells."""

    def __init__(self, store: Store, vary: Vary) -> None:
        self.has_peek = store.has_peek
        self.in_process = store.in_process
        self._store = store
        self._vary = vary

    def _spelled(self, names: Collection[str], digest: str | None = None) -> list[str]:
        beginning = _beginning(self._vary.digest() if digest is None else digest)
        return [name if name == EVERY else beginning + name for name in names]

    def _one(self, name: str) -> str:
        return self._spelled((name,))[0]

    def look_up(self, names: Collection[str]) -> Mapping[str, tuple[int | None, Lease]]:
        spelled = self._spelled(names)
        found = self._store.look_up(spelled)
        return {name: found[key] for name, key in zip(names, spelled, strict=True)}

    def look_up_one(self, name: str) -> tuple[int | None, Lease]:
        return self._store.look_up_one(self._one(name))

    def look_up_held(self, names: Collection[str]) -> Mapping[str, int]:
        spelled = dict(zip(self._spelled(names), names, strict=True))
        found = self._store.look_up_held(list(spelled))
        return {spelled[key]: code for key, code in found.items()}

    def fill(self, name: str, lease: Lease, code: int, ttl: float) -> bool:
        return self._store.fill(self._one(name), lease, code, ttl)

    def fill_many(self, fills: Mapping[str, tuple[Lease, int, float]]) -> int:
        spelled = zip(self._spelled(fills), fills.values(), strict=True)
        return self._store.fill_many(dict(spelled))

    def place(self) -> tuple[str | None, Hashable]:
        """Return the tenant's digest, if there is one to be had, and the other's place."""
        try:
            digest = self._vary.digest()
        except ConfigurationError:
            digest = None
        return digest, self._store.place()

    def invalidate_at(self, place: Any, names: Collection[str] | None) -> None:
        """Forget names; everybody's everything, where nobody tells whose they are."""
        digest, there = self.place() if place is None else place
        if digest is None:
            self._store.invalidate_at(there, None)
        elif names is None:
            self._store.clear_below(there, _beginning(digest))
        else:
            self._store.invalidate_at(there, self._spelled(names, digest))

    def peek(self, name: str) -> int | None:
        return self._store.peek(self._one(name))

    def seconds_left(self, name: str) -> float | None:
        return self._store.seconds_left(self._one(name))

    def ping(self) -> None:
        self._store.ping()

    def publish(self, deltas: Mapping[str, int]) -> bool:
        return self._store.publish(deltas)

    def published(self, names: Collection[str]) -> Mapping[str, int] | None:
        return self._store.published(names)

    def close(self) -> None:
        self._store.close()

    def stats(self) -> dict[str, int]:
        return self._store.stats()


def _beginning(digest: str) -> str:
    # No name begins with a slash, and none of another tenant with this.
    return f"{digest}/"
