"""The contract of a store: where a memo keeps its entries.

A store is dumb: lifetimes, negative entries and counters are the memo's business.
What it must guarantee is one thing, on which all else rests:

    **No late fill.** A ``fill`` whose lease was taken before an ``invalidate`` of the
    same name (or a ``clear``) has no effect once that call has returned, whatever
    happened in between: expiry, eviction, other fills.

It holds for ``EVERY`` as for any name, and a ``clear`` voids that one first.

So a reader takes the lease first, asks the backends second and fills third; a writer
writes first and invalidates second. Then an answer computed from the backends' old
state can never be read after the writer's call returned.

To add a store: subclass ``Store``, implement the four abstract methods, run
``tests/cache/stores/test_contract.py`` over it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Mapping

# The memo's name for "any name at all": no file can have it. Whoever invalidates a name
# invalidates this one before it, so a lease on it tells whether anything was written
# since. Who fills names that it did not know beforehand needs that (``jobs.warm``).
EVERY = "/"

# Opaque to everyone but the store that gave it. None: there is none to be had, and a
# fill is in vain.
Lease = Any

# Under this name ``published`` tells when the counting began.
SINCE = "since"


class Store(ABC):
    """Keeps codes (``fallback_storage.cache.entry``) by canonical file name.

    With their facts (``entry.Noted``), or without: never with those of another fill.
    """

    # Whether ``peek`` ever answers: the store, or its nearest tier, is in process.
    has_peek: bool = False

    # Whether the store belongs to one instance, in one process.
    in_process: bool = False

    # Seconds for which "held by" is kept when its lifetime is over, for ``look_up_held``.
    grace: float = 0.0

    # Whether it is left alone just now: it knows nothing, and is told nothing.
    rests: bool = False

    @abstractmethod
    def look_up(self, names: Collection[str]) -> Mapping[str, tuple[int | None, Lease]]:
        """Return for every name its code, or None, and a lease to fill it with."""

    @abstractmethod
    def fill(self, name: str, lease: Lease, code: int, ttl: float) -> bool:
        """Keep ``code`` for ``ttl`` seconds, unless the lease is void.

        With the lease of a hit, no longer than that entry would have been kept. Returns
        whether it was kept.
        """

    @abstractmethod
    def invalidate(self, names: Collection[str]) -> None:
        """Forget the names and void their leases, also of names that have no entry.

        ``EVERY``, where it is among them, no later than the others.
        """

    @abstractmethod
    def clear(self) -> None:
        """Forget every name of this chain and void every lease."""

    def place(self) -> Hashable:
        """Return where this caller's entries are: what tells tenants apart, if anything.

        None: nothing does.
        """
        return None

    def invalidate_at(self, place: Hashable, names: Collection[str] | None) -> None:
        """Invalidate names, or with None everything, for those who are at ``place``.

        What could not be told when it was due is told later, by anybody.
        """
        if names is None:
            self.clear()
        else:
            self.invalidate(names)

    def clear_below(self, place: Hashable, beginning: str) -> None:
        """Forget the names that begin so, as ``invalidate_at`` forgets everything.

        And others, where a store cannot tell them apart.
        """
        self.invalidate_at(place, None)

    def look_up_one(self, name: str) -> tuple[int | None, Lease]:
        """Look up a single name."""
        return self.look_up((name,))[name]

    def fill_many(self, fills: Mapping[str, tuple[Lease, int, float]]) -> int:
        """Fill many names (name -> lease, code, ttl); return how many were kept."""
        return sum(
            self.fill(name, lease, code, ttl)
            for name, (lease, code, ttl) in fills.items()
        )

    def look_up_held(self, names: Collection[str]) -> Mapping[str, int]:
        """Return of each name the code that said last who holds it, where one is kept.

        Also if its lifetime is over, by no more than ``grace``, and if less was said
        since (``entry.may_follow``). Never one that was invalidated, or that a fill with
        another code has replaced. A store may know none.
        """
        return {}

    def peek(self, name: str) -> int | None:
        """Return the code of a name if that is known in process, without a lease."""
        return None

    def seconds_left(self, name: str) -> float | None:
        """Return for how long a name's code will be there; None: there is none.

        Or the store cannot tell. May cost a round trip; for commands.
        """
        return None

    def ping(self) -> None:
        """Ask the store anything, past what guards it; nothing is written.

        Raises whatever it raises.
        """
        self.seconds_left("ping")

    def publish(self, deltas: Mapping[str, int]) -> bool:
        """Add to counters that all processes share, if this store keeps any.

        Of no memo's concern: neither ``invalidate`` nor ``clear`` touches them.
        Returns false if it is certain that nothing was added, so to be tried again.
        """
        return True

    def published(self, names: Collection[str]) -> Mapping[str, int] | None:
        """Return what was published under these names, by all processes.

        And under ``SINCE``, if that is known, when the first did (seconds since 1970).
        None: this store keeps no counters.
        """
        return None

    def bypass(self) -> None:  # noqa: B027 - most stores are never left alone
        """Note that a question was spared the store, while it ``rests``."""

    def close(self) -> None:  # noqa: B027 - most stores hold nothing open
        """Let go of connections and threads. The store is not used afterwards."""

    def stats(self) -> dict[str, int]:
        """Return counters of this store, for ``FallbackStorage.stats()``."""
        return {}


class PlacedStore(Store):
    """A store whose invalidations are all for a place; None is the caller's own."""

    def invalidate(self, names: Collection[str]) -> None:
        self.invalidate_at(None, names)

    def clear(self) -> None:
        self.invalidate_at(None, None)

    @abstractmethod
    def invalidate_at(self, place: Any, names: Collection[str] | None) -> None:
        """See ``Store.invalidate_at``."""
