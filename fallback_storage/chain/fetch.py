"""What the holder of a name answers to an operation: ``size``, ``open``, ...

``Fetcher`` calls the operation itself, which fails where the file is not: a cold read of
a remote file costs the read and nothing else.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from fallback_storage import signals
from fallback_storage.cache.entry import facts_of, index_of, is_held
from fallback_storage.chain import facts
from fallback_storage.chain.names import memo_key
from fallback_storage.chain.outcomes import Outcome
from fallback_storage.chain.walk import NOTHING, Walk
from fallback_storage.chain.whiteouts import Veil

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fallback_storage.cache.entry import Known
    from fallback_storage.chain.backend import Backend
    from fallback_storage.chain.resolver import Resolver
    from fallback_storage.chain.whiteouts import Whiteouts


class Fetcher:
    """Asks the holder, or one backend after the other. Thread-safe."""

    def __init__(
        self,
        backends: Sequence[Backend],
        resolver: Resolver,
        whiteouts: Whiteouts | None,
    ) -> None:
        self._backends = tuple(backends)
        self._resolver = resolver
        self._recall = resolver.recall
        self._whiteouts = whiteouts

    def fetch(
        self, operation: str, method: str, name: str, *args: Any
    ) -> tuple[Any, int]:
        """Return what ``method(name, *args)`` of the holder returns, and its index.

        As far as it is remembered (``chain.facts``); else goes to the memoised holder, else
        asks the backends in order. Raises what ``Walk.error`` says if none succeeds.
        """
        recall = self._recall
        code = None if signals.resolved.receivers else recall.peek(name)
        if code is None or not is_held(code):
            # (Of some names the memo says nothing.)
            recall.ask_on(code)
            is_key = memo_key(name) is not None
            known = recall.ahead(name) if is_key else recall.know(None)
            return self._fetch(operation, method, name, args, known)
        known = recall.know(code)
        return self._answer(index_of(code), method, name, args) or self._fetch(
            operation, method, name, args, known
        )

    def _fetch(
        self,
        operation: str,
        method: str,
        name: str,
        args: tuple[Any, ...],
        known: Known,
    ) -> tuple[Any, int]:
        """Go by what is ``known`` without asking a shared store, or look it up."""
        key, recall, lease = memo_key(name), self._recall, None
        if key is not None and (
            known.holder is None or recall.misses_fact(known, method)
        ):
            recall.ask_on(known.code)
            known, lease = recall.unseen(key)
        walk = Walk(operation, name)
        answer, index, lost = self._ask_in_order(walk, method, known, args)
        if lost:
            recall.lose(name)
            known, lease = recall.unseen(name)
            walk = Walk(operation, name)
            answer, index, _ = self._ask_in_order(walk, method, known, args)
        if key is not None:
            if method in facts.METHODS:
                before = facts_of(known.code) if index == known.holder else ""
                walk.facts = facts.add(before, method, answer)
            recall.fill_by(walk, index, len(self._backends), known, lease)
        if signals.resolved.receivers:
            self._resolver.tell(operation, walk)
        if index is None and walk.certain and walk.taken is not None:
            # Nobody has a file: the directory answers, as it would alone.
            index, walk = walk.taken, Walk(operation, name)
            answer = walk.ask(self._backends[index], method, name, *args)
        if answer is NOTHING or index is None:
            raise walk.error()
        return answer, index

    def _answer(
        self, index: int, method: str, name: str, args: tuple[Any, ...]
    ) -> tuple[Any, int] | None:
        """Return the answer of the known holder, and its index, by an equivalent.

        See ``chain.equivalents``. None: that is not all there is to it.
        """
        backend = self._backends[index]
        answer_by = backend.answers.get(method)
        if answer_by is None or not backend.is_sound:
            return None
        start = time.perf_counter()
        try:
            answer = answer_by(name, *args)
        except Exception:  # noqa: BLE001 - it is asked itself, and will tell
            return None
        if answer is None:
            return None
        backend.count(time.perf_counter() - start)
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
            if self._recall.skips(index, known, len(self._backends)):
                self._resolver.recall_miss(walk, index, known)
                continue
            if index != known.holder and veil.hides(index):
                walk.note(backend, Outcome.HIDDEN)
                continue
            certain = walk.certain
            answer = self._recall.fact(known, method) if index == known.holder else None
            if answer is not None:
                walk.recall(backend, Outcome.HELD)
                return self._weigh(walk, answer, index, lacking)
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
        if Outcome.TAKEN not in walk.ends and backend.is_taken(walk.name):
            # A directory has a size, and times.
            walk.note(backend, Outcome.TAKEN)
            return NOTHING
        profile = backend.profile
        if (
            method == "_open" and profile.lazy_open
        ) or method in profile.answers_always:
            # It would succeed for a file that is not there.
            if walk.probe(backend) not in {Outcome.HELD, Outcome.UNSUPPORTED}:
                return NOTHING
            walk.trail.pop()
        return walk.ask(backend, method, walk.name, *args)
