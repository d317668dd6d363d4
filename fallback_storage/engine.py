"""What a storage builds at its first use, and drops when settings change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fallback_storage import config
from fallback_storage.cache.memo import Memo
from fallback_storage.memos import build_memo
from fallback_storage.naming import Namer
from fallback_storage.overlay import Overlay
from fallback_storage.reading import Reader
from fallback_storage.resolver import Resolver
from fallback_storage.whiteouts import Whiteouts
from fallback_storage.writing import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fallback_storage.backends import Backend
    from fallback_storage.config import Options


@dataclass(frozen=True, slots=True)
class Engine:
    """A chain, its memo, and what works on them.

    ``peek`` answers from process memory: a code (``cache.entry``) or None.
    """

    backends: tuple[Backend, ...]
    memo: Memo
    resolver: Resolver
    reader: Reader
    writer: Writer
    namer: Namer
    peek: Callable[[str], int | None]

    def stats(self) -> dict[str, Any]:
        """Return the counters of all parts."""
        return {
            **self.memo.stats(),
            **self.resolver.stats(),
            "backends": {backend.name: backend.stats() for backend in self.backends},
        }


def build_engine(
    storage: object,
    given: Mapping[str, Any],
    clock: Callable[[], float],
    kept: tuple[Backend, ...] | None = None,
) -> Engine:
    """Return the engine of ``storage``, configured by ``given`` and the settings.

    ``kept``: the chain of an engine that went before, to be used again.
    """
    options = config.read_options(type(storage), given)
    backends = kept or config.build_backends(options, owner=storage)
    memo = build_memo(options, backends, clock)
    overlay = _build_overlay(options, backends)
    resolver = Resolver(backends, memo, overlay.whiteouts)
    namer = Namer(backends, overlay.whiteouts, strict=options.strict)
    writer = Writer(backends, overlay, namer, delete_all=options.on_delete != "first")
    # What a live backend holds is never answered from memory.
    live = any(backend.always_probe for backend in backends)
    return Engine(
        backends=backends,
        memo=memo,
        resolver=resolver,
        reader=Reader(backends, resolver, overlay, writer.open, strict=options.strict),
        writer=writer,
        namer=namer,
        peek=Memo().peek if live else memo.peek,
    )


def _build_overlay(options: Options, backends: tuple[Backend, ...]) -> Overlay:
    writable = [backend for backend in backends if not backend.read_only]
    whiteouts = None
    if options.on_delete == "whiteout" and writable:
        whiteouts = Whiteouts(backends, writable[0])
    return Overlay(
        backends,
        whiteouts,
        promote=options.promote,
        max_size=options.promote_max_size,
    )
