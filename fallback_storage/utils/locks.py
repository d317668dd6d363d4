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

What is held is a lock of ``threading``, by ``with``: so no interrupt leaves it held (see
``interrupts``), and no list of who holds what has to be kept right.
"""

from __future__ import annotations

import threading
import weakref
from functools import partial

from fallback_storage.utils import forks
from fallback_storage.utils.scopes import Scopes
from fallback_storage.utils.tenants import of_tenant


class NameLocks:
    """Locks by name, each of which lives while somebody holds or awaits it."""

    def __init__(self) -> None:
        self.after_fork()
        forks.register(self)

    def after_fork(self) -> None:
        self._locks: dict[str, weakref.ref[threading.RLock]] = {}

    def __call__(self, name: str) -> threading.RLock:
        """Return the lock of ``name``. Reentrant: a chain may be a backend of a chain.

        Without a lock of its own: the garbage collector may come, and ask for another.
        """
        locks = self._locks
        known = locks.get(name)
        lock = known() if known is not None else None
        if lock is not None:
            return lock
        fresh = threading.RLock()
        while lock is None:
            # One that goes is off the list before anybody else gets his turn. (And a
            # reference that is not on the list goes before its lock: it tells nobody.)
            lock = locks.setdefault(
                name, weakref.ref(fresh, partial(locks.pop, name))
            )()
        return lock


class Choices:
    """The names that saves under way have chosen, each for its thread and its tenant."""

    def __init__(self) -> None:
        self.after_fork()
        forks.register(self)

    def after_fork(self) -> None:
        self._guard = threading.RLock()
        # name -> the scope in which it was chosen
        self._owners: dict[str, threading.Lock] = {}
        self._scopes: Scopes[int | None] = Scopes("choices")

    def scope(self, max_length: int | None = None) -> threading.Lock:
        """Return a lock. While it is held, what this thread chooses is no one else's.

        ``max_length``: characters that a name may have which has to be chosen anew.
        """
        return self._scopes.enter(max_length)

    @property
    def max_length(self) -> int | None:
        """How many characters a name may have in this scope; None: no bound."""
        return self._scopes.value()

    def take(self, name: str) -> bool:
        """Choose a name; false if another thread has. Outside a scope nothing is kept."""
        key, scopes = of_tenant(name), self._held()
        with self._guard:
            owners = {each: o for each, o in self._owners.items() if o.locked()}
            if scopes:
                owners.setdefault(key, scopes[-1])
            self._owners = owners
            return owners.get(key) in {None, *scopes}

    def _held(self) -> list[threading.Lock]:
        return [lock for lock, _ in self._scopes.entered()]

    def drop(self, name: str) -> None:
        """Let go of a name before the scope ends."""
        key, scopes = of_tenant(name), self._held()
        with self._guard:
            if self._owners.get(key) in scopes:
                del self._owners[key]


choices = Choices()
_saving, copying, changing = NameLocks(), NameLocks(), NameLocks()


def saving(name: str) -> threading.RLock:
    """Return the lock of a name, of this tenant's files, for while it is saved."""
    return _saving(of_tenant(name))
