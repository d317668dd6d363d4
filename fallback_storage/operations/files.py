"""File objects: content that can be saved more than once, and what ``open`` returns.

A save that fails over hands the same content to several storages. Some of them leave
it read to its end, some close it, FileSystemStorage moves a temporary file away; and what
cannot seek yields nothing the second time. What this module hands out survives all that.
"""

from __future__ import annotations

import io
import tempfile
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

from django.core.files.base import File

from fallback_storage.cache.invalidation import announced, places
from fallback_storage.chain.names import affected
from fallback_storage.utils.spools import SPOOL_MEMORY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    AnyFile = File[Any]
else:
    AnyFile = File  # generic in its stubs only

# In place of a name: there is none, because the content could not be read.
FAILED_CONTENT: Final = object()


class FileView(AnyFile):
    """A file object in front of another, which answers what is not answered here.

    Also what Django's ``File`` would answer by itself, and not as other files do: an
    unnamed one is false, and so a file in front of it passes for closed.
    """

    def __init__(self, viewed: Any, file: Any = None) -> None:
        self._viewed = viewed
        file = viewed if file is None else file
        super().__init__(file, getattr(viewed, "name", None))

    def __getattr__(self, attribute: str) -> Any:
        # Not of copies and pickles, which have no such attribute yet.
        if attribute.startswith("_"):
            raise AttributeError(attribute)
        return getattr(self._viewed, attribute)

    def __bool__(self) -> bool:
        return bool(self._viewed)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._viewed)

    @property
    def closed(self) -> bool:
        """Whether the file is closed."""
        return bool(self._viewed.closed)

    @property
    def size(self) -> int:
        """The size in bytes, of now."""
        if hasattr(self._viewed, "size"):
            return int(self._viewed.size)
        # A plain file of Python's.
        return int(AnyFile.size.func(self))  # type: ignore[attr-defined]

    def open(self, mode: str | None = None, *args: Any, **kwargs: Any) -> Self:
        """Open the file again, as it does that itself."""
        self._viewed.open(mode, *args, **kwargs)
        return self

    def chunks(self, chunk_size: int | None = None) -> Iterator[Any]:
        """Yield the file's own chunks: it may make them as it goes."""
        yield from self._viewed.chunks(*() if chunk_size is None else (chunk_size,))


def _watched(method: str) -> property:
    return property(lambda self: partial(self.watch, getattr(self.file, method)))


class Guarded(FileView):
    """A view of another file object that storages may read but not close.

    Attributes that a storage may look for (``content_type``, ``charset``, ...) are
    those of the original. ``movable``: FileSystemStorage may move the original's
    temporary file away, as it does without this package; while nobody has touched it.
    ``begin`` is called when it is read first. ``failure``: what that raised the last
    time, which is no fault of the storage.
    """

    def __init__(
        self,
        original: Any,
        *,
        movable: bool,
        begin: Callable[[], None] | None = None,
    ) -> None:
        self._movable = movable
        self._begin: Callable[[], None] | None = None
        self.failure: BaseException | None = None
        super().__init__(original)
        self._begin = begin

    @property
    def file(self) -> Any:
        """What is read."""
        begin, self._begin = self._begin, None
        if begin is not None:
            begin()
        return self._file

    @file.setter
    def file(self, file: Any) -> None:
        self._file = file

    def __getattr__(self, attribute: str) -> Any:
        if attribute == "temporary_file_path":
            if not self._movable:
                raise AttributeError(attribute)
            _ = self.file  # to move it is to read it
        return super().__getattr__(attribute)

    # All by which storages read; hasattr() says of each what the original has.
    read = _watched("read")
    readinto = _watched("readinto")
    readline = _watched("readline")
    readlines = _watched("readlines")

    def __iter__(self) -> Iterator[Any]:
        return self._each(iter(self.file))

    def chunks(self, chunk_size: int | None = None) -> Iterator[Any]:
        """Yield the original's own chunks."""
        _ = self.file
        return self._each(super().chunks(chunk_size))

    def _each(self, iterator: Iterator[Any]) -> Iterator[Any]:
        self.failure = None
        try:
            yield from iterator
        except Exception as error:
            self.failure = error
            raise

    def watch(self, function: Callable[..., Any], *args: Any) -> Any:
        """Return what a function that reads returns; note what it raises."""
        try:
            answer = function(*args)
        except BaseException as error:
            self.failure = error
            raise
        self.failure = None
        return answer

    def save_by(self, save: Callable[[str, Any], str], name: str) -> Any:
        """Return what ``save(name, self)`` does; ``FAILED_CONTENT`` if it could not read.

        Some storages raise an error of their own in place of the content's.
        """
        try:
            return save(name, self)
        except Exception:
            if self.failure is None:
                raise
            return FAILED_CONTENT

    def __bool__(self) -> bool:
        # Before Django 6.1 a file without a name is false, and a storage that sends
        # "the content or nothing" sends nothing of it.
        return True

    def close(self) -> None:
        """Leave the original open: it is its owner's, and may be needed again."""


