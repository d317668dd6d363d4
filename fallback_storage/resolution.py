"""Name -> which backend holds it, through the memo and the chain.

Two ways of asking. ``locate`` asks ``exists`` of one backend after the other: for
``exists``, ``url`` and ``path``, whose own answer does not tell. ``fetch`` calls the
operation itself, which fails where the file is not: a cold read of a remote file
costs the read and nothing else.
"""

from __future__ import annotations

import enum
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fallback_storage.cache.entry import NOWHERE, from_, held, index_of, is_held
from fallback_storage.chain import NOTHING, Walk
from fallback_storage.counters import Counters
from fallback_storage.flights import Flight, Flights
from fallback_storage.names import memo_key
from fallback_storage.outcomes import Attempt, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fallback_storage.backends import Backend
    from fallback_storage.cache.memo import Memo
    from fallback_storage.cache.stores.base import Lease

# Seconds that a request waits for another one's walk before it walks itself.
PATIENCE = 5.0


class Source(enum.StrEnum):
    """How a resolution is known."""

    MEMO = "memo"
    PROBE = "probe"
    ASSUMED = "assumed"


@dataclass(frozen=True, slots=True)
class Resolution:
    """Which backend holds a name, and how that is known.

    ``index`` and ``backend``: the position and the name of the holder, or None.
    ``held``: True; False if every backend answered that it does not hold the name;
    None if that is not known, because a backend failed or was not asked.
    ``trail``: what each backend answered, or the memo in its stead.
    """

    name: str
    index: int | None
    backend: str | None
    held: bool | None
    source: Source
    trail: tuple[Attempt, ...] = ()


class Known:
    """What the memo says about one name: what a walk skips, and where it may end.

    ``live`` are the backends for which the memo never answers (``ALWAYS_PROBE``).
    """

    __slots__ = ("code", "holder", "live", "start")

    def __init__(self, code: int | None, length: int, live: frozenset[int]) -> None:
        self.code = code
        self.live = live
        self.holder: int | None = None
        if code is None:
            self.start = 0
        elif code == NOWHERE:
            self.start = length
        else:
            self.start = index_of(code)
            if is_held(code):
                self.holder = self.start

    def skips(self, index: int) -> bool:
        """Whether backend ``index`` is known not to hold the name."""
        return index < self.start and index not in self.live

    def suffices(self, stop: int) -> bool:
        """Whether a walk that ends before ``stop`` asks live backends at the most."""
        return self.holder is not None or self.start >= stop


