"""How much a view asks of production, whoever asks the view.

For each process, and each storage that is served.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from fallback_storage.utils import forks
from fallback_storage.utils.room import Room

if TYPE_CHECKING:
    from collections.abc import Callable


# Seconds' worth of unknown names that may be asked for at once.
BURST: Final = 10


class Limits:
    """``remote``: downloads at a time. ``per_second``: names that nobody has asked for.

    ``clock`` returns seconds and never goes back. Thread-safe.
    """

    def __init__(
        self,
        remote: int,
        per_second: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._remote, self._per_second, self._clock = remote, per_second, clock
        self.after_fork()
        forks.register(self)

    def after_fork(self) -> None:
        """Begin anew: what is under way is the parent's."""
        self._lock = threading.RLock()
        self._room = Room(self._remote)
        # Pages of pictures come at once.
        self._most = max(1.0, self._per_second * BURST)
        self._left, self._since = self._most, self._clock()

    def may_ask(self) -> bool:
        """Whether one more unknown name may be asked for; counts it if so."""
        with self._lock:
            now = self._clock()
            gained = (now - self._since) * self._per_second
            self._left, self._since = min(self._most, self._left + gained), now
            if self._left < 1:
                return False
            self._left -= 1
            return True

    def begin(self, patience: float) -> Callable[[], None] | None:
        """Return what ends one more download.

        None, after ``patience`` seconds, if there are enough.
        """
        seat = self._room.take_seat(patience)
        return None if seat is None else seat.leave


_limits: dict[tuple[str, int, float], Limits] = {}


def limits_of(storage: str, remote: int, per_second: float) -> Limits:
    """Return what holds for an alias."""
    key = storage, remote, per_second
    return _limits.get(key) or _limits.setdefault(key, Limits(remote, per_second))
