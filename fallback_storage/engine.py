"""What a storage builds at its first use, and drops when settings change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fallback_storage import config
from fallback_storage.cache.memo import Memo
from fallback_storage.reading import Reader
from fallback_storage.resolution import Resolver
from fallback_storage.writing import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fallback_storage.backends import Backend


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
    peek: Callable[[str], int | None]

    def stats(self) -> dict[str, Any]:
        """Return the counters of all parts."""
        return {
            **self.memo.stats(),
            **self.resolver.stats(),
            "backends": {backend.name: backend.stats() for backend in self.backends},
        }


def build_engine(
    storage: object, given: Mapping[str, Any], clock: Callable[[], float]
) -> Engine:
    """Return the engine of ``storage``, configured by ``given`` and the settings."""
    options = config.read_options(type(storage), given)
    backends = config.build_backends(options, owner=storage)
    memo = config.build_memo(options, clock)
    resolver = Resolver(backends, memo)
    writer = Writer(
        backends,
        resolver,
        delete_all=options.on_delete == "all",
        strict=options.strict,
    )
    # What a live backend holds is never answered from memory.
    live = any(backend.always_probe for backend in backends)
    return Engine(
        backends=backends,
        memo=memo,
        resolver=resolver,
        reader=Reader(backends, resolver, strict=options.strict),
        writer=writer,
        peek=Memo().peek if live else memo.peek,
    )