class Resolver:
    """Resolves names for one chain. Thread-safe."""

    def __init__(self, backends: Sequence[Backend], memo: Memo) -> None:
        self._backends = tuple(backends)
        self._memo = memo
        self._flights = Flights()
        self._live = frozenset(
            index for index, backend in enumerate(backends) if backend.always_probe
        )
        self._counters = Counters("walks", "coalesced", "lost_holders")

    def stats(self) -> dict[str, int]:
        """Return the counters of this resolver."""
        return self._counters.snapshot()

    # Which backend holds a name?

    def locate(self, name: str, stop: int | None = None) -> tuple[Resolution, Walk]:
        """Find the first backend that holds ``name``, asking none from ``stop`` on.

        ``name`` is clean (``names.clean_name``). Concurrent callers share one walk.
        """
        if stop is None:
            stop = len(self._backends)
        key = memo_key(name)
        if key is None:
            return self._walk(name, stop, self._know(None))
        landings = self._flights.landings
        known, lease = self._look_up(key)
        deadline = time.monotonic() + PATIENCE
        while not known.suffices(stop):
            flight, leading = self._flights.board((key, stop))
            if leading:
                return self._lead(name, stop, known, lease, flight, landings)
            self._counters.add("coalesced")
            shared = flight.wait(max(0.0, deadline - time.monotonic()))
            landings = self._flights.landings
            known, lease = self._look_up(key)
            if not shared:
                resolution, walk, _ = self._walk_and_fill(name, stop, known, lease)
                return resolution, walk
        return self._walk(name, stop, known)

    def _lead(  # noqa: PLR0917
        self,
        name: str,
        stop: int,
        known: Known,
        lease: Lease,
        flight: Flight,
        landings: int,
    ) -> tuple[Resolution, Walk]:
        try:
            if landings != self._flights.landings:
                # A flight landed between the look-up and the boarding: maybe ours.
                known, lease = self._look_up(name)
            resolution, walk, flight.settled = self._walk_and_fill(
                name, stop, known, lease
            )
            return resolution, walk
        finally:
            self._flights.land((name, stop), flight)

    def _know(self, code: int | None) -> Known:
        return Known(code, len(self._backends), self._live)

    def _look_up(self, key: str) -> tuple[Known, Lease]:
        code, lease = self._memo.look_up(key)
        return self._know(code), lease

    def _walk(self, name: str, stop: int, known: Known) -> tuple[Resolution, Walk]:
        walk = Walk("exists", name)
        source = Source.MEMO
        for index, backend in enumerate(self._backends[:stop]):
            if known.skips(index):
                walk.recall(backend, Outcome.ABSENT)
            elif index == known.holder and index not in self._live:
                walk.recall(backend, Outcome.HELD)
            else:
                if source is Source.MEMO:
                    source = Source.PROBE
                    self._counters.add("walks")
                walk.probe(backend)
            if walk.last is Outcome.HELD:
                resolution = Resolution(
                    name, index, backend.name, True, source, tuple(walk.trail)
                )
                return resolution, walk
        asked_all = stop == len(self._backends) or known.code == NOWHERE
        held_by_none = False if walk.certain and asked_all else None
        return Resolution(
            name, None, None, held_by_none, source, tuple(walk.trail)
        ), walk

    # What does the holder answer?

    def fetch(self, operation: str, method: str, name: str, *args: Any) -> Any:
        """Return what ``method(name, *args)`` of the holder returns.

        Goes to the memoised holder, else asks the backends in order. Raises what
        ``Walk.error`` says if none succeeds.
        """
        key = memo_key(name)
        known, lease = self._know(None), None
        if key is not None:
            known, lease = self._look_up(key)
        walk = Walk(operation, name)
        answer = self._ask_in_order(walk, method, known, args)
        if answer is NOTHING and self._is_lost(known, walk):
            # The file went away behind our back: what was known is worth nothing.
            self._counters.add("lost_holders")
            self._memo.forget((name,))
            known, lease = self._look_up(name)
            walk = Walk(operation, name)
            answer = self._ask_in_order(walk, method, known, args)
        if key is not None:
            index = None if answer is NOTHING else len(walk.trail) - 1
            self._fill(walk, index, len(self._backends), known, lease)
        if answer is NOTHING:
            raise walk.error()
        return answer

    def _is_lost(self, known: Known, walk: Walk) -> bool:
        return (
            known.holder is not None
            and walk.trail[known.holder].outcome is Outcome.ABSENT
        )

    def _ask_in_order(
        self, walk: Walk, method: str, known: Known, args: tuple[Any, ...]
    ) -> Any:
        """Ask one backend after the other; ``walk.trail`` gets one line for each."""
        for index, backend in enumerate(self._backends):
            if known.skips(index):
                walk.recall(backend, Outcome.ABSENT)
                continue
            if backend.lazy_open:
                if walk.probe(backend) in {Outcome.ABSENT, Outcome.FAILED}:
                    continue
                walk.trail.pop()
            answer = walk.ask(backend, method, walk.name, *args)
            if answer is not NOTHING:
                return answer
            if index == known.holder and walk.last is Outcome.ABSENT:
                break
        return NOTHING

    # What is remembered?

    def _walk_and_fill(
        self, name: str, stop: int, known: Known, lease: Lease
    ) -> tuple[Resolution, Walk, bool]:
        resolution, walk = self._walk(name, stop, known)
        settled = self._fill(walk, resolution.index, stop, known, lease)
        return resolution, walk, settled

    def _fill(
        self, walk: Walk, index: int | None, stop: int, known: Known, lease: Lease
    ) -> bool:
        """Remember what a walk found; return whether waiters may look it up."""
        if not walk.certain:
            return False
        if index is None:
            code = NOWHERE if stop == len(self._backends) else from_(stop)
        elif index not in self._live:
            code = held(index)
        elif index > 0:
            code = from_(index)
        else:
            return False
        if code != known.code and not self._memo.fill(walk.name, lease, code):
            return False
        return self._know(code).suffices(stop)
