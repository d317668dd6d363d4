"""Asking one backend about many names.

The answers are those of one ``exists`` after the other, and so are the errors. What
differs is the cost; and where a backend cannot be reached, of three names in a row or
for a listing, the others of this batch are not asked for: they have failed with it. In
this order:

* Names in a local directory are looked at (``look``). If the directory is not there, it
  holds no file: one look at it is enough.
* Where a listing is cheaper than the questions, the common directory is listed. Object
  stores charge, and take, for a page of 1,000 keys what 12.5 questions do.
* What is left is asked in several threads, of backends that bear it and are slow.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import defaultdict
from typing import TYPE_CHECKING

from fallback_storage.chain import facts
from fallback_storage.chain.ask_many import ask
from fallback_storage.chain.flat_listing import flat_pages, lists_flat
from fallback_storage.chain.listing import PAGE_SIZE
from fallback_storage.chain.look import is_plain_directory, look_at_many
from fallback_storage.chain.names import memo_key
from fallback_storage.chain.outcomes import Attempt, Outcome, classify, http_status
from fallback_storage.chain.reachability import is_unreachable
from fallback_storage.chain.second_look import FORBIDDEN, LISTING
from fallback_storage.chain.walk import Walk
from fallback_storage.exceptions import BackendUnavailable, MissingPlaceError
from fallback_storage.signals import Failure, backend_failed, send

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from fallback_storage.chain.backend import Backend
    from fallback_storage.chain.flat_listing import Listed

# What one page of a listing costs, in questions.
PAGE_COST = 12.5
# A page is tried for so many names. It may tell of none of them: then it was not more
# than half of what they cost.
WORTH_LISTING = 25

# What a server answers that lets nobody list, or not in this way. (Any other error is
# one that the questions would get as well.)
CANNOT_LIST = frozenset({FORBIDDEN, 405, 501})
NOT_FOUND = 404


def probe_many(backend: Backend, names: Collection[str]) -> dict[str, Attempt]:
    """Return what the backend answers for each name; see ``probe_walks``."""
    walks = [Walk("exists", name) for name in names]
    probe_walks(backend, walks)
    return {walk.name: walk.trail[-1] for walk in walks}


def probe_walks(backend: Backend, walks: Sequence[Walk]) -> None:
    """Ask the backend for the name of every walk; each gets its line in its trail.

    Raises what ``Walk.probe`` raises, for the first name for which it does.
    """
    pending = {walk.name: walk for walk in walks}
    # (What is waited for, is asked for name after name.)
    look = None if backend.deadline else backend.look
    if len(pending) > 1 and look is not None and is_plain_directory(backend.storage):
        for outcome, found, seconds in look_at_many(backend, look, list(pending)):
            _decide(backend, pending, found, outcome, seconds)
    elif len(pending) >= WORTH_LISTING and backend.may_list and lists_flat(backend):
        _list(backend, pending)
    ask(backend, [walk for walk in walks if walk.name in pending])


# Listings


def _list(backend: Backend, pending: dict[str, Walk]) -> None:
    """Decide what listings decide for less than the questions would cost."""
    # What means a directory is in no listing of files.
    groups = [sorted(name for name in pending if memo_key(name) is not None)]
    while groups and backend.may_list:
        names = [name for name in groups.pop() if name in pending]
        if len(names) < WORTH_LISTING:
            continue
        start = _common_start(names[0], names[-1])
        if _list_group(backend, pending, names, start):
            continue
        # Too much else lies between them. Perhaps their directories are better.
        left = [name for name in names if name in pending]
        below = len(start[: start.rfind("/") + 1])
        parts = defaultdict(list)
        for name in left:
            directory, slash, _ = name[below:].partition("/")
            if slash:
                parts[directory].append(name)
        groups += [part for part in parts.values() if len(part) < len(names)]


def _common_start(first: str, last: str) -> str:
    for position, (one, other) in enumerate(zip(first, last, strict=False)):
        if one != other:
            return first[:position]
    return first


def _list_group(
    backend: Backend, pending: dict[str, Walk], names: list[str], start: str
) -> bool:
    """List what begins with ``start``; false if that was given up as too costly."""
    cost = 0.0
    too_costly = False
    keeps_facts = facts.are_kept_of(backend)
    try:
        for page, seconds in _timed(flat_pages(backend, start, own=True)):
            backend.count(seconds)
            held = []
            for listed in page:
                if listed.name in pending:
                    held.append(listed.name)
                    if keeps_facts:
                        pending[listed.name].facts = listed.facts
            _decide(backend, pending, held, Outcome.HELD, seconds)
            cost += PAGE_COST
            # How far it came, if it is in order. That is not relied on: a name is
            # absent when the whole listing has ended without it.
            passed = bisect_right(names, page[-1].name) if page else 0
            # A page with less than it could hold is the last one, as a rule. (Not where
            # there are keys that are no names, or a server gives less.)
            was_too_costly, too_costly = too_costly, cost > passed
            if too_costly and (was_too_costly or len(page) == PAGE_SIZE):
                return False
    except Exception as error:  # noqa: BLE001 - what it says is the answer
        if not isinstance(error, BackendUnavailable) or error.was_called:
            backend.count(0.0, failed=True)
        classify(error)  # raises what must not be passed over
        _settle(backend, pending, start, error)
        return True
    absent = [name for name in names if name in pending]
    _decide(backend, pending, absent, Outcome.ABSENT)
    return True


def _settle(
    backend: Backend, pending: dict[str, Walk], start: str, error: Exception
) -> None:
    """Decide what a listing that failed decides: all names that are left, or none."""
    if backend_failed.receivers:
        failure = Failure(backend.name, LISTING, start, error, 0.0)
        send(backend_failed, backend.owner, failure=failure)
    status = http_status(error)
    if status in CANNOT_LIST:
        # It would be refused for the next names, too.
        backend.may_list = False
    elif status is not None or is_unreachable(error):
        if status == NOT_FOUND:
            # A listing finds nothing, but it needs a bucket.
            missing = MissingPlaceError(backend.name)
            missing.__cause__, error = error, missing
        _decide(backend, pending, list(pending), Outcome.FAILED, error=error)


def _timed(pages: Iterator[list[Listed]]) -> Iterator[tuple[list[Listed], float]]:
    while True:
        start = time.perf_counter()
        page = next(pages, None)
        if page is None:
            return
        yield page, time.perf_counter() - start


def _decide(
    backend: Backend,
    pending: dict[str, Walk],
    names: Collection[str],
    outcome: Outcome,
    seconds: float = 0.0,
    *,
    error: Exception | None = None,
) -> None:
    if names:
        attempt = Attempt(backend.name, outcome, error, seconds=seconds / len(names))
        for name in names:
            pending.pop(name).add(attempt)
