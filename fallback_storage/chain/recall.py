"""What the memo says of a chain's names, and what may be added to it.

Entries speak of files. One that is said to be in a local directory is looked at before
that is believed: it may have been removed by hand. So are local directories before it is
believed that nobody has a file. What else has been added is seen when the entry ends.

A directory is never remembered as the holder, and neither is a link that leads nowhere.
It is the answer where nobody has a file, though. So of a name that only takes up room
it is never remembered that it is nowhere; and who is told "not above", and asks all the
others, looks for a directory there again (``skips``).

Past its lifetime "held by" is believed while that backend cannot be reached (grace, as
stale-if-error of RFC 5861): once it was asked, and failed that way. So nothing of it is
remembered, or told to a chain around this one, which might.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from fallback_storage.cache.counters import Counters
from fallback_storage.cache.entry import (
    HIDDEN,
    NOWHERE,
    Known,
    Noted,
    facts_of,
    from_,
    held,
    noted,
)
from fallback_storage.chain import facts
from fallback_storage.chain.grace import met, stand_in
from fallback_storage.chain.outcomes import ABSENT, HELD, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from fallback_storage.cache.memo import Memo
    from fallback_storage.cache.stores.base import Lease
    from fallback_storage.chain.backend import Backend
    from fallback_storage.chain.equivalents import Look
    from fallback_storage.chain.walk import Walk

    Looked = dict[str, tuple[int | None, Lease]]  # by name


class Recall:
    """What is known of the names of one chain. Thread-safe.

    Names are keys of the memo (``names.memo_key``).
    """

    def __init__(self, backends: Sequence[Backend], memo: Memo) -> None:
        self._backends = tuple(backends)
        self._memo = memo
        self._live = frozenset(
            index for index, backend in enumerate(backends) if backend.always_probe
        )
        # Whether who waits for a walk can find in the memo what it found.
        self.shares = memo.remembers and not self._live
        # By code, of which there are as many as backends, twice.
        self._known: dict[int | None, Known] = {}
        self._looks: dict[int | None, Look | None] = {}
        # What is known in process memory: a code (``cache.entry``) or None. (Never of a
        # live backend's files, nor of a tenant's.)
        known = dict[str, int]().get if self._live or memo.vary else memo.quick_peek
        self.peek: Callable[[str], int | None] = known
        self.ask_on = memo.ask_on
        # By the backend before which nobody holds a name. (Before the first is nobody.)
        self._none_before = [-1, *map(from_, range(1, len(self._backends))), NOWHERE]
        # Of whom it has to be known that they are the same place for everybody.
        self._steady = () if memo.vary else self._backends
        self.counters = Counters("lost_holders", "grace_hits")

    def know(self, code: int | None) -> Known:
        """Return what a code says; None is nothing."""
        if type(code) is Noted:
            return Known(code, len(self._backends), self._live)
        known = self._known.get(code)
        if known is None:
            known = self._known[code] = Known(code, len(self._backends), self._live)
        return known

    # What is known?

    def ahead(self, name: str) -> Known:
        """Return what is known without asking a shared store: a page was prefetched.

        The holder was not looked at.
        """
        return self.know(self._memo.peek(name) if self._memo.is_shared else None)

    def unseen(self, name: str) -> tuple[Known, Lease]:
        """Return what the memo says, and a lease; the holder was not looked at.

        Nothing of what a batch of this request could not ask a backend for: the store has
        told it what is over, and knows no more.
        """
        if self._memo.is_shared and self._memo.formerly(name) is not None:
            return self.know(None), None
        code, lease = self._memo.look_up(name)
        return self.know(code), lease

    def look_up(self, name: str) -> tuple[Known, Lease]:
        """Return what is known, and a lease. A file that is gone is forgotten."""
        known, lease = self.unseen(name)
        if known.code is not None and not self.is_there(name, known.code):
            self.lose(name)
            known, lease = self.unseen(name)
        return known, lease

    def look_up_many(self, names: Collection[str]) -> Looked:
        """Return codes and leases of many names; as ``look_up``, and at once."""
        found = self._memo.look_up_many(names) if names else {}
        codes = {code for code, _ in found.values()}
        looks = {code: self._look_for(code) for code in codes}
        gone = [
            name
            for name, (code, _) in (found.items() if any(looks.values()) else ())
            if (look := looks[code]) and look(name) is not HELD
        ]
        if gone:
            self.lose(*gone)
            found |= self._memo.look_up_many(gone)
        return found

    def is_there(self, name: str, code: int | None) -> bool:
        """Whether it is still so, as far as local directories tell; no request is made.

        The holder has the file; or nobody has one that was nowhere.
        """
        look = self._looks[code] if code in self._looks else self._look_for(code)
        return look is None or look(name) is HELD

    def _look_for(self, code: int | None) -> Look | None:
        """Return what tells whether it is still so (*held*); None: nobody can tell."""
        look, holder = None, self.know(code).holder
        if holder is not None:
            look = self._backends[holder].look_again
        elif code == NOWHERE:
            look = partial(_still_nowhere, self._backends)
        self._looks[code] = look
        return look

    def excuse(self, walks: Iterable[Walk], *, batch: bool = False) -> None:
        """Let backends hold what they held when they could be reached.

        Of walks that found no holder, and met such a backend. ``batch``: see
        ``Memo.look_up_held``.
        """
        lasting = self._memo.lasting
        if not lasting:
            return
        silent = {}
        for walk in walks:
            if walk.failed and met(walk, lasting):
                silent[walk.name] = walk
        if not silent:
            return
        for name, index in self._memo.look_up_held(silent, batch=batch).items():
            if stand_in(silent[name], index, self._live):
                self.counters.add("grace_hits")

    def appeared(self, name: str) -> bool:
        """Whether a local directory has a file that nobody had.

        Who learns that it is missing often makes it next, by its path.
        """
        return _still_nowhere(self._backends, name) is ABSENT

    def lose(self, *names: str) -> None:
        """Forget files that went away behind our back: what was known is worth nothing."""
        self.counters.add("lost_holders", len(names))
        self._memo.forget(names)

    def tells(self, code: int | None, stop: int) -> bool:
        """Whether a walk that ends before ``stop`` would ask nobody."""
        return not self._live and code is not None and self.know(code).suffices(stop)

    def skips(self, index: int, known: Known, stop: int) -> bool:
        """Whether a walk that ends before ``stop`` need not ask a backend."""
        if not known.skips(index):
            return False
        length = len(self._backends)
        if stop < length or known.suffices(length):
            return True
        return not self._backends[index].tells_files

    # Size and time

    def keeps_facts(self, index: int | None) -> bool:
        """Whether sizes and times of a backend's files are remembered."""
        return (
            self._memo.facts
            and index is not None
            and facts.are_kept_of(self._backends[index])
        )

    def fact(self, known: Known, method: str) -> Any:
        """Return what is remembered that the holder answers to a method; None: nothing."""
        if not (facts_of(known.code) and self.keeps_facts(known.holder)):
            return None
        return facts.read(facts_of(known.code), method)

    def misses_fact(self, known: Known, method: str) -> bool:
        """Whether an answer of the holder could be remembered, and is not."""
        return (
            method in facts.METHODS
            and self.keeps_facts(known.holder)
            and self.fact(known, method) is None
        )

    # What is remembered?

    def fill(
        self, name: str, found: Walk | int, stop: int, known: Known, lease: Lease
    ) -> bool:
        """Remember what was found; return whether waiters may look it up.

        A walk, or who holds the file; that is ``stop`` if all who were asked have no such.
        """
        if known.suffices(stop):
            return True  # and it may say more than was asked for
        if not isinstance(found, int):
            return self.fill_by(found, found.holder, stop, known, lease)
        if self._is_unsteady:
            return False
        code = held(found) if found < stop else self._none_before[stop]
        return self._memo.fill(name, lease, code)

    def fill_by(
        self, walk: Walk, index: int | None, stop: int, known: Known, lease: Lease
    ) -> bool:
        """Remember that backend ``index`` holds the name, or none; as ``fill``."""
        code = self.code_for(walk, index, stop, known)
        return code is not None and self._keep(walk.name, code, stop, known, lease)

    def _keep(
        self, name: str, code: int, stop: int, known: Known, lease: Lease
    ) -> bool:
        has_news = code != known.code or facts_of(code) not in {
            "",
            facts_of(known.code),
        }
        if has_news and not self._memo.fill(name, lease, code):
            return False
        return self.know(code).suffices(stop)

    def settled(self, fills: Mapping[str, tuple[Lease, int]], stop: int) -> set[str]:
        """Remember many codes; return the names that others can now find."""
        self._memo.fill_many(fills)
        enough = {
            code
            for code in {code for _, code in fills.values()}
            if self.know(code).suffices(stop) and self._memo.lifetime(code) > 0
        }
        return {
            name
            for name, (lease, code) in fills.items()
            if lease is not None and code in enough
        }

    def code_for(
        self, walk: Walk, index: int | None, stop: int, known: Known
    ) -> int | None:
        """Return what may be remembered of a walk; None: nothing."""
        if not walk.certain or self._is_unsteady:
            return None
        if index is None or walk.last is Outcome.TAKEN:
            return self._code_without_holder(walk, stop, known)
        if index not in self._live:
            kept = walk.facts and self.keeps_facts(index)
            return noted(held(index), walk.facts) if kept else held(index)
        return from_(index) if index > 0 and known.code is None else None

    def _code_without_holder(self, walk: Walk, stop: int, known: Known) -> int | None:
        length, taken = len(self._backends), walk.taken
        if walk.hidden:
            whole = taken is None and len(walk.trail) == length
            return HIDDEN if whole else None
        if taken is not None:
            if stop == length:
                stop = taken
            return from_(stop) if stop > known.start else None
        return self._none_before[stop]

    @property
    def _is_unsteady(self) -> bool:
        for backend in self._steady:  # noqa: SIM110 - a generator costs as much as a look
            if backend.place_varies:
                return True
        return False


# (No method: what a memo rests on goes with the last who uses it, and not later.)
def _still_nowhere(backends: Sequence[Backend], name: str) -> Outcome:
    looks = [backend.look_again for backend in backends]
    return ABSENT if any(look and look(name) is HELD for look in looks) else HELD
