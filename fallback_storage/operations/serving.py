"""What a view serves: a file's bytes, wherever they are, and what its headers say.

A local file is read where it is. One that is further down is passed on as it arrives; and
kept at home when all of it has gone through, where files are promoted.
"""

from __future__ import annotations

import os
import tempfile
from contextvars import copy_context
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from fallback_storage.chain.look import is_plain_directory
from fallback_storage.chain.outcomes import Outcome
from fallback_storage.chain.streams import PART, Streamed
from fallback_storage.chain.walk import NOTHING, Walk
from fallback_storage.signals import resolved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fallback_storage.chain.backend import Backend
    from fallback_storage.chain.resolver import Resolver
    from fallback_storage.operations.copies import Copies

# Begins one more download: returns what ends it, or None if there are enough.
Begin: TypeAlias = "Callable[[], Callable[[], object] | None]"
# What is called with all of the content, once that has been read, and its time.
Keep: TypeAlias = "Callable[[Any, datetime | None], object] | None"

# Looks for a file whose holder turned out to have lost it.
TRIES: Final = 3


class Content:
    """A file that is about to be served.

    ``size`` in bytes; ``modified``: aware, in UTC, or None; ``etag``: quoted, or "".
    ``file``: what the bytes are read from, if that is open already; ``path``: where it is,
    if that is a place that others may be told; ``is_first``: in the first local directory
    of the chain. ``keep``: is called with all of the
    content, once that has been read; ``end``: when this is closed.
    """

    def __init__(
        self,
        streamed: Streamed,
        file: Any = None,
        path: str | None = None,
        keep: Keep = None,
        end: Callable[[], object] | None = None,
    ) -> None:
        self.size, self.modified, self.etag, self._read = streamed
        self.file = file
        self.path = path
        self.is_first = True
        self._keep, self._end = keep, end

    def parts(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes from ``start`` to before ``stop``, then close.

        Raises ``EOFError`` if there are fewer, or more, than there should be.
        """
        copy = None
        if self._keep and (start, stop) == (0, self.size):
            copy = _Copy()
        left = stop - start
        try:
            for part in self._read(start, stop):
                left -= len(part)
                if left < 0:
                    break
                if copy is not None:
                    copy.write(part)
                yield part
            if left:
                raise EOFError("The file has another size than it had.")
            if copy is not None and self._keep is not None:
                copy.give(self._keep, self.modified)
        finally:
            if copy is not None:
                copy.close()
            self.close()

    def close(self) -> None:
        """Close the file, if one is open."""
        try:
            if self.file is not None:
                self.file.close()
        finally:
            if self._end is not None:
                self._end()


class _Copy:
    """What was passed on, for as long as there is room for it."""

    def __init__(self) -> None:
        self._file: Any = None
        self._is_whole = True

    def write(self, part: bytes) -> None:
        try:
            if self._is_whole:
                self._file = self._file or tempfile.TemporaryFile()  # noqa: SIM115
                self._file.write(part)
        except OSError:  # who reads is told what he asked for
            self._is_whole = False
            self.close()

    def give(self, keep: Callable[..., object], modified: datetime | None) -> None:
        if self._is_whole:
            self.write(b"")  # of an empty file nothing came
            self._file.seek(0)
            keep(self._file, modified)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


class TooManyQuestions(Exception):
    """Raised where one more name would have to be asked of backends that are far away."""


class TooManyDownloads(Exception):
    """Raised where one more file would have to be fetched from a backend."""


class Server:
    """Finds what is to be served, for one chain."""

    def __init__(
        self, backends: Sequence[Backend], resolver: Resolver, copies: Copies
    ) -> None:
        self._backends = tuple(backends)
        self._resolver = resolver
        self._copies = copies

    def holder(self, name: str, may_ask: Callable[[], bool]) -> int | None:
        """Return which backend holds a file; None: it is held by none, or hidden.

        ``name`` is clean; ``may_ask`` tells whether one may be asked for that nothing is
        known of. Raises ``TooManyQuestions`` if not, and what ``Walk.error`` says if the
        answer is not certain.
        """
        looks = [backend.look is not None for backend in self._backends]
        near = [*looks, False].index(False)
        if near:
            walk = self._resolver.locate(name, near, "open")
            if walk.holder is not None:
                return walk.holder
        if near < len(looks):
            known, _ = self._resolver.recall.look_up(name)
            if not known.suffices(len(looks)) and not may_ask():
                raise TooManyQuestions
        walk = self._resolver.locate(name, operation="open")
        if walk.holder is None and walk.failed:
            raise walk.error()
        return walk.holder

    def content(
        self, name: str, may_ask: Callable[[], bool], begin: Begin
    ) -> Content | None:
        """Return what is to be served under a name, or None: see ``holder``.

        Raises what the backends raise, and ``TooManyDownloads`` if all of a file has to
        be fetched for that, and ``begin`` says that it may not.
        """
        first = self._backends[0]
        if not (first.read_only or resolved.receivers) and _is_plain(first):
            # A file there is the answer, whatever is remembered, and hides all others.
            opened = Walk("open", name).call(first, self._open_local, 0, name)
            if isinstance(opened, Content):
                return opened
        for _ in range(TRIES):
            index = self.holder(name, may_ask)
            if index is None:
                return None
            walk = Walk("open", name)
            content = self._open(walk, index, begin)
            if content is not None:
                return content
            if walk.failed or walk.last is Outcome.UNSUPPORTED:
                raise walk.error()
            self._resolver.recall.lose(name)
        return None

    def url(self, name: str, may_ask: Callable[[], bool]) -> str | None:
        """Return the URL of a file that is in no local directory; None: it has none."""
        index = self.holder(name, may_ask)
        if index is None or self._backends[index].look is not None:
            return None
        walk = Walk("url", name)
        found = walk.ask(self._backends[index], "url", name)
        return None if found is NOTHING else found

    def _open_local(self, index: int, name: str) -> Content:
        path = self._backends[index].storage.path(name)
        # Without a buffer: who reads it takes large parts, and who serves it closes it.
        file = open(path, "rb", buffering=0)  # noqa: PTH123, SIM115
        stat = os.fstat(file.fileno())
        modified = datetime.fromtimestamp(stat.st_mtime, UTC)
        etag = f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'
        streamed = Streamed(stat.st_size, modified, etag, _reader(file))
        content = Content(streamed, file, path)
        content.is_first = all(each.look is None for each in self._backends[:index])
        return content

    def _open(self, walk: Walk, index: int, begin: Begin) -> Content | None:
        backend, name = self._backends[index], walk.name
        if _is_plain(backend):
            opened = walk.call(backend, self._open_local, index, name)
            return None if opened is NOTHING else opened
        keep = self._keeper(name, index)
        if backend.profile.stream is not None:
            streamed = walk.put(backend, backend.lend, backend.profile.stream, name)
            if streamed is not NOTHING:
                if keep and not self._copies.has_room(name, streamed.size):
                    keep = None
                return Content(streamed, keep=keep)
            if walk.last is not Outcome.UNSUPPORTED:
                return None
        return self._fetch(walk, backend, begin, keep)

    def _fetch(
        self, walk: Walk, backend: Backend, begin: Begin, keep: Keep
    ) -> Content | None:
        end = begin()
        if end is None:
            raise TooManyDownloads
        try:
            opened = walk.ask(backend, "_open", walk.name, "rb")
            if opened is not NOTHING:
                return Content(*_spooled(opened), keep=keep, end=end)
        except BaseException:
            end()
            raise
        end()
        return None

    def _keeper(self, name: str, index: int) -> Keep:
        """Return what copies a file to the home, once it has been read."""
        if not self._copies.promotes(name, index):
            return None
        # Later, and perhaps in another thread: for the tenant of now.
        context = copy_context()
        return lambda *copy: context.run(self._copies.keep, name, index, *copy)


def _is_plain(backend: Backend) -> bool:
    return is_plain_directory(backend.storage, "open", "_open")


def _spooled(opened: Any) -> tuple[Streamed, Any]:
    """Return a file of a storage that gives no parts, fetched."""
    file: Any = tempfile.TemporaryFile()  # noqa: SIM115
    try:
        for chunk in iter(lambda: opened.read(PART), b""):
            file.write(chunk)
    except BaseException:
        file.close()
        raise
    finally:
        opened.close()
    return Streamed(file.tell(), None, "", _reader(file)), file


def _reader(file: Any) -> Callable[[int, int], Iterator[bytes]]:
    def read(start: int, stop: int) -> Iterator[bytes]:
        file.seek(start)
        left = stop - start
        while left > 0 and (part := file.read(min(PART, left))):
            left -= len(part)
            yield part

    return read
