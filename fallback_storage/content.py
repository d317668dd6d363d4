"""Content that can be saved more than once.

A save that fails over hands the same content to several storages. Some of them leave
it read to its end, some close it, FileSystemStorage moves a temporary file away; and
``File.chunks()`` of content that cannot seek yields nothing the second time, without
an error. What this module hands out survives all of that.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from django.core.files.base import File

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    AnyFile = File[Any]
else:
    AnyFile = File  # generic in its stubs only

# Bytes that spooled content may take in memory; the rest goes to a temporary file.
SPOOL_MEMORY = 5 * 1024 * 1024
CHUNK = 64 * 1024


class Guarded(AnyFile):
    """A view of another file object that storages may read but not close.

    Attributes that a storage may look for (``content_type``, ``charset``, ...) are
    those of the original. ``movable``: FileSystemStorage may move the original's
    temporary file away, as it does without this package; only for the first attempt.
    ``file`` replaces what is read. ``begin`` is called when it is read first.
    """

    def __init__(
        self,
        original: Any,
        *,
        movable: bool,
        file: Any = None,
        begin: Callable[[], None] | None = None,
    ) -> None:
        self._original = original
        self._movable = movable
        self._begin: Callable[[], None] | None = None
        name = getattr(original, "name", None)
        super().__init__(original if file is None else file, name)
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
        if attribute.startswith("_"):
            raise AttributeError(attribute)
        if attribute == "temporary_file_path":
            if not self._movable:
                raise AttributeError(attribute)
            _ = self.file  # to move it is to read it
        return getattr(self._original, attribute)

    def chunks(self, chunk_size: int | None = None) -> Iterator[Any]:
        """Yield the original's own chunks: it may make them as it goes."""
        source: Any = self._original
        if self.file is not source:
            source = super()
        yield from source.chunks(*() if chunk_size is None else (chunk_size,))

    def close(self) -> None:
        """Leave the original open: it is its owner's, and may be needed again."""


def is_seekable(content: Any) -> bool:
    """Rewind ``content``, if it can be read from its start again; else false."""
    try:
        seekable = getattr(content, "seekable", None)
        if seekable is not None and not seekable():
            return False
        content.seek(0)
    except (AttributeError, OSError, ValueError):
        # io.UnsupportedOperation is an OSError and a ValueError.
        return False
    return True


@contextmanager
def rewindable(content: Any) -> Iterator[Any]:
    """Yield ``content``, or a spooled copy if it cannot seek; at its start."""
    if is_seekable(content):
        yield content
        return
    with tempfile.SpooledTemporaryFile(max_size=SPOOL_MEMORY) as spool:
        for chunk in content.chunks():
            spool.write(_as_bytes(chunk))
        spool.seek(0)
        yield Guarded(content, movable=False, file=spool)


def is_cut_short(partial: Any, content: Any) -> bool:
    """Whether the bytes of ``partial`` are a beginning of ``content``, not all of it.

    Both are open file objects; ``content`` is read from its start.
    """
    content.seek(0)
    chunks = content.chunks()
    expected = b""
    while found := partial.read(CHUNK):
        while len(expected) < len(found):
            chunk = next(chunks, None)
            if chunk is None:
                return False
            expected += _as_bytes(chunk)
        if not expected.startswith(found):
            return False
        expected = expected[len(found) :]
    return bool(expected) or _goes_on(chunks)


def _goes_on(chunks: Iterator[Any]) -> bool:
    try:
        return next(chunks, None) is not None
    except Exception:  # noqa: BLE001 - what cannot be read on was cut off there
        return True


def _as_bytes(chunk: bytes | str) -> bytes:
    return chunk.encode() if isinstance(chunk, str) else bytes(chunk)
