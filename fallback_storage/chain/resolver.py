"""Name -> which backend holds it, through the memo and the chain.

``locate`` asks ``exists`` of one backend after the other: for ``exists``, ``url`` and
``path``, whose own answer does not tell. (Where it does, nobody asks first: ``fetch``.)
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast

from fallback_storage import signals
from fallback_storage.cache.counters import Counters
from fallback_storage.cache.entry import HIDDEN
from fallback_storage.chain.names import memo_key
from fallback_storage.chain.outcomes import Outcome, Resolution, Source
from fallback_storage.chain.recall import Recall
from fallback_storage.chain.scout import Scout
from fallback_storage.chain.singleflight import Flight, Flights
from fallback_storage.chain.walk import Walk
from fallback_storage.chain.whiteouts import Veil

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fallback_storage.cache.entry import Known
    from fallback_storage.cache.memo import Memo
    from fallback_storage.cache.stores.base import Lease
    from fallback_storage.chain.backend import Backend
    from fallback_storage.chain.outcomes import Attempt
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
        *,
        strict: bool = False,
    ) -> None:
        self._whiteouts = whiteouts
        self._backends = tuple(backends)
        self.recall = Recall(backends, memo)
        self.flights = Flights()
        self._is_plain = not (whiteouts or any(each.always_probe for each in backends))
        self._counters = Counters("walks", "coalesced")
        self.count = self._counters.add
        self.scout = Scout(
            backends, memo, self._counters, is_plain=self._is_plain, strict=strict
        )
        self._remembered: dict[int, tuple[Any, ...]] = {}  # by code
        self._trails: dict[tuple[int, int], tuple[tuple[Attempt, ...], bool]] = {}

    def stats(self) -> dict[str, int]:
        """Return the counters of this resolver."""
        return {**self._counters.snapshot(), **self.recall.counters.snapshot()}

    # Which backend holds a name?

    def recalled(self, name: str) -> Resolution | None:
        """Return what ``resolve`` does, if that is known in process memory; else None."""
        code = None if signals.resolved.receivers else self.recall.peek(name)
        if code is not None:
            rest = self._remembered.get(code)
            if rest is None and self.recall.tells(code, len(self._backends)):
                rest = self.remembered(code)
            if rest is not None and self.recall.is_there(name, code):
                return Resolution(name, *rest)
        return self.recall.ask_on(code)

    def resolve(self, name: str) -> Resolution:
        """Return which backend holds a name, how that is known, and what was asked."""
        return self.describe(self.locate(name, operation="resolve", grace=True))

    def describe(self, walk: Walk, stop: int | None = None) -> Resolution:
        """Return what a walk over the backends before ``stop`` found."""
        complete = stop is None or stop == len(self._backends)
        # (Below a directory the next backend is the answer, if it is not asked.)
        index = walk.taken if complete and walk.holder is None else walk.holder
        source = Source.PROBE
        if not walk.certain and any(attempt.by_grace for attempt in walk.trail):
            source = Source.GRACE
        elif all(attempt.remembered for attempt in walk.trail):
            source = Source.MEMO
        absent = False if walk.certain and complete else None
        return Resolution(
            walk.name,
            index,
            None if index is None else self._backends[index].name,
            True if index is not None else absent,
            source,
            tuple(walk.trail),
            hidden=index is None and walk.hidden,
        )

    def remembered(self, code: int) -> tuple[Any, ...]:
        """Return what ``describe`` would, of a walk that a code left nobody to ask.

        All but the name. See ``Recall.tells``; if the code is about a local directory, that
        was looked at.
        """
        rest = self._remembered.get(code)
        if rest is None:
            code = int(code)  # without facts
            walk = self._walk("any", len(self._backends), self.recall.know(code))
            rest = self._remembered[code] = tuple(self.describe(walk)[1:])
        return rest

    def ask_all(self, name: str) -> Walk:
        """Ask all backends, whatever the memo says; ``Walk.holder`` is not the answer."""
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
        owner, found = self._backends[0].owner, self.describe(walk, stop)
        signals.send(signals.resolved, owner, operation=operation, resolution=found)

    def locate(
        self,
        name: str,
        stop: int | None = None,
        operation: str = "exists",
        *,
        names: bool = False,
        grace: bool = False,
    ) -> Walk:
        """Find the first backend that holds ``name``, asking none from ``stop`` on.

        ``name`` is clean (``names.clean_name``). ``Walk.holder`` of what is returned is
        the answer; with ``names`` that may have a directory. Concurrent callers share
        one walk. ``operation``: on whose behalf, for who listens. ``grace``: a holder
        that cannot be reached may be one that is remembered (``Recall.excuse``).
        """
        if stop is None:
            stop = len(self._backends)
        walk = cast("Walk", self._locate(name, stop, names))
        if grace and walk.failed:
            self.recall.excuse((walk,))
        if signals.resolved.receivers:
            self.tell(operation, walk, stop)
        return walk

    def find(
        self, name: str, stop: int, operation: str, *, names: bool, short: bool
    ) -> Walk | int:
        """Return the index of who holds a name, or ``stop``; a walk if there is more to it.

        Looks at local directories may be all that is needed. Then there is no trail, and
        nothing has failed. Else, or if not ``short``, it is as ``locate``, with ``grace``.
        """
        if not (short and self._is_plain) or signals.resolved.receivers:
            return self.locate(name, stop, operation, names=names, grace=True)
        found = self._locate(name, stop, names, looks=True)
        if not isinstance(found, int) and found.failed:
            self.recall.excuse((found,))
        return found

    def _locate(
        self, name: str, stop: int, names: bool, *, looks: bool = False
    ) -> Walk | int:
        """Return a walk, or with ``looks`` what these tell, if they tell enough.

        Who only looks waits for nobody, and nobody for him.
        """
        key, recall, landings, lease = memo_key(name), self.recall, 0, None
        known = recall.know(None) if key is None else recall.ahead(key)
        if known.code is not None and not recall.is_there(name, known.code):
            known = recall.know(None)
        if key is not None and (known.code is None or not known.suffices(stop)):
            landings = self.flights.landings
            known, lease = recall.look_up(key)
        found = self._look(name, stop, known, lease) if looks and key else None
        if found is not None:
            return found
        if key is None or known.suffices(stop):
            return self._walk(name, stop, known, names)
        return self._fly(name, stop, names, (known, lease, landings))

    def _look(self, name: str, stop: int, known: Known, lease: Lease) -> int | None:
        """Return who has a file, or ``stop``, as far as looks tell; None: not far enough."""
        if known.suffices(stop):
            return stop if known.holder is None else min(known.holder, stop)
        if known.code is None and self.scout.is_able:
            return None  # it has looked
        # (To be told of all, one asks for a directory again: ``Recall.skips``.)
        start = known.start if stop < len(self._backends) else 0
        found = self.scout.look(name, stop, start)
        if found is not None:
            self._counters.add("walks")
            self.recall.fill(name, found, stop, known, lease)
        return found

    def _fly(
        self, name: str, stop: int, names: bool, looked: tuple[Known, Lease, int]
    ) -> Walk:
        """Return a walk, one for all who want to know."""
        recall, deadline = self.recall, 0.0
        (known, lease, landings), shared = looked, recall.shares
        while shared and not known.suffices(stop):
            mine = Flight()
            with mine.under_way:
                flight = self.flights.board((name, stop), mine)
                if flight is mine:
                    try:
                        if landings != self.flights.landings:
                            # One landed between look-up and boarding: maybe ours.
                            known, lease = recall.look_up(name)
                        walk = self._walk(name, stop, known, names)
                        mine.settled = recall.fill(name, walk, stop, known, lease)
                        return walk
                    finally:
                        self.flights.land([(name, stop)], mine)
            self._counters.add("coalesced")
            deadline = deadline or time.monotonic() + PATIENCE
            shared = flight.wait(max(0.0, deadline - time.monotonic()))
            landings = self.flights.landings
            known, lease = recall.look_up(name)
            if not shared:
                # A leader that hangs must not cost every caller this patience.
                self.flights.land([(name, stop)], flight)
        walk = self._walk(name, stop, known, names)
        if not shared:
            recall.fill(name, walk, stop, known, lease)
        return walk

    def look_again(self, name: str) -> Outcome:
        """Return whether a file is there, for a chain whose memo says so: no request."""
        known = self.recall.ahead(name)
        if known.holder is None:
            known, _ = self.recall.unseen(name)
        if known.holder is not None:
            there = self.recall.is_there(name, known.code)
            return Outcome.HELD if there else Outcome.ABSENT
        # Where one of these is believed, nothing can be told.
        for backend in self._backends[known.start :]:
            look = backend.look_again
            if look is None or look(name) is Outcome.HELD:
                return Outcome.HELD
        return Outcome.ABSENT

    def _walk(self, name: str, stop: int, known: Known, names: bool = False) -> Walk:
        walk = Walk("exists", name, names=names)
        # Of all names of which this is known it is the same.
        code = known.code
        told = None if code is None else self._trails.get((code, stop))
        if told is not None:
            trail, walk.hidden = told
            walk.trail += trail
            return walk
        self._ask(walk, stop, known)
        if code is not None and self.recall.tells(code, stop):
            self._trails[int(code), stop] = tuple(walk.trail), walk.hidden
        return walk

    def _ask(self, walk: Walk, stop: int, known: Known) -> None:
        veil = Veil(self._whiteouts, walk)
        self._find_holder(walk, veil, stop, known)
        if walk.holder is None and stop < len(self._backends):
            # Who takes the next backend for the answer must know if that is hidden.
            if known.code == HIDDEN:
                self.recall_miss(walk, stop, known)
            elif not known.shows(stop) and veil.hides(stop):
                walk.note(self._backends[stop], Outcome.HIDDEN)

    def _find_holder(self, walk: Walk, veil: Veil, stop: int, known: Known) -> None:
        probed = False
        for index, backend in enumerate(self._backends[:stop]):
            if known.start and self.recall.skips(index, known, stop):
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
            elif walk.probe(backend) in walk.ends:
                break

    def recall_miss(self, walk: Walk, index: int, known: Known) -> None:
        """Add to the trail that a backend is known not to hold the name."""
        covered = self._whiteouts.covered if self._whiteouts else ()
        hidden = known.code == HIDDEN and index in covered
        walk.recall(self._backends[index], Outcome.HIDDEN if hidden else Outcome.ABSENT)
