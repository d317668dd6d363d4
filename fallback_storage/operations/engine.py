"""What a storage builds at its first use, and drops when settings change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from fallback_storage.cache.entry import NOWHERE, index_of, is_held
from fallback_storage.chain.fetch import Fetcher
from fallback_storage.chain.resolver import Resolver
from fallback_storage.chain.whiteouts import Whiteouts
from fallback_storage.conf.memo import build_memo
from fallback_storage.conf.options import (
    build_backends,
    read_options,
    refuse_bounds_of,
)
from fallback_storage.operations.home import Home
from fallback_storage.operations.read import Reader
from fallback_storage.operations.writing import Writing, scoped
from fallback_storage.utils.once import once

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fallback_storage.cache.memo import Memo
    from fallback_storage.chain.backend import Backend
    from fallback_storage.chain.batch import BatchResolver
    from fallback_storage.chain.equivalents import Look
    from fallback_storage.operations.copies import Copies
    from fallback_storage.operations.naming import Namer
    from fallback_storage.operations.overlay import Overlay
    from fallback_storage.operations.serving import Server
    from fallback_storage.operations.stats import Stats
    from fallback_storage.operations.write import Writer


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


class Engine:
    """A chain, its memo, and what works on them.

    ``peek`` answers from process memory: a code (``cache.entry``) or None. What it
    answers is told nobody who listens to ``signals.resolved``, and neither is what ``find``
    finds (``Scout.find``). ``answering``: whose URL it is, by such a code. ``last``: the
    backend that has a URL for what no other one holds; 0: nobody is asked for others.
    ``home``: as who reads needs to know it; ``writing``: what writes.
    """

    def __init__(
        self,
        backends: tuple[Backend, ...],
        memo: Memo,
        resolver: Resolver,
        reader: Reader,
        writing: Writing,
        *,
        home_urls: bool,
    ) -> None:
        self.backends = backends
        self.memo = memo
        self.resolver = resolver
        self.reader: Reader = scoped(reader, memo)
        self.writing = writing
        self.home = writing.home
        self.peek: Callable[[str], int | None] = resolver.recall.peek
        self.find: Callable[[object, int], int | None] = resolver.scout.find
        self.last = 0 if home_urls else len(backends) - 1
        self.answering = Answering(backends, home_urls=home_urls)

    @property
    def writer(self) -> Writer:
        """Return what changes the chain."""
        return self.writing.writer

    @property
    def namer(self) -> Namer:
        """Return what finds names for new files."""
        return self.writing.namer

    @property
    def overlay(self) -> Overlay:
        """Return what lies over the read-only backends."""
        return self.writing.overlay

    @property
    def copies(self) -> Copies:
        """Return what copies files to the home."""
        return self.writing.copies

    @once
    def batch(self) -> BatchResolver:
        """Return what asks for many names at once."""
        from fallback_storage.chain.batch import BatchResolver

        resolver, whiteouts = self.resolver, self.home.whiteouts
        batch = BatchResolver(self.backends, self.memo, resolver, whiteouts)
        return scoped(batch, self.memo)

    @once
    def server(self) -> Server:
        """Return what the media view asks."""
        from fallback_storage.operations.serving import Server

        server = Server(self.backends, self.resolver, self.copies)
        return scoped(server, self.memo)

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
    hides = options.on_delete == "whiteout"
    memo = build_memo(options.cache, backends, clock, whiteouts=hides)
    first = next((each for each in backends if not each.read_only), None)
    whiteouts = None
    if hides and first is not None:
        whiteouts = Whiteouts(backends, first)
    if first is not None:
        refuse_bounds_of(first, options.promote_max_total, options.promote_min_free)
    home = Home(backends, whiteouts)
    resolver = Resolver(backends, memo, whiteouts, strict=options.strict)
    memo.watch(resolver, Resolver.stats)
    for backend in backends:
        memo.watch(backend, counted_by)
    home_urls = options.urls == "home"
    writing = Writing(options, backends, home, memo, resolver.scout.look)
    reader = Reader(
        backends,
        resolver,
        Fetcher(backends, resolver, whiteouts),
        home,
        writing,
        strict=options.strict,
        home_urls=home_urls,
    )
    return Engine(backends, memo, resolver, reader, writing, home_urls=home_urls)


def counted_by(backend: Backend) -> dict[str, int]:
    """Return a backend's counters, as they are published: whole numbers."""
    counts = backend.counts()
    return {
        f"backend:{backend.name}:calls": counts["calls"],
        f"backend:{backend.name}:failures": counts["failures"],
        f"backend:{backend.name}:microseconds": int(counts["seconds"] * 1e6),
        f"backend:{backend.name}:given_up": counts["given_up"],
    }
