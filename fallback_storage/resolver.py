"""Name -> which backend holds it, through the memo and the chain.

Two ways of asking. ``locate`` asks ``exists`` of one backend after the other: for
``exists``, ``url`` and ``path``, whose own answer does not tell. ``fetch`` calls the
operation itself, which fails where the file is not: a cold read of a remote file
costs the read and nothing else.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from fallback_storage.cache.entry import (
    HIDDEN,
    NOWHERE,
    from_,
    held,
    index_of,
    is_held,
)
from fallback_storage.chain import NOTHING, Walk
from fallback_storage.counters import Counters
from fallback_storage.flights import Flights
from fallback_storage.names import memo_key
from fallback_storage.outcomes import Outcome
from fallback_storage.resolution import Resolution, Source
from fallback_storage.whiteouts import Veil

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fallback_storage.backends import Backend
    from fallback_storage.cache.memo import Memo
    from fallback_storage.cache.stores.base import Lease
    from fallback_storage.whiteouts import Whiteouts

# Seconds that a request waits for another one's walk before it walks itself.
PATIENCE = 5.0


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
        elif code in {NOWHERE, HIDDEN}:
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

    def __init__(
        self,
        backends: Sequence[Backend],
        memo: Memo,
        whiteouts: Whiteouts | None = None,
    ) -> None:
        self._whiteouts = whiteouts
        self._backends = tuple(backends)
        self._memo = memo
        self._flights = Flights()
        self._live = frozenset(
            index for index, backend in enumerate(backends) if backend.always_probe
        )
        # Whether who waits for a walk can find in the memo what it found.
        self._shares = memo.remembers and not self._live
        self._known: dict[int | None, Known] = {}
        self._counters = Counters("walks", "coalesced", "lost_holders")

    def stats(self) -> dict[str, int]:
        """Return the counters of this resolver."""
        return self._counters.snapshot()

    # Which backend holds a name?

    def resolve(self, name: str) -> Resolution:
        """Return which backend holds a name, how that is known, and what was asked."""
        walk = self.locate(name)
        index = walk.holder
        remembered = all(attempt.remembered for attempt in walk.trail)
        held = True if index is not None else False if walk.certain else None
        return Resolution(
            name,
            index,
            None if index is None else self._backends[index].name,
            held,
            Source.MEMO if remembered else Source.PROBE,
            tuple(walk.trail),
            hidden=index is None and walk.hidden,
        )

    def locate(self, name: str, stop: int | None = None) -> Walk:
        """Find the first backend that holds ``name``, asking none from ``stop`` on.

        ``name`` is clean (``names.clean_name``). ``Walk.holder`` of what is returned is
        the answer. Concurrent callers share one walk.
        """
        if stop is None:
            stop = len(self._backends)
        key = memo_key(name)
        if key is None:
            return self._walk(name, stop, self._know(None))
        landings = self._flights.landings
        known, lease = self._look_up(key)
        deadline = 0.0
        if not self._shares and not known.suffices(stop):
            walk = self._walk(name, stop, known)
            self._fill(walk, walk.holder, stop, known, lease)
            return walk
        while not known.suffices(stop):
            flight, leading = self._flights.board((key, stop))
            if leading:
                try:
                    if landings != self._flights.landings:
                        # One landed between look-up and boarding: maybe ours.
                        known, lease = self._look_up(key)
                    walk = self._walk(name, stop, known)
                    flight.settled = self._fill(walk, walk.holder, stop, known, lease)
                    return walk
                finally:
                    self._flights.land((key, stop), flight)
            self._counters.add("coalesced")
            now = time.monotonic()
            deadline = deadline or now + PATIENCE
            shared = flight.wait(max(0.0, deadline - now))
            landings = self._flights.landings
            known, lease = self._look_up(key)
            if not shared:
                # A leader that hangs must not cost every caller this patience.
                self._flights.give_up((key, stop), flight)
                walk = self._walk(name, stop, known)
                self._fill(walk, walk.holder, stop, known, lease)
                return walk
        return self._walk(name, stop, known)

    def _know(self, code: int | None) -> Known:
        # There are as many as backends, twice.
        known = self._known.get(code)
        if known is None:
            known = self._known[code] = Known(code, len(self._backends), self._live)
        return known

    def _look_up(self, key: str) -> tuple[Known, Lease]:
        code, lease = self._memo.look_up(key)
        return self._know(code), lease

    def _walk(self, name: str, stop: int, known: Known) -> Walk:
        walk = Walk("exists", name)
        veil = Veil(self._whiteouts, walk)
        self._find_holder(walk, veil, stop, known)
        if walk.holder is None and stop < len(self._backends):
            # Who takes the next backend for the answer must know if that is hidden.
            if known.code == HIDDEN:
                self._recall_miss(walk, stop, known)
            elif veil.hides(stop):
                walk.note(self._backends[stop], Outcome.HIDDEN)
        return walk

    def _find_holder(self, walk: Walk, veil: Veil, stop: int, known: Known) -> None:
        probed = False
        for index, backend in enumerate(self._backends[:stop]):
            if known.skips(index):
                self._recall_miss(walk, index, known)
                continue
            if index == known.holder:
                walk.recall(backend, Outcome.HELD)
                break
            if not probed:
                probed = True
                self._counters.add("walks")
            if veil.hides(index):
                walk.note(backend, Outcome.HIDDEN)
            elif walk.probe(backend) is Outcome.HELD:
                break

    def _recall_miss(self, walk: Walk, index: int, known: Known) -> None:
        covered = self._whiteouts.covered if self._whiteouts else ()
        hidden = known.code == HIDDEN and index in covered
        walk.recall(self._backends[index], Outcome.HIDDEN if hidden else Outcome.ABSENT)

    # What does the holder answer?

    def fetch(
        self, operation: str, method: str, name: str, *args: Any
    ) -> tuple[Any, int]:
        """Return what ``method(name, *args)`` of the holder returns, and its index.

        Goes to the memoised holder, else asks the backends in order. Raises what
        ``Walk.error`` says if none succeeds.
        """
        key = memo_key(name)
        known, lease = self._know(None), None
        if key is not None:
            known, lease = self._look_up(key)
        walk = Walk(operation, name)
        answer, index, lost = self._ask_in_order(walk, method, known, args)
        if lost:
            # The file went away behind our back: what was known is worth nothing.
            self._counters.add("lost_holders")
            self._memo.forget((name,))
            known, lease = self._look_up(name)
            walk = Walk(operation, name)
            answer, index, _ = self._ask_in_order(walk, method, known, args)
        if key is not None:
            self._fill(walk, index, len(self._backends), known, lease)
        if index is None:
            raise walk.error()
        return answer, index

    def _ask_in_order(
        self, walk: Walk, method: str, known: Known, args: tuple[Any, ...]
    ) -> tuple[Any, int | None, bool]:
        """Return an answer, who gave it, and whether the known holder had lost it."""
        veil = Veil(self._whiteouts, walk)
        for index, backend in enumerate(self._backends):
            if known.skips(index):
                self._recall_miss(walk, index, known)
                continue
            if index != known.holder and veil.hides(index):
                walk.note(backend, Outcome.HIDDEN)
                continue
            answer = self._ask_holder(walk, backend, method, args)
            if answer is not NOTHING:
                walk.log_failures(f"the answer is that of {backend.name!r}")
                return answer, index, False
            if index == known.holder and walk.last is Outcome.ABSENT:
                return NOTHING, None, True
        return NOTHING, None, False

    def _ask_holder(
        self, walk: Walk, backend: Backend, method: str, args: tuple[Any, ...]
    ) -> Any:
        if backend.lazy_open:
            # It would succeed for a file that is not there.
            if walk.probe(backend) in {Outcome.ABSENT, Outcome.FAILED}:
                return NOTHING
            walk.trail.pop()
        return walk.ask(backend, method, walk.name, *args)

    # What is remembered?

    def _fill(
        self, walk: Walk, index: int | None, stop: int, known: Known, lease: Lease
    ) -> bool:
        """Remember what a walk found; return whether waiters may look it up."""
        if not walk.certain:
            return False
        if index is None and walk.hidden:
            if len(walk.trail) < len(self._backends):
                return False
            code = HIDDEN
        elif index is None:
            code = NOWHERE if stop == len(self._backends) else from_(stop)
        elif index not in self._live:
            code = held(index)
        elif index > 0 and known.code is None:
            code = from_(index)
        else:
            return False
        if code != known.code and not self._memo.fill(walk.name, lease, code):
            return False
        return self._know(code).suffices(stop)
