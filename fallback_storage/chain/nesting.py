"""Chains within chains, of which none may lead back to itself."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

from fallback_storage.exceptions import ConfigurationError, Mistake

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fallback_storage.chain.wrapped import Wrapped

# More is a chain without end: one whose entry makes it anew.
MAX_DEPTH = 20

# What this thread is building: entries and the chains they are of, the outermost first.
building: ContextVar[tuple[tuple[Wrapped, object], ...]] = ContextVar(
    "fallback_storage_building", default=()
)


def refuse_cycle(entry: Wrapped, outer: Sequence[tuple[Wrapped, object]]) -> object:
    """Raise ``ConfigurationError`` if this entry is being built already, in ``outer``.

    By its place and its chain, not by identity: a chain that is asked for while it
    is being built makes its entries anew. Returns the chain.
    """
    owner = entry.owner() if entry.owner else None
    owner = entry if owner is None else owner
    names = [backend.name for backend, _ in outer]
    for position, (backend, chain) in enumerate(outer):
        if chain is owner and backend.where == entry.where:
            trail = " -> ".join([*names[position:], entry.name])
            raise _cycle(entry.where, f"leads back to itself: {trail}.")
    if len(outer) > MAX_DEPTH:
        first, _ = outer[0]
        raise _cycle(first.where, f"never ends: {' -> '.join(names[:3])} -> ...")
    return owner


def _cycle(where: str, found: str) -> ConfigurationError:
    return ConfigurationError(
        Mistake.CYCLE, where, found, "A chain must end in storages of another kind."
    )
