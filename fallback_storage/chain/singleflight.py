"""One walk per cold name: whoever comes while it is under way waits for it."""

from __future__ import annotations

import threading
from collections.abc import Collection, Hashable

from fallback_storage.utils.tenants import current


class Flight:
    """A walk. ``settled`` tells waiters whether to look the name up again.

    Its leader holds ``under_way`` by ``with`` from before it boards, so that it lands
    however it ends. (A lock: an Event would cost more than the walk.)
    """

    __slots__ = ("leader", "settled", "under_way")

    def __init__(self) -> None:
        self.leader = threading.get_ident()
        self.settled = False
        self.under_way = threading.Lock()

    def wait(self, timeout: float) -> bool:
        """Wait for the leader; false if it takes too long or found nothing to share.

        A thread never waits for itself: a backend may ask its own chain.
        """
        if self.leader == threading.get_ident():
            return False
        landed: list[bool] = []
        try:
            landed += map(self.under_way.acquire, (True,), (timeout,))
            return landed[0] and self.settled
        finally:
            if landed and landed[0]:
                self.under_way.release()


class Flights:
    """The walks under way in this process, of one chain, each for its tenant."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._flights: dict[tuple[str, Hashable], Flight] = {}
        # How many flights have landed: none since, none was missed.
        self.landings = 0

    def board(self, key: Hashable, mine: Flight) -> Flight:
        """Return the flight of ``key``: the caller's, which is under way, or another's."""
        while True:
            # Atomic: str and int keys.
            flight = self._flights.setdefault((current(), key), mine)
            if flight is mine or flight.under_way.locked():
                return flight
            self.land([key], flight)  # its leader was interrupted

    def land(self, keys: Collection[Hashable], flight: Flight) -> None:
        """Take a flight off the board: who comes later need not wait for it."""
        tenant = current()
        with self._lock:
            self.landings += 1
            for key in keys:
                self._take_off((tenant, key), flight)

    def _take_off(self, key: tuple[str, Hashable], flight: Flight) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
