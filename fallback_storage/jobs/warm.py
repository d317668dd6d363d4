"""Filling the memo from listings, before the first visitor comes.

What a backend lists, it holds. For a name listed by the second backend or a later one,
those above are asked as in any walk (``batch``), and the whiteouts.

**Why a file that is deleted meanwhile does not come back.** The protocol of
``cache.memo`` wants a name's lease taken before the backends are asked for it. Here the
names are only known when the listing has already been read. So a lease on ``EVERY`` is
taken before: the *marker*, which every invalidation voids before it voids any name. Then

1. marker; 2. listing; 3. leases of the listed names; 4. the backends above; 5. is the
   marker still the same?; 6. fill.

Say that a fill of step 6 is wrong, because a file was deleted after it was listed. If
its writer invalidated the name after 3, the lease is void and the store refuses the
fill. If he did so before 3, he had invalidated the marker before that, but after 1,
since his change came after 2: step 5 sees another marker.

Then the page is read again. Now the leases are older than the listing, as the protocol
wants, and what that shows is filled, of the names that are listed still: sizes and dates
are never those of the first. No marker is needed, so a page is read twice at the most,
however much is written meanwhile. (A walk by ``listdir`` reads a directory long before
its last page is filled. So the marker is that of the whole listing, and a page that is
read again begins a new listing.)

**What is known is renewed**, so that it does not end before the next run. What replaces
an entry may get no older than that, since it may rest on it. So between 2 and 3 the
known names of the page are forgotten, in this memo, and the backends above are asked for
them as for any other. The argument holds all the same: it is about what happens between
1 and 6, whatever the memo said before, and to forget a name voids its entry and its
leases and makes none good. The marker stays: no backend was changed, and a writer voids
it himself. What is known of such a name in step 3 was learned after it was forgotten.

Left alone is what is held by a backend that was listed before: it was renewed then. And
nothing is forgotten while a backend above cannot be asked, for then the memo is needed
most. So one name of the page is tried first.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fallback_storage.cache.entry import held, noted
from fallback_storage.cache.stores.base import EVERY
from fallback_storage.chain.listing import pages
from fallback_storage.chain.names import clean_name
from fallback_storage.chain.outcomes import Outcome
from fallback_storage.exceptions import FallbackStorageError
from fallback_storage.jobs.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from fallback_storage.cache.entry import Known
    from fallback_storage.cache.memo import Memo
    from fallback_storage.cache.stores.base import Lease
    from fallback_storage.chain.backend import Backend
    from fallback_storage.chain.flat_listing import Listed
    from fallback_storage.chain.walk import Walk
    from fallback_storage.operations.engine import Engine
    from fallback_storage.storage import FallbackStorage

    # What the memo says of names, and the leases to fill them with.
    _Found = dict[str, tuple[Known, Lease]]

# How often the memo's store is asked that does not answer.
ATTEMPTS = 3


class MemoUnavailableError(FallbackStorageError):
    """Raised when there is nowhere to remember anything: the memo does not answer."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a warm-up is. ``after`` this name of this backend it can go on.

    ``names`` were listed so far, in all backends. Of these ``filled`` were remembered
    now, known before or not, and ``known`` were up to date: a backend listed before has
    them, or somebody else was first. Of ``unsure`` ones a backend above could not be
    asked; ``trouble`` tells what the last of these answered. The others are hidden by
    whiteouts, were written to meanwhile, or are held by an ``ALWAYS_PROBE`` backend.
    """

    backend: str
    after: str
    names: int = 0
    filled: int = 0
    known: int = 0
    unsure: int = 0
    trouble: str = ""


def warm(
    storage: FallbackStorage,
    directory: str = "",
    *,
    backend: str | None = None,
    after: str = "",
    listed: Collection[str] = (),
) -> Iterator[Progress]:
    """Remember who holds the files below a directory; yield how far it is.

    Every backend is listed, first to last, or only the one of that name. ``after``: in
    the first one that is listed, begin after this name. ``listed``: backends that the
    caller has listed just before; what is known to be there is left alone. Yields after
    every page, and once for each backend before its first. In memory is one page at a
    time.

    Raises ``ValueError`` if there is no such backend, ``MemoUnavailableError``, and
    what a backend raises that is listed.
    """
    engine = storage._get_engine()  # noqa: SLF001 - a part of the storage
    names = [each.name for each in engine.backends]
    if backend is not None and backend not in names:
        raise ValueError(f"No backend is named {backend!r}, but: {', '.join(names)}.")
    if not engine.memo.remembers:
        raise MemoUnavailableError(
            "This storage has no memo (cache=False, or TTL 0): give it a shared cache."
        )
    warmer = _Warmer(engine, {names.index(each) for each in listed if each in names})
    directory, after = clean_name(directory), clean_name(after) if after else ""
    for index, name in enumerate(names):
        if backend in {None, name}:
            yield from warmer.warm(index, directory, after)
            after = ""


class _Warmer:
    """Fills the memo of one chain."""

    def __init__(self, engine: Engine, listed: set[int]) -> None:
        self._listed = listed
        self._backends = engine.backends
        self._memo = engine.memo
        self._recall = engine.resolver.recall
        self._batch = engine.batch
        self._pace = Pace()
        self._counts: Counter[str] = Counter()  # by the fields of Progress
        self._trouble = ""

    def warm(self, index: int, directory: str, after: str) -> Iterator[Progress]:
        backend = self._backends[index]
        yield self._progress(backend, after)
        listing = _Listing(backend, directory, after, self._memo)
        while page := listing.read():
            self._counts["names"] += len(page)
            # A link that leads nowhere is listed like a file.
            files = [each for each in page if not backend.is_taken(each.name)]
            self._fill(index, listing, files)
            yield self._progress(backend, listing.after)
        self._listed.add(index)

    def _progress(self, backend: Backend, after: str) -> Progress:
        return Progress(backend.name, after, trouble=self._trouble, **self._counts)

    def _fill(self, index: int, listing: _Listing, page: Sequence[Listed]) -> None:
        found = self._look_up(index, [listed.name for listed in page])
        if not found:
            return
        codes = self._codes(index, {name: what for name, (what, _) in found.items()})
        if not listing.is_current():
            again = listing.read_again()
            self._counts["names"] += len(again) - len(page)
            page = again
        keeps_facts = self._recall.keeps_facts(index)
        listed = {each.name: each for each in page if each.name in codes}
        codes = {
            # (What one above holds is another file.)
            name: noted(codes[name], each.facts)
            if keeps_facts and codes[name] == held(index)
            else codes[name]
            for name, each in listed.items()
        }
        for part in self._pace.parts(list(codes)):
            self._counts["filled"] += self._memo.fill_many(
                {name: (found[name][1], codes[name]) for name in part}
            )

    def _look_up(self, index: int, names: Sequence[str]) -> _Found:
        """Return what is known of the names that are to be filled."""
        found = self._renew(index, self._ask_memo(names))
        due = {name: each for name, each in found.items() if each[0].holder is None}
        self._counts["known"] += len(found) - len(due)
        leased = {name: each for name, each in due.items() if each[1] is not None}
        if len(leased) < len(due):
            take_marker(self._memo)  # raises unless that was one bad moment
        return leased

    def _ask_memo(self, names: Sequence[str]) -> _Found:
        return {
            name: (self._recall.know(code), lease)
            for part in self._pace.parts(names)
            for name, (code, lease) in self._memo.look_up_many(part).items()
        }

    def _renew(self, index: int, found: _Found) -> _Found:
        """Forget what is to be renewed; return what is known of all names then."""
        due = [
            name
            for name, (what, _) in found.items()
            if what.code is not None and what.holder not in self._listed
        ]
        if not due:
            return found
        # Do those above answer? Of this one nothing is remembered: it has no lease yet.
        walk = self._batch.walk({due[0]: self._recall.know(None)}, index)[due[0]]
        if not walk.certain:
            self._doubt(walk, len(due))
            kept = set(due)
            return {name: what for name, what in found.items() if name not in kept}
        for part in self._pace.parts(due):
            self._memo.forget(part)
        # All names: in process memory, leases of others may have been voided with these.
        return self._ask_memo(list(found))

    def _codes(self, index: int, known: Mapping[str, Known]) -> dict[str, int]:
        """Return what may be remembered of names that backend ``index`` lists."""
        codes: dict[str, int] = {}
        for name, walk in self._batch.walk(known, index).items():
            if not walk.certain:
                self._doubt(walk, 1)
                continue
            if walk.holder is None and len(walk.trail) == index:
                walk.note(self._backends[index], Outcome.HELD)
            # Otherwise one above holds it, or a whiteout hides it from here on.
            if walk.holder is not None:
                what = known[name]
                code = self._recall.code_for(walk, walk.holder, index + 1, what)
                if code is not None and code != what.code:
                    codes[name] = code
        return codes

    def _doubt(self, walk: Walk, names: int) -> None:
        doubtful = {Outcome.FAILED, Outcome.UNSUPPORTED}
        found = [attempt for attempt in walk.trail if attempt.outcome in doubtful]
        self._counts["unsure"] += names
        self._trouble = str(found[0]) if found else "the whiteouts cannot be read"


class _Listing:
    """The pages of one backend, and the marker from before they were read."""

    def __init__(
        self, backend: Backend, directory: str, after: str, memo: Memo
    ) -> None:
        self._backend = backend
        self._directory = directory
        self._memo = memo
        #: The last name of the last page that was returned.
        self.after = self._before = after
        self._begin()

    def _begin(self) -> None:
        self._marker = take_marker(self._memo)
        self._pages = pages(self._backend, self._directory, self._before)

    def read(self) -> list[Listed]:
        """Return the next page; an empty one is the end."""
        page = next(self._pages, [])
        if page:
            self._before, self.after = self.after, page[-1].name
        return page

    def read_again(self) -> list[Listed]:
        """Return the last page as it is now; ``read`` goes on after that."""
        self.after = self._before
        self._begin()
        return self.read()

    def is_current(self) -> bool:
        """Whether nothing was invalidated since this listing began."""
        return bool(self._memo.look_up(EVERY)[1] == self._marker)


def take_marker(memo: Memo) -> Lease:
    """Return a lease that every invalidation voids.

    Raises ``MemoUnavailableError``: without one, no other name has a lease either.
    """
    for _ in range(ATTEMPTS):
        lease = memo.look_up(EVERY)[1]
        if lease is not None:
            return lease
    raise MemoUnavailableError(
        "The cache that the memo is kept in does not answer: see what ping says of it."
    )
