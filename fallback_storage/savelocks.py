"""One save of a name at a time, within a process.

Between "this name is free" and the write lies a gap in which another thread may take
the name; FileSystemStorage notices, object stores overwrite. Across processes the gap
remains what it is with the wrapped storages alone.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fallback_storage import forks

if TYPE_CHECKING:
    from collections.abc import Iterator


class _SaveLocks:
    """Locks by name, each of which lives while somebody holds or awaits it."""

    def __init__(self) -> None:
        self.after_fork()
        forks.register(self)

    def after_fork(self) -> None:
        """See ``forks.ForkSensitive``."""
        self._guard = threading.Lock()
        # name -> lock, users. Reentrant: a chain may be a backend of a chain.
        self._locks: dict[str, tuple[threading.RLock, int]] = {}

    @contextmanager
    def hold(self, name: str) -> Iterator[None]:
        with self._guard:
            lock, users = self._locks.get(name) or (threading.RLock(), 0)
            self._locks[name] = lock, users + 1
        try:
            with lock:
                yield
        finally:
            with self._guard:
                lock, users = self._locks[name]
                if users == 1:
                    del self._locks[name]
                else:
                    self._locks[name] = lock, users - 1


_save_locks = _SaveLocks()
saving = _save_locks.hold
