"""What a storage builds at its first use, and drops when settings change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict, TypeVar, cast

from fallback_storage.cache.entry import NOWHERE, index_of, is_held
from fallback_storage.cache.memo import Memo
from fallback_storage.chain.batch import BatchResolver
from fallback_storage.chain.fetch import Fetcher
from fallback_storage.chain.resolver import Resolver
from fallback_storage.chain.whiteouts import Whiteouts
from fallback_storage.conf.memo import build_memo
from fallback_storage.conf.options import (
    build_backends,
    read_options,
    refuse_bounds_of,
)
from fallback_storage.operations.allowance import Allowance
from fallback_storage.operations.copies import Copies
from fallback_storage.operations.naming import Namer
from fallback_storage.operations.overlay import Overlay
from fallback_storage.operations.read import Reader
from fallback_storage.operations.serving import Server
from fallback_storage.operations.write import Writer
from fallback_storage.utils.tenants import Scoped

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from fallback_storage.chain.backend import Backend
    from fallback_storage.chain.equivalents import Look
    from fallback_storage.conf.options import Options

    Part = TypeVar("Part")


class BackendStats(TypedDict):
    """How often a storage was called, how often it failed, and how long it took.

    ``given_up``: calls that were not waited for to their end. ``breaker``: "closed",
    "open" while it is left alone, "trial" while one call tries; ``retry_in``: seconds
    until the next one may, or None.
    """

    calls: int
    failures: int
    seconds: float
    given_up: int
    breaker: str
    retry_in: float | None


class Stats(TypedDict):
    """What ``FallbackStorage.stats`` returns; some memos count less, or more."""

    hits: int
    negative_hits: int
    misses: int
    fills: int
    late_fills: int
    walks: int
    coalesced: int
    lost_holders: int
    grace_hits: int
    backends: dict[str, BackendStats]
    # In process memory
    entries: NotRequired[int]
    negative_entries: NotRequired[int]
    # In a shared cache
    store_failures: NotRequired[int]
    bypassed: NotRequired[int]
    undelivered: NotRequired[int]
    breaker_open: NotRequired[int]
    # NEAR
    near_connected: NotRequired[int]
    near_connections: NotRequired[int]
    near_messages: NotRequired[int]


class Answering(dict[int, "tuple[Backend, Look | None] | None"]):
    """By code, who has the URL of a name of which that is known, and what looks again.

    No look: the last backend, which answers whether the file is there or not, or one of
    which that is believed. None: it has to be found out. ``home_urls``: nobody's, all are
    the home's.
    """

    def __init__(self, backends: tuple[Backend, ...], *, home_urls: bool) -> None:
        self._backends = () if home_urls else backends

    def __missing__(self, code: int) -> tuple[Backend, Look | None] | None:
        last = len(self._backends) - 1
        index = last if code == NOWHERE else index_of(code)
        who: tuple[Backend, Look | None] | None = None
        if index == last >= 0:
            who = self._backends[index], None
        elif index < last and is_held(code):
            who = self._backends[index], self._backends[index].look_again
        self[code] = who
        return who


@dataclass(slots=True, eq=False)
class Engine:
    """A chain, its memo, and what works on them.

    ``peek`` answers from process memory: a code (``cache.entry``) or None. What it
    answers is told nobody who listens to ``signals.resolved``, and neither is what ``find``
    finds (``Scout.find``). ``answering``: whose URL it is, by such a code. ``last``: the
    backend that has a URL for what no other one holds; 0: nobody is asked for others.
    """

    backends: tuple[Backend, ...]
    memo: Memo
    resolver: Resolver
    reader: Reader
    writer: Writer
    namer: Namer
    overlay: Overlay
    copies: Copies
    batch: BatchResolver
    server: Server
    peek: Callable[[str], int | None]
    find: Callable[[object, int], int | None]
    last: int
    answering: Answering

    def stats(self) -> Stats:
        """Return the counters of all parts."""
        backends = {backend.name: backend.stats() for backend in self.backends}
        counts = {**self.memo.stats(), **self.resolver.stats()}
        return cast("Stats", {**counts, "backends": backends})


def build_engine(
    storage: object,
    given: Mapping[str, Any],
    clock: Callable[[], float],
    kept: tuple[Backend, ...] | None = None,
) -> Engine:
    """Return the engine of ``storage``, configured by ``given`` and the settings.

    ``kept``: the chain of an engine that went before, to be used again.
    """
    options = read_options(type(storage), given)
    backends = kept or build_backends(options, owner=storage)
    memo = build_memo(
        options.cache, backends, clock, whiteouts=options.on_delete == "whiteout"
    )
    home = next((each for each in backends if not each.read_only), None)
    whiteouts = None
    if options.on_delete == "whiteout" and home is not None:
        whiteouts = Whiteouts(backends, home)
    overlay = Overlay(backends, whiteouts, promote=options.promote)
    copies = _build_copies(options, backends, home, overlay)
    resolver = Resolver(backends, memo, whiteouts, strict=options.strict)
    memo.watch(resolver, Resolver.stats)
    for backend in backends:
        memo.watch(backend, counted_by)
    namer = Namer(backends, whiteouts, resolver.scout.look, strict=options.strict)
    writer = _for_tenants(
        Writer(
            backends, overlay, copies, namer, delete_all=options.on_delete != "first"
        ),
        memo,
        # Parts of ``FallbackStorage.save``.
        parts=("require_writable", "save"),
    )
    reader = Reader(
        backends,
        resolver,
        Fetcher(backends, resolver, whiteouts),
        overlay,
        copies,
        write=writer.open,
        strict=options.strict,
        home_urls=options.urls == "home",
    )
    batch = BatchResolver(backends, memo, resolver, whiteouts)
    return Engine(
        backends=backends,
        memo=memo,
        resolver=resolver,
        reader=_for_tenants(reader, memo),
        writer=writer,
        namer=namer,
        overlay=overlay,
        copies=copies,
        server=_for_tenants(Server(backends, resolver, copies), memo),
        batch=_for_tenants(batch, memo),
        peek=resolver.recall.peek,
        find=resolver.scout.find,
        last=0 if options.urls == "home" else len(backends) - 1,
        answering=Answering(backends, home_urls=options.urls == "home"),
    )


def counted_by(backend: Backend) -> dict[str, int]:
    """Return a backend's counters, as they are published: whole numbers."""
    counts = backend.counts()
    return {
        f"backend:{backend.name}:calls": counts["calls"],
        f"backend:{backend.name}:failures": counts["failures"],
        f"backend:{backend.name}:microseconds": int(counts["seconds"] * 1e6),
        f"backend:{backend.name}:given_up": counts["given_up"],
    }


def _build_copies(
    options: Options,
    backends: tuple[Backend, ...],
    home: Backend | None,
    overlay: Overlay,
) -> Copies:
    total, free = options.promote_max_total, options.promote_min_free
    if home is not None:
        refuse_bounds_of(home, total, free)
    return Copies(
        backends,
        overlay,
        Allowance(home, total, free),
        promote=options.promote,
        max_size=options.promote_max_size,
    )


def _for_tenants(part: Part, memo: Memo, parts: Collection[str] = ()) -> Part:
    return part if memo.vary is None else cast("Part", Scoped(part, memo.vary, parts))
