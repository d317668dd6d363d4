"""The leases of all that is kept in process memory, and the lock of it.

A lease is what stands for the name's group when it is taken, and void when something
else does: no book-keeping per reader, and a write that voids the lease of another name
costs that reader one walk, no more. They are the same for all tables of the process: a
write reaches all of them, and voids its leases once.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from fallback_storage.cache.stores.base import EVERY
from fallback_storage.utils import forks

if TYPE_CHECKING:
    from collections.abc import Iterable

# Only ``EVERY`` has a group of its own: a lease on it must not end when a name is
# forgotten of which nothing was written, or a warm-up would read every page twice.
GROUPS = 256


class Leases:
    """``current`` are those that are good, by ``group_of`` names.

    Taken at any moment; voided under ``lock``, when the names are forgotten: who takes
    one after that finds nothing.
    """

    def __init__(self) -> None:
        self.after_fork()
        forks.register(self)

    def after_fork(self) -> None:
        """Start afresh: nobody holds the lock, and nothing is known that could be filled."""
        self.lock = threading.RLock()
        # Objects: there never is the same one again.
        self.current = [object() for _ in range(GROUPS + 1)]

    def of(self, name: str) -> object:
        """Return the lease of a name."""
        return self.current[group_of(name)]

    def void(self, names: Iterable[str]) -> None:
        """Void the leases of names."""
        current = self.current
        for name in names:
            # (As ``group_of``.)
            current[-1 if name == EVERY else hash(name) % GROUPS] = object()

    def void_all(self) -> None:
        """Void every lease, that of ``EVERY`` first."""
        fresh = [object() for _ in self.current]
        self.current[-1] = fresh.pop()
        self.current[:-1] = fresh


def group_of(name: str) -> int:
    """Return the position of a name's lease."""
    return -1 if name == EVERY else hash(name) % GROUPS


leases = Leases()
