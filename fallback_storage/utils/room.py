"""Room for so many requests at the same time, of which none gets lost.

An interrupt may come between any two steps, and the garbage collector may close an
answer in the middle of another one's. The semaphores of ``threading`` lose count then,
or wait for themselves. What a ``SimpleQueue`` does is one step, whoever comes in between;
so is what a list does with the results of a ``map`` over functions in C.
"""

from __future__ import annotations

from queue import Empty, SimpleQueue


class _Chair:
    """What is taken from a room, and given back once: also when this is gone."""

    def __init__(self, room: SimpleQueue[None]) -> None:
        self._room = room
        self._taken: list[None] = []

    def take(self, patience: float) -> None:
        """Raise ``Empty`` if there is none in so many seconds."""
        self._taken.extend(map(self._room.get, (True,), (patience,)))

    def leave(self) -> None:
        # (``suppress`` is Python: an interrupt may come before its block.)
        try:  # noqa: SIM105
            list(map(self._room.put, map(self._taken.pop, (0,))))
        except (IndexError, AttributeError):  # it was given back; it was not even made
            pass

    def __del__(self) -> None:
        self.leave()


class Seat:
    """Room for one request, until it is left."""

    _chair: _Chair | None = None

    def __init__(self, chair: _Chair) -> None:
        self._chair = chair

    def leave(self) -> None:
        """Make room. The second time nothing happens."""
        if self._chair is not None:
            self._chair.leave()

    def __del__(self) -> None:
        # An interrupt may end this before it began; then the chair itself goes.
        self.leave()


class Room:
    """Room for ``size`` requests."""

    def __init__(self, size: int) -> None:
        self._free: SimpleQueue[None] = SimpleQueue()
        for _ in range(size):
            self._free.put(None)

    def take_seat(self, patience: float) -> Seat | None:
        """Return room for one request; None if there is none in so many seconds."""
        chair = _Chair(self._free)
        seat = Seat(chair)
        try:
            chair.take(patience)
        except Empty:
            return None
        return seat
