"""Name -> which backend holds it, through the memo and the chain.

Two ways of asking. ``locate`` asks ``exists`` of one backend after the other: for
``exists``, ``url`` and ``path``, whose own answer does not tell. ``fetch`` calls the
operation itself, which fails where the file is not: a cold read of a remote file
costs the read and nothing else.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from fallback_storage import signals
from fallback_storage.cache.counters import Counters
from fallback_storage.cache.entry import HIDDEN, NOWHERE, Known, from_, held
from fallback_storage.chain.names import memo_key
from fallback_storage.chain.outcomes import Outcome, Resolution, Source
from fallback_storage.chain.singleflight import Flights
from fallback_storage.chain.walk import NOTHING, Walk
from fallback_storage.chain.whiteouts import Veil

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fallback_storage.cache.memo import Memo
    from fallback_storage.cache.stores.base import Lease
    from fallback_storage.chain.backend import Backend
    from fallback_storage.chain.whiteouts import Whiteouts

# Seconds that a request waits for another one's walk before it walks itself.
PATIENCE = 5.0


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
        self.flights = Flights()
        self._live = frozenset(
            index for index, backend in enumerate(backends) if backend.always_probe
        )
        # Whether who waits for a walk can find in the memo what it found.
        self.shares = memo.remembers and not self._live
        self._known: dict[int | None, Known] = {}
        self._counters = Counters("walks", "coalesced", "lost_holders")

    def stats(self) -> dict[str, int]:
        """Return the counters of this resolver."""
        return self._counters.snapshot()

    def count(self, counter: str, by: int = 1) -> None:
        """Add to a counter."""
        self._counters.add(counter, by)

    # Which backend holds a name?

    def resolve(self, name: str) -> Resolution:
        """Return which backend holds a name, how that is known, and what was asked."""
        return self.describe(self.locate(name, operation="resolve"))

    def describe(self, walk: Walk, stop: int | None = None) -> Resolution:
        """Return what a walk over the backends before ``stop`` found."""
        index = walk.holder
        complete = stop is None or stop == len(self._backends)
        remembered = all(attempt.remembered for attempt in walk.trail)
        absent = False if walk.certain and complete else None
        return Resolution(
            walk.name,
            index,
            None if index is None else self._backends[index].name,
            True if index is not None else absent,
            Source.MEMO if remembered else Source.PROBE,
            tuple(walk.trail),
            hidden=index is None and walk.hidden,
        )

    def ask_all(self, name: str) -> Walk:
        """Ask every backend whether it holds the name, whatever the memo says.

        Also those below the first that does; ``Walk.holder`` is not the answer.
        """
        walk = Walk("exists", name)
        veil = Veil(self._whiteouts, walk)
        for index, backend in enumerate(self._backends):
            if veil.hides(index):
                walk.note(backend, Outcome.HIDDEN)
            else:
                walk.probe(backend)
        return walk

    def tell(self, operation: str, walk: Walk, stop: int | None = None) -> None:
        """Tell who listens what a walk found."""
        resolution = self.describe(walk, stop)
        owner = self._backends[0].owner
        signals.send(
            signals.resolved, owner, operation=operation, resolution=resolution
        )

    def locate(
        self, name: str, stop: int | None = None, operation: str = "exists"
    ) -> Walk:
        """Find the first backend that holds ``name``, asking none from ``stop`` on.

        ``name`` is clean (``names.clean_name``). ``Walk.holder`` of what is returned is
        the answer. Concurrent callers share one walk. ``operation``: on whose behalf,
        for who listens.
        """
        if stop is None:
            stop = len(self._backends)
        walk = self._locate(name, stop)
        if signals.resolved.receivers:
            self.tell(operation, walk, stop)
        return walk

    def _locate(self, name: str, stop: int) -> Walk:
        key = memo_key(name)
        known = self._look_ahead(key)
        if key is None or known.suffices(stop):
            return self._walk(name, stop, known)
        landings = self.flights.landings
        known, lease = self._look_up(key)
        deadline = 0.0
        if not self.shares and not known.suffices(stop):
            walk = self._walk(name, stop, known)
            self._fill(walk, walk.holder, stop, known, lease)
            return walk
        while not known.suffices(stop):
            flight, leading = self.flights.board((key, stop))
            if leading:
                try:
                    if landings != self.flights.landings:
                        # One landed between look-up and boarding: maybe ours.
                        known, lease = self._look_up(key)
                    walk = self._walk(name, stop, known)
                    flight.settled = self._fill(walk, walk.holder, stop, known, lease)
                    return walk
                finally:
                    self.flights.land((key, stop), flight)
            self._counters.add("coalesced")
            now = time.monotonic()
            deadline = deadline or now + PATIENCE
            shared = flight.wait(max(0.0, deadline - now))
            landings = self.flights.landings
            known, lease = self._look_up(key)
            if not shared:
                # A leader that hangs must not cost every caller this patience.
                self.flights.give_up((key, stop), flight)
                walk = self._walk(name, stop, known)
                self._fill(walk, walk.holder, stop, known, lease)
                return walk
        return self._walk(name, stop, known)

    def know(self, code: int | None) -> Known:
        """Return what a code says; None is nothing."""
        # There are as many as backends, twice.
        known = self._known.get(code)
        if known is None:
            known = self._known[code] = Known(code, len(self._backends), self._live)
        return known

    def _look_ahead(self, key: str | None) -> Known:
        # Perhaps a shared store need not be asked: a page was prefetched.
        shared = key is not None and self._memo.is_shared
        return self.know(self._memo.peek(key) if shared else None)  # type: ignore[arg-type]

    def _look_up(self, key: str) -> tuple[Known, Lease]:
        code, lease = self._memo.look_up(key)
        return self.know(code), lease

    def _walk(self, name: str, stop: int, known: Known) -> Walk:
        walk = Walk("exists", name)
        veil = Veil(self._whiteouts, walk)
        self._find_holder(walk, veil, stop, known)
        if walk.holder is None and stop < len(self._backends):
            # Who takes the next backend for the answer must know if that is hidden.
            if known.code == HIDDEN:
                self.recall_miss(walk, stop, known)
            elif not known.shows(stop) and veil.hides(stop):
                walk.note(self._backends[stop], Outcome.HIDDEN)
        return walk

    def _find_holder(self, walk: Walk, veil: Veil, stop: int, known: Known) -> None:
        probed = False
        for index, backend in enumerate(self._backends[:stop]):
            if known.skips(index):
                self.recall_miss(walk, index, known)
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

    def recall_miss(self, walk: Walk, index: int, known: Known) -> None:
        """Add to the trail that a backend is known not to hold the name."""
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
        known, lease = self._look_ahead(key), None
        if key is not None and known.holder is None:
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
        if signals.resolved.receivers:
            self.tell(operation, walk)
        if answer is NOTHING or index is None:
            raise walk.error()
        return answer, index

    def _ask_in_order(
        self, walk: Walk, method: str, known: Known, args: tuple[Any, ...]
    ) -> tuple[Any, int | None, bool]:
        """Return an answer, who holds the file, and whether the known holder had lost it.

        No answer, and a holder: that one lacks the method.
        """
        veil = Veil(self._whiteouts, walk)
        lacking: list[int] = []
        for index, backend in enumerate(self._backends):
            if known.skips(index):
                self.recall_miss(walk, index, known)
                continue
            if index != known.holder and veil.hides(index):
                walk.note(backend, Outcome.HIDDEN)
                continue
            certain = walk.certain
            answer = self._ask_holder(walk, backend, method, args)
            if walk.last is Outcome.UNSUPPORTED and method != "_open":
                walk.certain = certain
                lacking.append(index)
            is_told = index == known.holder and walk.last is not Outcome.FAILED
            if answer is not NOTHING or is_told:
                return self._weigh(walk, answer, index, lacking)
        return self._weigh(walk, NOTHING, None, lacking)

    def _weigh(
        self, walk: Walk, answer: Any, index: int | None, lacking: Sequence[int]
    ) -> tuple[Any, int | None, bool]:
        """Return what an answer is worth while ``lacking`` backends lack the method."""
        if walk.unsupported and len(walk.trail) == len(self._backends):
            # Where nobody has the method, nobody need be asked for the file.
            walk.certain = False
            return NOTHING, None, False
        holder = self._holder_among(walk, lacking)
        if holder is not None:
            return NOTHING, holder, False
        if answer is NOTHING:
            return NOTHING, None, index is not None
        walk.log_failures(f"the answer is that of {walk.trail[-1].backend!r}")
        return answer, index, False

    def _holder_among(self, walk: Walk, lacking: Sequence[int]) -> int | None:
        """Return which of the backends that lack the method holds the file, if one does.

        Then the others' answers are none: not of a copy, nor that they have no such file.
        """
        for index in lacking:
            asking = Walk("exists", walk.name)
            outcome = asking.probe(self._backends[index])
            walk.correct(index, asking.trail[-1])
            if outcome is Outcome.HELD:
                return index
        return None

    def _ask_holder(
        self, walk: Walk, backend: Backend, method: str, args: tuple[Any, ...]
    ) -> Any:
        profile = backend.profile
        if (
            method == "_open" and profile.lazy_open
        ) or method in profile.answers_always:
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
        code = self.code_for(walk, index, stop, known)
        if code is None:
            return False
        if code != known.code and not self._memo.fill(walk.name, lease, code):
            return False
        return self.know(code).suffices(stop)

    def code_for(
        self, walk: Walk, index: int | None, stop: int, known: Known
    ) -> int | None:
        """Return what may be remembered of a walk; None: nothing."""
        if not walk.certain:
            return None
        if index is None and walk.hidden:
            return HIDDEN if len(walk.trail) == len(self._backends) else None
        if index is None:
            return NOWHERE if stop == len(self._backends) else from_(stop)
        if index not in self._live:
            return held(index)
        return from_(index) if index > 0 and known.code is None else None
