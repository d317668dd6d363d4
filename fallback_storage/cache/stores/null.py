"""A store that keeps nothing: what ``cache=False`` gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallback_storage.cache.stores.base import Store

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from fallback_storage.cache.stores.base import Lease


class NullStore(Store):
    """Knows nothing, gives no lease, and has nothing to forget."""

    in_process = True

    def look_up(self, names: Collection[str]) -> Mapping[str, tuple[int | None, Lease]]:
        return dict.fromkeys(names, (None, None))

    def fill(self, name: str, lease: Lease, code: int, ttl: float) -> bool:
        return False

    def invalidate(self, names: Collection[str]) -> None:
        pass

    def clear(self) -> None:
        pass
