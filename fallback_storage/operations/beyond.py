"""What a chain has and Django's storages have not, or not any more."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NoReturn

from django.core.exceptions import SuspiciousFileOperation
from django.utils import timezone

from fallback_storage.cache.invalidation import invalidate
from fallback_storage.chain.names import (
    StrPath,
    affected,
    are_plain,
    filenames,
    refuse_single,
)
from fallback_storage.chain.outcomes import Outcome
from fallback_storage.utils.tenants import operation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from fallback_storage.chain.backend import Backend
    from fallback_storage.chain.outcomes import Resolution
    from fallback_storage.operations.engine import Engine
    from fallback_storage.operations.stats import Stats


class _OfABackend:
    """An attribute that storages have and a chain has not, as ``hasattr`` tells.

    Libraries go by that. (A ``__getattr__``, which would say the same of any attribute,
    makes reading all others slower.)
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type) -> NoReturn:
        raise AttributeError(
            f"{owner.__name__!r} object has no attribute {self._name!r}. Its storages are "
            "in 'backends': look at the one that is meant, for example "
            f"storage.backends[0].storage.{self._name}."
        )


class Beyond:
    """The methods of a ``FallbackStorage`` that other storages have not."""

    if TYPE_CHECKING:
        _get_engine: Callable[[], Engine]
        _clean: Callable[[StrPath], str]
        _fetch: Callable[[str, StrPath], Any]

    @property
    def backends(self) -> tuple[Backend, ...]:
        """The chain, first to last. Each has ``name``, ``read_only``, ``storage``."""
        return self._get_engine().backends

    def resolve(self, name: StrPath) -> Resolution:
        """Return which backend holds ``name``, how that is known, and what was asked."""
        engine = self._get_engine()
        known = engine.resolver.recalled(name) if type(name) is str else None
        if known is not None:
            return known
        with operation(engine.memo.vary):
            return engine.resolver.resolve(self._clean(name))

    def resolve_many(self, names: Iterable[StrPath]) -> dict[str, Resolution]:
        """Return for every name what ``resolve`` returns.

        The memo's store is asked once for all, and each backend once for all that the
        ones above do not hold: by a listing where that is cheaper, in several threads
        where that is faster.
        """
        refuse_single(names)
        names = list(names)
        plain = _plain(names)
        if plain is None:
            spelled = {os.fspath(name): self._clean(name) for name in names}
        else:
            spelled = dict(zip(plain, plain, strict=True))
        found = self._get_engine().batch.resolve_many(spelled.values())
        return {name: found[clean] for name, clean in spelled.items()}

    def prefetch(self, objects: Iterable[Any], *, complete: bool = False) -> None:
        """Learn at once what ``url`` needs to know of the files of a page.

        ``objects``: names, field files, model instances; a queryset is all of these.
        One round trip to a shared memo. What it says is used until the request ends
        (without one: for 5 seconds); writes of this process are seen at once, those
        of others are seen by the next request. ``complete``: also what ``exists`` needs
        to know, for which the last backend has to be asked.
        """
        names = list(filenames(objects, self))
        plain = _plain(names)
        clean = self._reachable(names) if plain is None else plain
        self._get_engine().batch.prefetch(clean, complete=complete)

    def forget(self, *names: StrPath) -> None:
        """Forget what is known of names that were changed behind this package's back."""
        cleaned = affected(*map(self._clean, names))
        # (With the engine its memo is known, if it was not yet.)
        with operation(self._get_engine().memo.vary):
            invalidate(cleaned)

    def forget_all(self) -> None:
        """Forget what is known of every name of this chain, wherever that is kept."""
        memo = self._get_engine().memo
        with operation(memo.vary):
            memo.forget_all()

    def hidden(self) -> Iterator[str]:
        """Yield the names that were deleted but that a read-only backend may hold."""
        whiteouts = self._get_engine().home.whiteouts
        return whiteouts.names() if whiteouts else iter(())

    def unhide(self, *names: StrPath) -> None:
        """Undo deletes: what read-only backends hold under these names shows again."""
        engine = self._get_engine()
        with operation(engine.memo.vary):
            for name in names:
                engine.overlay.unhide(self._clean(name))

    def stats(self) -> Stats:
        """Return counters since this instance was first used.

        ``hits``, ``negative_hits``, ``misses``: look-ups in the memo; ``walks``: names
        for which backends were asked whether they hold them; ``coalesced``: callers that waited for another
        one's walk; ``late_fills``: answers not kept because the name was written to
        meanwhile; ``backends``: by name, ``calls``, ``failures`` and ``seconds``
        (without the URLs of files whose holder was known).
        """
        return self._get_engine().stats()

    # The times by the names that the original documents; Django dropped them in 2.0

    def accessed_time(self, name: StrPath) -> datetime:
        """Return ``get_accessed_time`` as the original documents it: naive local time."""
        return _naive(self._fetch("accessed_time", name))

    def created_time(self, name: StrPath) -> datetime:
        """Return ``get_created_time`` as the original documents it: naive local time."""
        return _naive(self._fetch("created_time", name))

    def modified_time(self, name: StrPath) -> datetime:
        """Return ``get_modified_time`` as the original documents it: naive local time."""
        return _naive(self._fetch("modified_time", name))

    # What a chain asks that this one is a backend of: see ``Walk``

    def _probe(self, name: StrPath, *, live: bool, names: bool) -> Outcome:
        engine = self._get_engine()
        with operation(engine.memo.vary):
            if live:
                walk = engine.namer.find(self._clean(name))
            else:
                walk = engine.resolver.locate(self._clean(name), names=names)
        if walk.last in walk.ends:
            return walk.last
        if walk.failed or walk.unsupported:
            raise walk.error()
        return Outcome.ABSENT if walk.taken is None else Outcome.TAKEN

    def _look_again(self, name: StrPath) -> Outcome:
        # Of a file that it remembers to be here.
        engine = self._get_engine()
        with operation(engine.memo.vary):
            return engine.resolver.look_again(self._clean(name))

    def _reachable(self, names: Iterable[StrPath]) -> Iterator[str]:
        for name in names:
            try:
                clean = self._clean(name)
            except SuspiciousFileOperation:
                continue  # nor does ``url`` ask for it
            yield clean

    # What storages have, and a chain has not

    bucket = _OfABackend()
    bucket_name = _OfABackend()
    client = _OfABackend()
    connection = _OfABackend()
    custom_domain = _OfABackend()


def _plain(names: Sequence[StrPath]) -> list[str] | None:
    """Return names that are all clean; None: they may not be."""
    texts = [name for name in names if type(name) is str]
    return texts if len(texts) == len(names) and are_plain(texts) else None


def _naive(moment: datetime) -> datetime:
    return timezone.make_naive(moment) if timezone.is_aware(moment) else moment