class _Spooled(FileView):
    """Content that can be read once, from the copy that was made of it then."""

    closed = AnyFile.closed
    size = AnyFile.size
    open = AnyFile.open
    chunks = AnyFile.chunks
    __iter__ = AnyFile.__iter__

    def __getattr__(self, attribute: str) -> Any:
        if attribute == "temporary_file_path":
            raise AttributeError(attribute)
        return super().__getattr__(attribute)


def is_seekable(content: Any) -> bool:
    """Rewind ``content``, if it can be read from its start again; else false."""
    try:
        seekable = getattr(content, "seekable", None)
        if seekable is not None and not seekable():
            return False
        content.seek(0)
    except (AttributeError, OSError, ValueError):  # io.UnsupportedOperation is both
        return False
    return True


def is_text(content: Any) -> bool:
    """Whether what is read of it is text."""
    return isinstance(getattr(content, "file", content), io.TextIOBase)


def rewindable(content: Any, *, in_bytes: bool = False) -> Any:
    """Return what yields ``content``, or a spooled copy if it cannot seek; at its start.

    ``in_bytes``: a copy of text as well, in UTF-8.
    """
    copies = not is_seekable(content) or (in_bytes and is_text(content))
    return _spooled(content) if copies else nullcontext(content)


@contextmanager
def _spooled(content: Any) -> Iterator[Any]:
    with tempfile.SpooledTemporaryFile(max_size=SPOOL_MEMORY) as spool:
        for chunk in content.chunks():
            spool.write(as_bytes(chunk))
        spool.seek(0)
        yield _Spooled(content, spool)


def as_bytes(chunk: bytes | str) -> bytes:
    """Return what is stored of a chunk."""
    return chunk.encode() if isinstance(chunk, str) else bytes(chunk)


class ReadFile(FileView):
    """A file of a read-only backend; opened again for writing, it is the chain's.

    Django's ``File.open`` opens a local file again by its path, in any mode: a
    ``FieldFile.open("rb+")`` after a read would write to the read-only backend.
    """

    file: Any

    def __init__(
        self, file: Any, name: str, write: Callable[[str, str], AnyFile]
    ) -> None:
        super().__init__(file)
        self._name, self._write = name, write
        self._is_written = False

    def writable(self) -> bool:
        """Whether it was opened again for writing."""
        return self._is_written

    def write(self, data: Any) -> int:
        """Refuse, unless the file was opened again for writing."""
        # What a storage in memory opens can be written to in any mode.
        self._refuse_unwritten()
        return self.file.write(data)  # type: ignore[no-any-return]

    def writelines(self, lines: Iterable[Any]) -> None:
        self._refuse_unwritten()
        self.file.writelines(lines)

    def truncate(self, size: int | None = None) -> int:
        self._refuse_unwritten()
        return self.file.truncate(size)  # type: ignore[no-any-return]

    def _refuse_unwritten(self) -> None:
        if not self._is_written:
            raise io.UnsupportedOperation("The file was opened for reading.")

    def open(self, mode: str | None = None, *args: Any, **kwargs: Any) -> Self:
        """Open the file again, where that may be done in this mode."""
        if mode is None or not set(mode) & set("wax+"):
            return super().open(mode, *args, **kwargs)
        self.file.close()
        self.file = self._viewed = self._write(self._name, mode)
        self._is_written = True
        self.name, self.mode = self.file.name, mode
        return self


class WrittenFile(FileView):
    """A file opened for writing: the memo forgets its name again when it is closed.

    That of the tenant for whom it was opened: who closes it may be any other.
    """

    def __init__(self, file: Any, name: str, show: Callable[[], None]) -> None:
        super().__init__(file)
        self._name, self._show = name, show
        self._places = places()

    def close(self) -> None:
        """Close the file and forget what was known of its name."""
        announced(self._close, lambda: affected(self._name), self._places)

    def _close(self) -> None:
        self._viewed.close()
        self._show()
