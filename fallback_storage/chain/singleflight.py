"""One walk per cold name: whoever comes while it is under way waits for it."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterable

from fallback_storage.utils.tenants import current


class Flight:
    """A walk under way. ``settled`` tells waiters whether to look the name up again."""

    __slots__ = ("_landed", "leader", "settled")

    def __init__(self) -> None:
        self.leader = threading.get_ident()
        self.settled = False
        # A lock held until landing: an Event would cost more than the walk.
        self._landed = threading.Lock()
        self._landed.acquire()

    def wait(self, timeout: float) -> bool:
        """Wait for the leader; false if it takes too long or found nothing to share.

        A thread never waits for itself: a backend may ask its own chain.
        """
        if self.leader == threading.get_ident():
            return False
        if not self._landed.acquire(timeout=timeout):
            return False
        self._landed.release()
        return self.settled

    def land(self) -> None:
        """Release the waiters."""
        self._landed.release()


class Flights:
    """The walks under way in this process, of one chain, each for its tenant."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._flights: dict[tuple[str, Hashable], Flight] = {}
        self._landings = 0

    @property
    def landings(self) -> int:
        """How many flights have landed: none since, none was missed."""
        return self._landings

    def board(self, key: Hashable, mine: Flight | None = None) -> tuple[Flight, bool]:
        """Return the flight of ``key`` and whether the caller leads it.

        ``mine``: the caller's, if it is for other keys as well.
        """
        mine = mine or Flight()
        flight = self._flights.setdefault((current(), key), mine)  # atomic: str, int
        return flight, flight is mine

    def land(self, key: Hashable, flight: Flight) -> None:
        """End a flight that the caller leads, and release its waiters."""
        self.give_up(key, flight)
        flight.land()

    def land_all(self, keys: Iterable[Hashable], flight: Flight) -> None:
        """End a flight that the caller leads for many keys."""
        self._take_off(keys, flight)
        flight.land()

    def give_up(self, key: Hashable, flight: Flight) -> None:
        """Take a flight off the board: who comes later need not wait for it."""
        self._take_off((key,), flight)

    def _take_off(self, keys: Iterable[Hashable], flight: Flight) -> None:
        tenant = current()
        with self._lock:
            self._landings += 1
            for key in keys:
                if self._flights.get((tenant, key)) is flight:
                    del self._flights[tenant, key]
