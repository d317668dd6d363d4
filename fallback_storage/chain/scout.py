"""Who has a file, as far as looks at local directories tell: no walk, no trail.

That is all there is to most cold names: a directory has the file, or the last backend's URL
is the answer. Whoever looks waits for nobody, and nobody for him. In any doubt a walk is
made (``resolver``), and nothing has been done here that it would not do again.
"""

from __future__ import annotations

import time
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from fallback_storage.cache.entry import NOWHERE, from_, held
from fallback_storage.cache.stores.local import LocalStore
from fallback_storage.cache.stores.null import NullStore
from fallback_storage.chain.look import look_at_many
from fallback_storage.chain.names import is_plain
from fallback_storage.chain.outcomes import ABSENT, HELD
from fallback_storage.signals import backend_failed
from fallback_storage.utils.logs import warner

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fallback_storage.cache.counters import Counters
    from fallback_storage.cache.memo import Memo
    from fallback_storage.chain.backend import Backend
    from fallback_storage.chain.outcomes import Attempt

# What is logged of an ``exists`` for which a backend could not be asked.
MAY_BE_WRONG: Final = "the answer is False, which may be wrong"


# Whether it has been seen that a place varies: then the memo is none.
PLACE_VARIES: Final = attrgetter("place_varies")


class Scout:
    """Looks for files in one chain. Thread-safe.

    ``is_plain``: whether there is nothing to tell but who holds a file, if nothing fails
    (no whiteouts, nothing that is asked at every call). ``strict``: a failure is never
    passed over. ``counters``: those of the chain.
    """

    def __init__(
        self,
        backends: Sequence[Backend],
        memo: Memo,
        counters: Counters,
        *,
        is_plain: bool,
        strict: bool,
    ) -> None:
        self._backends = tuple(backends)
        self._length = length = len(self._backends)
        self._numbered = [
            list(enumerate(backends[:stop])) for stop in range(length + 1)
        ]
        self._strict = strict
        self._counts, self._memo_counts = counters.counts, memo.counters.counts
        self._lasting = memo.lasting
        store = memo.store
        self._store = store if type(store) is LocalStore else None
        self._shared = store
        # By where one stops, and who has the file: what is remembered, for how long. (A
        # backend that is not asked may have it.)
        none_before = [0, *map(from_, range(1, length)), NOWHERE]
        self._codes = [
            [(code, memo.lifetime(code)) for code in (*map(held, range(stop)), none)]
            for stop, none in enumerate(none_before)
        ]
        # Whether ``find`` finds. (Of a shared memo more is known than is in process.)
        self.is_able = is_plain and type(store) in {LocalStore, NullStore}
        self._is_plain = is_plain

    def find(self, name: object, stop: int) -> int | None:
        """Return which backend before ``stop`` has a file; ``stop`` if none has.

        None: looks do not tell. For a name of which nothing is known in process; then it
        is. With ``stop`` at the end of the chain that none has it may rest on backends
        that are left alone, as ``exists`` passes over them.
        """
        # A shared memo knows nothing while it is left alone.
        if not (self.is_able or (self._is_plain and self._shared.rests)):
            return None
        if type(name) is not str or not is_plain(name):
            return None
        store = self._store
        lease = None if store is None else store.lease(name)
        silent: list[Attempt] = []
        found = self.look(name, stop, silent=silent if stop == self._length else None)
        if found is None:
            return None
        if not self.is_able:
            self._shared.bypass()
        # (As ``Counters.add``.)
        self._counts["walks"] += 1
        counts = self._memo_counts
        counts["misses"] += 1
        if store is None or silent or True in map(PLACE_VARIES, self._backends):
            return found
        code, ttl = self._codes[stop][found]
        if ttl > 0:
            kept = store.fill(name, lease, code, ttl)
            counts["fills" if kept else "late_fills"] += 1
        return found

    def find_many(self, names: Sequence[str], stop: int) -> Sequence[str]:
        """Remember which backend before ``stop`` has each file; return the other names.

        Of those something was known already, or looks do not tell.
        """
        store, backends = self._store, self._backends[:stop]
        looks = [each.only_look if each.is_sound else None for each in backends]
        # (Before the first backend is nobody: of nobody is nothing learnt.)
        if store is None or not self.is_able or not (looks and all(looks)):
            return names
        if True in map(PLACE_VARIES, self._backends):
            return names
        leases = store.leases_of_unknown(names)
        left, codes = list(leases), self._codes[stop]
        found: dict[str, tuple[int, float]] = {}
        for index, backend in enumerate(backends):
            look, absent = looks[index], list[str]()
            told = look_at_many(backend, look, left)  # type: ignore[arg-type]
            for outcome, those, _ in told:
                if outcome is HELD:
                    found.update(dict.fromkeys(those, codes[index]))
                elif outcome is ABSENT:
                    absent += those
            left = absent
        found.update(dict.fromkeys(left, codes[stop]))
        fills = {
            name: (leases[name], code, ttl)
            for name, (code, ttl) in found.items()
            if ttl > 0
        }
        kept = store.fill_many(fills)
        self._counts["walks"] += len(found)
        counts = self._memo_counts
        counts["misses"] += len(found)
        counts["fills"] += kept
        counts["late_fills"] += len(fills) - kept
        return [name for name in names if name not in found]

    def look(  # noqa: C901 - the hot path
        self,
        name: str,
        stop: int,
        start: int = 0,
        silent: list[Attempt] | None = None,
    ) -> int | None:
        """Return which backend from ``start``, and before ``stop``, has a file; as ``find``.

        ``silent``: gets what is to be told of those that are left alone, if that does.
        """
        clock, looked, found = time.perf_counter, [], stop
        for index, backend in self._numbered[stop]:
            if index < start:
                continue
            look = backend.only_look
            if look is None or not backend.is_sound:
                refused = None if silent is None else backend.refusal()
                if refused is None:
                    return None
                silent.append(refused)  # type: ignore[union-attr]
                continue
            began = clock()
            try:
                outcome = look(name)
            except Exception:  # noqa: BLE001 - who asks the storage will be told
                return None
            if outcome is not ABSENT:
                if outcome is not HELD:
                    return None
                found = index
            looked.append((backend, clock() - began))
            if outcome is HELD:
                break
        if not looked or (silent and not self._is_passed_over(name, found, silent)):
            return None
        # (A look that is not enough is no call: a walk looks again.)
        for backend, seconds in looked:
            backend.count(seconds)
        return found

    def _is_passed_over(self, name: str, found: int, silent: Sequence[Attempt]) -> bool:
        """Whether nobody has to be told that some backends are left alone.

        Nor is the memo to be asked what it knew of them (``Recall.excuse``).
        """
        if self._strict or found < self._length or backend_failed.receivers:
            return False
        if self._lasting and (self._store is None or self._store.knew(name)):
            return False
        kind: tuple[Any, ...] = "exists", MAY_BE_WRONG
        for attempt in silent:
            kind += attempt.backend, type(attempt.exception)
        return warner.is_quiet(kind)
