"""One listener for all near tiers of an alias: one connection, and one thread.

There may be a chain for each tenant, and so a near tier for each. All their keys begin
alike, with the version; what follows is the chain, and then the name. So who listens to
that beginning hears of all, and passes on to each what is of its chain.
"""

from __future__ import annotations

import weakref
from collections import defaultdict
from typing import TYPE_CHECKING

from fallback_storage.cache.stores.keys import END_OF_CHAIN
from fallback_storage.cache.stores.redis_failover import drop_connections
from fallback_storage.cache.stores.redis_tracking import HEARTBEAT, Tracker
from fallback_storage.utils import forks
from fallback_storage.utils.living import Living

if TYPE_CHECKING:
    from collections.abc import Collection

    from fallback_storage.cache.stores.redis import RedisStore
    from fallback_storage.cache.stores.redis_tracking import Emptied

# Seconds that the last to leave waits for the thread.
JOIN_SECONDS = 2.0


class Listener:
    """Empties near tiers of what changes below the prefix of ``store``.

    Listens from the first look-up of one of them until the last has left, or is gone.
    ``heartbeat`` seconds: see ``redis_tracking``.
    """

    def __init__(self, store: RedisStore, heartbeat: float = HEARTBEAT) -> None:
        self._store = store
        self.prefix = store.prefix
        self._tiers = _Tiers()
        self.tracker = Tracker(
            store.tracking_connection,
            self._tiers,
            heartbeat,
            demoted=lambda: drop_connections(store.client),
        )
        self.is_over = False
        # The thread knows the tracker, not this object: it ends when this is gone.
        weakref.finalize(self, self.tracker.stop)
        forks.register(self)

    def after_fork(self) -> None:
        """Leave thread and connection to the parent; the tiers see to themselves."""
        self.tracker.after_fork()

    def join(self, tier: Emptied, chain: str) -> None:
        """Empty a tier from now on. ``chain``: what is before the name in its keys."""
        self._tiers.add(tier, chain)

    def leave(self, tier: Emptied) -> None:
        """Empty a tier no longer."""
        with forks.build_lock():
            self.is_over = self._tiers.discard(tier)
        if self.is_over:
            self.tracker.stop()
            self.tracker.join(JOIN_SECONDS)
            self._store.close()


class _Tiers:
    """Near tiers by what their keys begin with. Keeps none of them alive."""

    def __init__(self) -> None:
        # Replaced, never changed: the listening thread reads it.
        self._chains: dict[str, Living[Emptied]] = {}

    def add(self, tier: Emptied, chain: str) -> None:
        chains = {each: tiers for each, tiers in self._chains.items() if len(tiers)}
        chains.setdefault(chain, Living()).add(tier)
        self._chains = chains

    def discard(self, tier: Emptied) -> bool:
        """Return whether none is left."""
        for tiers in self._chains.values():
            tiers.discard(tier)
        return not any(map(len, self._chains.values()))

    def invalidate(self, names: Collection[str]) -> None:
        parts: defaultdict[str, list[str]] = defaultdict(list)
        for name in names:
            chain, end, rest = name.partition(END_OF_CHAIN)
            if "" in self._chains:  # a tier that shares with nobody
                parts[""].append(name)
            else:
                parts[chain + end].append(rest)
        for chain, its_names in parts.items():
            tiers = self._chains.get(chain)
            for tier in tiers.all() if tiers else ():
                tier.invalidate(its_names)

    def clear(self) -> None:
        for tiers in self._chains.values():
            for tier in tiers.all():
                tier.clear()
