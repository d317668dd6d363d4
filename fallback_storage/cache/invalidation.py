"""The memos of this process, for invalidations that must reach all of them.

Apps build instances of their own over the same files (``FileField(storage=...)``, sorl
by class path), and each has a memo of its own, or one that it shares.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

from fallback_storage.cache import snapshots
from fallback_storage.cache.stores.base import EVERY
from fallback_storage.utils.living import Living

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Sequence

    from fallback_storage.cache.stores.base import Store

    Places = Sequence[tuple[Store, Hashable]]


class HasStore(Protocol):
    """A memo: what is told of an invalidation is its store.

    ``depth()``: how many chains lie within its chain, one in the other.
    """

    store: Store

    def depth(self) -> int:
        """Return it."""


class _Registry:
    """Keeps no memo alive."""

    def __init__(self) -> None:
        self.memos: Living[HasStore] = Living()
        # Whether any chain is a backend of another.
        self.nested = False


_registry = _Registry()


def add(memo: HasStore) -> None:
    """Let invalidations reach a memo, while it lives."""
    _registry.memos.add(memo)


def note_nesting() -> None:
    """Let it be known that some chain is a backend of another one."""
    _registry.nested = True


def stores() -> Sequence[Store]:
    """Return the stores of all memos, each once, those of inner chains first.

    Who fills the memo of an outer chain has asked the inner one: with a lease that was
    taken when the outer store had been told, after the inner one was.
    """
    memos = _registry.memos.all()
    if _registry.nested:
        memos.sort(key=lambda memo: memo.depth())
    return list({id(memo.store): memo.store for memo in memos}.values())


def places() -> Places:
    """Return where a write of this moment would be announced, to do that later."""
    found = ((store, store.place()) for store in stores())
    return [(store, place) for store, place in found if place is not None]


def invalidate(names: Collection[str], at: Places = ()) -> None:
    """Forget names in every memo of this process, and in the stores they share.

    Call it after the backends were changed and before the caller is told so. ``at``: in
    these stores, in these places (see ``Store.place``).
    """
    voided = (EVERY, *names)
    there = {id(store): place for store, place in at}
    with ExitStack() as stack:
        # All of them, also when one is interrupted (Ctrl-C): that is raised at the end.
        # The last to be called comes first.
        stack.callback(snapshots.invalidate, names)
        for store in reversed(stores()):
            place = there.get(id(store))
            if place is None:
                stack.callback(store.invalidate, voided)
            else:
                stack.callback(store.invalidate_at, place, voided)


def invalidate_all() -> None:
    """Forget everything in every memo of this process, and in their stores."""
    with ExitStack() as stack:
        stack.callback(snapshots.clear)
        for store in reversed(stores()):
            stack.callback(store.clear)
