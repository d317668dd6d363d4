"""The methods for async views: those of a storage, called where they may wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from django.core.files.base import File

from fallback_storage.signals import resolved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fallback_storage.chain.names import StrPath
    from fallback_storage.chain.outcomes import Resolution
    from fallback_storage.operations.engine import Engine


class Awaited:
    """Each method does what the one without "a" does; the event loop never waits for it.

    By ``sync_to_async``, in the thread in which Django calls synchronous code of this
    request: so two of them that are gathered come one after the other.
    """

    if TYPE_CHECKING:
        _engine: Engine | None
        _own: Callable[[str], Any]
        exists: Callable[[StrPath], bool]
        url: Callable[..., str]
        open: Callable[..., File[Any]]
        resolve: Callable[[StrPath], Resolution]
        resolve_many: Callable[[Iterable[StrPath]], dict[str, Resolution]]
        prefetch: Callable[..., None]

    async def aexists(self, name: StrPath) -> bool:
        """Return what ``exists`` does; at once of a file that is known to be elsewhere."""
        engine = self._engine
        if engine and not (resolved.receivers or self._own("exists")):
            code = engine.peek(name)  # type: ignore[arg-type]
            # In a local directory it would be looked at: a disk can hang.
            if code is not None and code & 1 and not engine.backends[code >> 1].glance:
                return True
        return await sync_to_async(self.exists)(name)

    async def aurl(self, name: StrPath | None, *args: Any, **kwargs: Any) -> str:
        """Return what ``url`` does."""
        return await sync_to_async(self.url)(name, *args, **kwargs)

    async def aopen(self, name: StrPath) -> File[Any]:
        """Return a file to read bytes from, all of which have been fetched already."""
        return await sync_to_async(self._fetched)(name)

    def _fetched(self, name: StrPath) -> File[Any]:
        from tempfile import SpooledTemporaryFile

        from fallback_storage.utils.spools import SPOOL_MEMORY

        spool: Any = SpooledTemporaryFile(SPOOL_MEMORY)  # noqa: SIM115
        try:
            with self.open(name, "rb") as opened:
                spool.writelines(opened.chunks())
            spool.seek(0)
        except BaseException:
            spool.close()
            raise
        return File(spool, str(name))

    async def aresolve(self, name: StrPath) -> Resolution:
        """Return what ``resolve`` does."""
        return await sync_to_async(self.resolve)(name)

    async def aresolve_many(self, names: Iterable[StrPath]) -> dict[str, Resolution]:
        """Return what ``resolve_many`` does."""
        return await sync_to_async(self.resolve_many)(names)

    async def aprefetch(
        self, objects: Iterable[Any], *, complete: bool = False
    ) -> None:
        """Learn what ``prefetch`` does; a queryset is evaluated there, too."""
        await sync_to_async(self.prefetch)(objects, complete=complete)
