"""Locks by file name, within this process.

``saving``: one save of a name at a time. Between "this name is free" and the write lies
a gap in which another thread may take the name; FileSystemStorage notices, object stores
overwrite. Across processes the gap remains what it is with the wrapped storages alone.
``choices``: a save may come to another name than was asked for (it is cut to a length,
say). What one save has chosen no other one chooses until it has ended.
Of two tenants each has names of its own for these two; the others are for all.

``copying``: one copy of a name at a time. ``changing``: short steps that must not
overlap, such as deleting a name and giving a finished copy that name.

They are taken in this order only: saving, copying, changing.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fallback_storage.utils import forks
from fallback_storage.utils.tenants import of_tenant

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager


class NameLocks:
    """Locks by name, each of which lives while somebody holds or awaits it."""

    def __init__(self) -> None:
        self.after_fork()
        forks.register(self)

    def after_fork(self) -> None:
        self._guard = threading.RLock()
        # name -> lock, users. Reentrant: a chain may be a backend of a chain.
        self._locks: dict[str, tuple[threading.RLock, int]] = {}

    @contextmanager
    def hold(self, name: str) -> Iterator[None]:
        """Hold the lock of ``name``."""
        with self._guard:
            lock, users = self._locks.get(name) or (threading.RLock(), 0)
            self._locks[name] = lock, users + 1
        try:
            with lock:
                yield
        finally:
            with self._guard:
                # Nothing, in a child that was forked within.
                lock, users = self._locks.pop(name, (lock, 1))
                if users > 1:
                    self._locks[name] = lock, users - 1


class Choices:
    """The names that saves under way have chosen, each for its thread and its tenant."""

    def __init__(self) -> None:
        self.after_fork()
        forks.register(self)

    def after_fork(self) -> None:
        self._guard = threading.RLock()
        self._owners: dict[str, int] = {}
        self._mine = threading.local()

    @contextmanager
    def scope(self, max_length: int | None = None) -> Iterator[None]:
        """Let go in the end of what this thread chooses in between.

        ``max_length``: characters that a name may have which has to be chosen anew.
        """
        mine = self._mine
        outer = getattr(mine, "names", None), self.max_length
        names: set[str] = set()
        mine.names, mine.max_length = names, max_length
        try:
            yield
        finally:
            for key in names:
                self._let_go(key)
            mine.names, mine.max_length = outer

    @property
    def max_length(self) -> int | None:
        """How many characters a name may have in this scope; None: no bound."""
        return getattr(self._mine, "max_length", None)

    def take(self, name: str) -> bool:
        """Choose a name; false if another thread has. Outside a scope nothing is kept."""
        names = getattr(self._mine, "names", None)
        thread, key = threading.get_ident(), of_tenant(name)
        with self._guard:
            owner = self._owners.get(key, thread)
            if owner == thread and names is not None and key not in self._owners:
                self._owners[key] = thread
                names.add(key)
        return owner == thread

    def drop(self, name: str) -> None:
        """Let go of a name before the scope ends."""
        self._let_go(of_tenant(name))

    def _let_go(self, key: str) -> None:
        with self._guard:
            if self._owners.get(key) == threading.get_ident():
                del self._owners[key]


choices = Choices()
_saving = NameLocks()


def saving(name: str) -> AbstractContextManager[None]:
    """Hold a name, of this tenant's files, while it is saved."""
    return _saving.hold(of_tenant(name))


copying = NameLocks().hold
changing = NameLocks().hold
