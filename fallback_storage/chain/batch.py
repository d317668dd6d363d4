"""Many names at once -> which backends hold them.

The answers, what is remembered, and what is not, are those of ``Resolver`` for one name
after the other. The memo's store is asked once for all names, and each backend once for
all that are left when its turn comes (``probing``).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from fallback_storage import signals
from fallback_storage.cache.entry import HIDDEN
from fallback_storage.chain.exists_many import probe_walks
from fallback_storage.chain.names import memo_key, memo_keys
from fallback_storage.chain.outcomes import Outcome, Resolution
from fallback_storage.chain.resolver import PATIENCE
from fallback_storage.chain.singleflight import Flight
from fallback_storage.chain.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fallback_storage.cache.entry import Known
    from fallback_storage.cache.memo import Memo
    from fallback_storage.cache.stores.base import Lease
    from fallback_storage.chain.backend import Backend
    from fallback_storage.chain.recall import Looked
    from fallback_storage.chain.resolver import Resolver
    from fallback_storage.chain.whiteouts import Whiteouts


class BatchResolver:
    """Resolves many names for one chain. Thread-safe."""

    def __init__(
        self,
        backends: Sequence[Backend],
        memo: Memo,
        resolver: Resolver,
        whiteouts: Whiteouts | None = None,
    ) -> None:
        self._backends = tuple(backends)
        self._memo = memo
        self._resolver = resolver
        self._recall = resolver.recall
        self._whiteouts = whiteouts

    def resolve_many(self, names: Iterable[str]) -> dict[str, Resolution]:
        """Return the resolution of each name; see ``Resolver.resolve``."""
        known, walks = self._locate(names, len(self._backends), "resolve_many")
        rest = {code: self._resolver.remembered(code) for code in set(known.values())}
        found = {name: Resolution(name, *rest[code]) for name, code in known.items()}
        for name, walk in walks.items():
            found[name] = self._resolver.describe(walk)
        return found

    def prefetch(self, names: Iterable[str], *, complete: bool) -> None:
        """Learn what the calls of this request need; see ``FallbackStorage.prefetch``."""
        # Of directories nothing is remembered.
        wanted = memo_keys(names)
        if self._memo.remembers or self._memo.is_shared:
            stop = len(self._backends) if complete else len(self._backends) - 1
            self._memo.begin_snapshot()
            if not signals.resolved.receivers:  # who is told of walks
                wanted = list(self._resolver.scout.find_many(wanted, stop))
            self._locate(wanted, stop, "prefetch")

    def _locate(
        self, names: Iterable[str], stop: int, operation: str
    ) -> tuple[dict[str, int], dict[str, Walk]]:
        """Return the codes of names of which they tell all, and walks for the others."""
        landings = self._resolver.flights.landings
        unique = dict.fromkeys(names, (None, None))
        keys = memo_keys(unique)
        looked = self._recall.look_up_many(keys)
        known = self._known(looked, stop)
        if len(known) == len(unique):
            return known, {}
        looked = {
            name: looked.get(name, unknown)
            for name, unknown in unique.items()
            if name not in known
        }
        walks = self._locate_all(looked, stop, landings)
        self._recall.excuse(walks.values(), batch=True)
        if signals.resolved.receivers:
            for walk in walks.values():
                self._resolver.tell(operation, walk, stop)
        return known, walks

    def _known(self, looked: Looked, stop: int) -> dict[str, int]:
        """Return the codes that leave nothing to ask; for these there is no walk."""
        if signals.resolved.receivers:
            return {}  # who listens is told of walks
        codes = {code for code, _ in looked.values()}
        enough = {code for code in codes if self._recall.tells(code, stop)}
        known = {
            name: code
            for name, (code, _) in looked.items()
            if code is not None and code in enough
        }
        self._memo.keep(known)
        return known

    def _locate_all(self, looked: Looked, stop: int, landings: int) -> dict[str, Walk]:
        """``landings``: see ``Flights``, before the memo was asked."""
        resolver, know = self._resolver, self._recall.know
        keys = memo_keys(looked)
        walks: dict[str, Walk] = {}
        deadline = time.monotonic() + PATIENCE
        while True:
            cold = [name for name in keys if not know(looked[name][0]).suffices(stop)]
            if not (cold and self._recall.shares):
                return walks | self._walk_and_fill(looked, stop)[0]
            flight = Flight()
            theirs: dict[str, Flight] = {}
            # Landed before others are waited for: two may lead what the other wants.
            with flight.under_way:
                try:
                    mine = self._board(cold, stop, flight, theirs)
                    if mine and landings != resolver.flights.landings:
                        # Some landed between look-up and boarding: maybe ours.
                        looked |= self._recall.look_up_many(mine)
                    if theirs:
                        looked = {
                            name: looked[name] for name in looked if name not in theirs
                        }
                    found, settled = self._walk_and_fill(looked, stop)
                    # Who waits for a name that is settled finds it either way.
                    flight.settled = settled.issuperset(mine)
                finally:
                    resolver.flights.land([(name, stop) for name in cold], flight)
            walks |= found
            if not theirs:
                return walks
            # Of these somebody else may have to be waited for: a fill can be too late.
            keys = self._await(theirs, stop, deadline)
            landings = resolver.flights.landings
            looked = self._recall.look_up_many(list(theirs))

    # One walk per cold name

    def _board(
        self, names: Iterable[str], stop: int, own: Flight, theirs: dict[str, Flight]
    ) -> list[str]:
        """Return the names that this flight is for; note the flights of the others."""
        board = self._resolver.flights.board
        flights = {name: board((name, stop), own) for name in names}
        theirs.update(item for item in flights.items() if item[1] is not own)
        return [name for name in flights if name not in theirs]

    def _await(
        self, theirs: Mapping[str, Flight], stop: int, deadline: float
    ) -> list[str]:
        """Wait for others; return the names that they have left something of."""
        shared = []
        for name, flight in theirs.items():
            self._resolver.count("coalesced")
            if flight.wait(max(0.0, deadline - time.monotonic())):
                shared.append(name)
            else:
                self._resolver.flights.land([(name, stop)], flight)
        return shared

    # Walking

    def _walk_and_fill(
        self, looked: Looked, stop: int
    ) -> tuple[dict[str, Walk], set[str]]:
        """Return the walks, and the names that others can now find in the memo."""
        known = {name: self._recall.know(code) for name, (code, _) in looked.items()}
        walks = self.walk(known, stop)
        codes: dict[str, int] = {}
        fills: dict[str, tuple[Lease, int]] = {}
        settled: set[str] = set()
        for name, walk in walks.items():
            what, lease = known[name], looked[name][1]
            if lease is None and memo_key(name) is None:
                continue
            code = what.code
            if what.suffices(stop):
                # It may say more than this walk, which ended before it.
                settled.add(name)
            else:
                found = self._recall.code_for(walk, walk.holder, stop, what)
                if found is not None and found != code:
                    code = found
                    fills[name] = lease, found
            if code is not None:
                codes[name] = code
        if fills:
            settled |= self._recall.settled(fills, stop)
        self._memo.keep(codes)
        return walks, settled

    def walk(self, known: Mapping[str, Known], stop: int) -> dict[str, Walk]:
        """Ask the backends before ``stop`` for names of which this much is known."""
        walks = {name: Walk("exists", name) for name in known}
        veils = _Veils(self._whiteouts)
        asked: set[str] = set()
        left = list(walks.values())
        for index, backend in enumerate(self._backends[:stop]):
            asking = self._remember(left, index, stop, known)
            asked.update(walk.name for walk in asking)
            hidden = veils.hidden(index, asking)
            if hidden:
                for walk in asking:
                    if walk.name in hidden:
                        walk.note(backend, Outcome.HIDDEN)
                asking = [walk for walk in asking if walk.name not in hidden]
            probe_walks(backend, asking)
            left = [walk for walk in left if walk.last not in walk.ends]
        if asked:
            self._resolver.count("walks", len(asked))
        if stop < len(self._backends) and self._whiteouts is not None:
            self._note_hidden(left, known, veils, stop)
        return walks

    def _remember(
        self, walks: Sequence[Walk], index: int, stop: int, known: Mapping[str, Known]
    ) -> list[Walk]:
        """Answer from memory where that is possible; return the others."""
        asking = []
        for walk in walks:
            what = known[walk.name]
            if what.code is None:
                asking.append(walk)
            elif self._recall.skips(index, what, stop):
                self._resolver.recall_miss(walk, index, what)
            elif index == what.holder:
                walk.recall(self._backends[index], Outcome.HELD)
            else:
                asking.append(walk)
        return asking

    def _note_hidden(
        self, left: list[Walk], known: Mapping[str, Known], veils: _Veils, stop: int
    ) -> None:
        """Tell of whom the next backend, which is not asked, is not the answer."""
        unsure = []
        for walk in left:
            what = known[walk.name]
            if what.code == HIDDEN:
                self._resolver.recall_miss(walk, stop, what)
            elif not what.shows(stop):
                unsure.append(walk)
        hidden = veils.hidden(stop, unsure)
        for walk in unsure:
            if walk.name in hidden:
                walk.note(self._backends[stop], Outcome.HIDDEN)


class _Veils:
    """The whiteouts of many names, looked up when the first covered backend is reached."""

    def __init__(self, whiteouts: Whiteouts | None) -> None:
        self._whiteouts = whiteouts
        self._known: dict[str, bool] = {}

    def hidden(self, index: int, walks: Sequence[Walk]) -> set[str]:
        """Return the names for which backend ``index`` must not be asked."""
        if self._whiteouts is None or index not in self._whiteouts.covered:
            return set()
        fresh = [walk for walk in walks if walk.name not in self._known]
        if fresh:
            self._known |= self._whiteouts.probe_many(fresh)
        return {walk.name for walk in walks if self._known[walk.name]}
