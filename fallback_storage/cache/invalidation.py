"""The memos of this process, for invalidations that must reach all of them.

Apps build instances of their own over the same files (``FileField(storage=...)``, sorl
by class path), and each has a memo of its own, or one that it shares.
"""

from __future__ import annotations

import threading
import weakref
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

from fallback_storage.cache import snapshots
from fallback_storage.cache.stores.base import EVERY
from fallback_storage.utils import forks

if TYPE_CHECKING:
    from collections.abc import Collection

    from fallback_storage.cache.stores.base import Store


class HasStore(Protocol):
    """A memo: what is told of an invalidation is its store."""

    store: Store


class _Registry:
    """Keeps no memo alive."""

    def __init__(self) -> None:
        self._memos: weakref.WeakSet[HasStore] = weakref.WeakSet()
        self._lock = threading.RLock()
        forks.register(self)

    def after_fork(self) -> None:
        self._lock = threading.RLock()

    def add(self, memo: HasStore) -> None:
        with self._lock:
            self._memos.add(memo)

    def stores(self) -> Collection[Store]:
        with self._lock:
            memos = list(self._memos)
        return {id(memo.store): memo.store for memo in memos}.values()


_registry = _Registry()


def add(memo: HasStore) -> None:
    """Let invalidations reach a memo, while it lives."""
    _registry.add(memo)


def stores() -> Collection[Store]:
    """Return the stores of all memos, each once."""
    return _registry.stores()


def invalidate(names: Collection[str]) -> None:
    """Forget names in every memo of this process, and in the stores they share.

    Call it after the backends were changed and before the caller is told so.
    """
    voided = (EVERY, *names)
    with ExitStack() as stack:
        # All of them, also when one is interrupted (Ctrl-C): that is raised at the end.
        stack.callback(snapshots.invalidate, names)
        for store in stores():
            stack.callback(store.invalidate, voided)


def invalidate_all() -> None:
    """Forget everything in every memo of this process, and in their stores."""
    with ExitStack() as stack:
        stack.callback(snapshots.clear)
        for store in stores():
            stack.callback(store.clear)
