"""Room for so many requests at the same time, of which none gets lost.

An interrupt may come between any two steps, and the garbage collector may close an
answer in the middle of another one's. The semaphores of ``threading`` lose count then,
or wait for themselves. What a ``SimpleQueue`` does is one step, whoever comes in between.
"""

from __future__ import annotations

import weakref
from contextlib import suppress
from queue import Empty, SimpleQueue


class _Chair:
    """What there are so many of. One that is lost is replaced."""

    def __init__(self, room: SimpleQueue[_Chair]) -> None:
        # Not the room itself: the chairs of a room that is gone go with it.
        self._room = weakref.ref(room)

    def __del__(self) -> None:
        room = self._room()
        if room is not None:
            room.put(_Chair(room))


class Seat:
    """Room for one request, until it is left."""

    def __init__(self, room: SimpleQueue[_Chair], chair: _Chair) -> None:
        self._room = room
        self._chairs = [chair]

    def leave(self) -> None:
        """Make room. The second time nothing happens."""
        with suppress(IndexError):
            self._room.put(self._chairs.pop())


class Room:
    """Room for ``size`` requests."""

    def __init__(self, size: int) -> None:
        self._free: SimpleQueue[_Chair] = SimpleQueue()
        for _ in range(size):
            self._free.put(_Chair(self._free))

    def take_seat(self, patience: float) -> Seat | None:
        """Return room for one request; None if there is none in so many seconds."""
        try:
            return Seat(self._free, self._free.get(timeout=patience))
        except Empty:
            return None
