"""A response's body: parts of a file, under WSGI and ASGI."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator


class Parts:
    """An iterator over bytes; ``ends``: what is called once it is done, or given up."""

    def __init__(self, parts: Iterator[bytes], *ends: Callable[[], Any]) -> None:
        self._parts = parts
        self._ends = list(ends)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._parts)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End it. What was begun and not read to its end is given up."""
        close = getattr(self._parts, "close", None)
        try:
            if close is not None:
                close()
        except ValueError:  # another thread reads the last part: it ends with that
            pass
        finally:
            while self._ends:
                self._ends.pop()()

    # One that nobody began has no other end.
    __del__ = close


class AsyncParts:
    """The same for an event loop, which never waits for a backend."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.close = parts.close

    async def __aiter__(self) -> AsyncIterator[bytes]:
        # Not in the one thread that all synchronous code of a site waits for.
        following = sync_to_async(self._following, thread_sensitive=False)
        while (part := await following()) is not None:
            yield part

    def _following(self) -> bytes | None:
        return next(self._parts, None)
