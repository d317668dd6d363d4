"""How many names the memo's store is told at once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Names that the memo's store gets at once. The guard around a shared store leaves it
# alone when calls are slow; so a slow one gets fewer at a time (seconds for a call).
FIRST_NAMES, FEWEST_NAMES, MOST_NAMES = 100, 10, 500
FAST, SLOW = 0.01, 0.03


class Pace:
    """Sees how fast it is, and gives it parts that it can take."""

    def __init__(self) -> None:
        self._size = FIRST_NAMES

    def parts(self, names: Sequence[str]) -> Iterator[Sequence[str]]:
        """Yield all names in parts; how long the caller is busy with one is noted."""
        while names:
            part, names = names[: self._size], names[self._size :]
            start = time.perf_counter()
            yield part
            seconds = time.perf_counter() - start
            if seconds > SLOW:
                self._size = max(FEWEST_NAMES, self._size // 2)
            elif seconds < FAST:
                self._size = min(MOST_NAMES, self._size * 2)
