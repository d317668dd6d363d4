"""The memos of this process, for invalidations that must reach all of them.

Apps build instances of their own over the same files (``FileField(storage=...)``, sorl
by class path), and each has a memo of its own, or one that it shares.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from fallback_storage.cache import snapshots
from fallback_storage.cache.stores.base import EVERY
from fallback_storage.cache.stores.local import LocalStore, invalidate_all
from fallback_storage.utils.interrupts import surely
from fallback_storage.utils.living import Living

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Sequence

    from fallback_storage.cache.stores.base import Store

    Places = Sequence[tuple[Store, Hashable]]
    References = list[weakref.ref[Store]]
    Result = TypeVar("Result")


class HasStore(Protocol):
    """A memo: what is told of an invalidation is its store.

    ``depth()``: how many chains lie within its chain, one in the other.
    """

    store: Store

    def depth(self) -> int:
        """Return it."""


class _Registry:
    """Keeps no memo alive, and no store."""

    def __init__(self) -> None:
        self.memos: Living[HasStore] = Living()
        # Whether any chain is a backend of another.
        self.nested = False
        # Another object when a memo has come, or another order; and the stores then: those
        # that are told all at once, and the others. Of those that went since, nothing is
        # left.
        self.state = object()
        self.stores: tuple[object, References, References] = None, [], []


_registry = _Registry()


def add(memo: HasStore) -> None:
    """Let invalidations reach a memo, while it lives."""
    _registry.memos.add(memo)
    _registry.state = object()


def note_nesting() -> None:
    """Let it be known that some chain is a backend of another one."""
    _registry.nested = True
    _registry.state = object()


def stores() -> Sequence[Store]:
    """Return the stores of all memos, each once, those of inner chains first.

    Who fills the memo of an outer chain has asked the inner one: with a lease that was
    taken when the outer store had been told, after the inner one was.
    """
    at_once, others = _references()
    return [*_alive(at_once), *_alive(others)]


def _alive(references: References) -> list[Any]:
    return [store for each in references if (store := each()) is not None]


def _references() -> tuple[References, References]:
    """Return those that are told all at once, in any order, and the others."""
    state, (known, at_once, others) = _registry.state, _registry.stores
    if known is not state:
        memos, at_once, others = _registry.memos.all(), [], []
        if _registry.nested:
            memos.sort(key=lambda memo: memo.depth())
        for store in {id(memo.store): memo.store for memo in memos}.values():
            is_local = type(store) is LocalStore and not _registry.nested
            (at_once if is_local else others).append(weakref.ref(store))
        _registry.stores = state, at_once, others
    return at_once, others


def places() -> Places:
    """Return where a write of this moment would be announced, to do that later."""
    found = ((store, store.place()) for store in stores())
    return [(store, place) for store, place in found if place is not None]


def announced(
    act: Callable[[], Result],
    changed: Callable[[], Collection[str] | None],
    at: Places = (),
) -> Result:
    """Return what ``act`` returns; then, however it ended, forget what it has changed.

    All that changes a backend is done in here: what a failed write left behind is not
    known either. ``changed`` returns names, or None for everything. They are forgotten
    in every memo of this process, and in the stores that they share, before the caller
    is told; once more, if that was interrupted. ``at``: in these stores, in these places
    (see ``Store.place``).
    """
    return surely(act, lambda: _forget(changed(), at))


def invalidate(names: Collection[str] | None) -> None:
    """Forget names, or with None everything, that were changed by somebody else."""
    announced(lambda: None, lambda: names)


def _forget(names: Collection[str] | None, at: Places = ()) -> None:
    voided = None if names is None else (EVERY, *names)
    there = {id(store): place for store, place in at}
    at_once, others = _references()
    if voided is None:
        at_once, others = [], [*at_once, *others]
    elif at_once:
        invalidate_all(_alive(at_once), voided)
    for store in _alive(others):
        place = there.get(id(store))
        if place is not None:
            store.invalidate_at(place, voided)
        elif voided is None:
            store.clear()
        else:
            store.invalidate(voided)
    # After the stores: who begins a snapshot now has asked them afterwards.
    if names is None:
        snapshots.clear()
    else:
        snapshots.invalidate(names)
