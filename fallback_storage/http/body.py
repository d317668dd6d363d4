"""The bytes of a file from an answer: all of them, no others, and in time."""

from __future__ import annotations

import mimetypes
import time
import zlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from urllib3 import exceptions as problems

from fallback_storage.exceptions import OriginError, OriginUnreachableError
from fallback_storage.http.clock import deadline
from fallback_storage.http.origin import translated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fallback_storage.http.origin import Answer

CHUNK: Final = 64 * 1024

# Of these the length is not that of the file.
PARTS: Final = frozenset(
    {HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE}
)

# Bytes a second, in the long run. What comes slower is no download but a trickle.
MIN_RATE: Final = 1024

GZIP: Final = frozenset({"gzip", "x-gzip"})
GZIP_HEADER: Final = 16 + zlib.MAX_WBITS


def encoding_of(answer: Answer, name: str) -> str:
    """Return how the file is encoded on its way; "" if its bytes come as they are.

    Servers and Django mark what ends in .gz as encoded whether or not that was asked
    for; there the mark speaks of the file itself.
    """
    encoding = answer.headers.get("Content-Encoding", "").strip().lower()
    if encoding in GZIP and mimetypes.guess_type(name)[1] == "gzip":
        return ""
    return "" if encoding == "identity" else encoding


def length_of(answer: Answer, name: str) -> int | None:
    """Return the size of the file, in bytes, if the answer's head tells it."""
    if encoding_of(answer, name):
        return None
    text = answer.headers.get("Content-Length", "")
    if answer.status in PARTS:
        text = answer.headers.get("Content-Range", "").rpartition("/")[2]
    return int(text) if text.isascii() and text.isdigit() else None


class Body:
    """The content of a file, part by part; the answer is closed with it.

    Raises ``OriginUnreachableError`` where it breaks off, or comes slower than
    ``MIN_RATE``, and ``OriginError`` if it has more than ``max_size`` bytes or is
    encoded in a way that was not asked for. ``timeout``: seconds until the next part.
    """

    def __init__(
        self, answer: Answer, name: str, *, timeout: float, max_size: int
    ) -> None:
        self._answer = answer
        self._timeout = timeout
        self._max_size = max_size
        encoding = encoding_of(answer, name)
        try:
            self._refuse(encoding, length_of(answer, name))
        except OriginError:
            self.close()
            raise
        self._parts = self._gunzipped() if encoding else self._received()

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        try:
            for part in self._parts:
                size += len(part)
                self._refuse_more_than_allowed(size)
                yield part
        finally:
            self.close()

    def close(self) -> None:
        """Give up the rest. What is given up in the middle costs its connection."""
        self._answer.close()

    def _refuse(self, encoding: str, length: int | None) -> None:
        if encoding and encoding not in GZIP:
            raise OriginError(f"it sends the encoding {encoding[:20]!r}, unasked")
        if self._answer.status not in PARTS:
            self._refuse_more_than_allowed(length or 0)

    def _refuse_more_than_allowed(self, size: int) -> None:
        if size > self._max_size:
            raise OriginError(
                f"the file has more than max_size, {self._max_size} bytes"
            )

    def _received(self) -> Iterator[bytes]:
        response = self._answer.response
        received, waited = 0, 0.0
        while True:
            start = time.monotonic()
            try:
                with deadline(self._timeout):
                    part = response.read1(CHUNK, decode_content=False)
            except (problems.HTTPError, TimeoutError) as error:
                raise translated(error) from error
            if not part:
                return
            # Only this: a reader of the file may take his time.
            waited += time.monotonic() - start
            received += len(part)
            if received < MIN_RATE * (waited - self._timeout):
                raise OriginUnreachableError("it sends next to nothing")
            yield part

    def _gunzipped(self) -> Iterator[bytes]:
        """Yield what was compressed; there may be one stream after the other."""
        gunzip = None
        for received in self._received():
            left = received
            while left:
                if gunzip is None or gunzip.eof:
                    gunzip = zlib.decompressobj(GZIP_HEADER)
                yield from _inflated(gunzip, left)
                left = gunzip.unused_data
        if gunzip and not gunzip.eof:
            raise OriginUnreachableError("its compressed content breaks off")


def _inflated(gunzip: zlib._Decompress, received: bytes) -> Iterator[bytes]:
    """Yield what compressed bytes stand for, in parts: little can stand for a lot."""
    try:
        while part := gunzip.decompress(received, CHUNK):
            yield part
            received = gunzip.unconsumed_tail
    except zlib.error:
        raise OriginUnreachableError("its compressed content is broken") from None
