"""The bytes of a file from an answer: all of them, no others, and in time."""

from __future__ import annotations

import mimetypes
import re
import time
import zlib
from contextlib import closing
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from urllib3 import exceptions as problems

from fallback_storage.exceptions import OriginError, OriginUnreachableError
from fallback_storage.http.clock import deadline
from fallback_storage.http.origin import translated

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from fallback_storage.http.origin import Answer

CHUNK: Final = 64 * 1024

# Of these the length is not that of the file.
PARTS: Final = frozenset(
    {HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE}
)

# Bytes a second, in the long run. What comes slower is no download but a trickle.
MIN_RATE: Final = 1024

# Of more digits than these is no file.
LENGTH: Final = re.compile(r"[0-9]{1,18}")
CONTENT_RANGE: Final = re.compile(
    r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", re.IGNORECASE
)

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
    if answer.status in PARTS:
        text = answer.headers.get("Content-Range", "").rpartition("/")[2]
    elif "Transfer-Encoding" in answer.headers:
        return None
    else:
        text = answer.headers.get("Content-Length", "")
    return int(text) if LENGTH.fullmatch(text) else None


def length_of_part(answer: Answer, name: str, start: int, stop: int | None) -> int:
    """Return how many bytes a part of a file has, from ``start`` to before ``stop``.

    Raises ``NotImplementedError`` if the answer is no part, and ``OriginError`` if it is
    another one.
    """
    if answer.status != HTTPStatus.PARTIAL_CONTENT or encoding_of(answer, name):
        raise NotImplementedError("The site sends no parts of this file.")
    sent = CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    if sent is None:
        raise OriginError("it does not say which part of the file it sends")
    first, last = int(sent[1]), int(sent[2])
    # Not every server knows how long the file is.
    total = last + 1 if sent[3] == "*" else int(sent[3])
    end = total if stop is None else stop if sent[3] == "*" else min(stop, total)
    if (first, last + 1) != (start, end):
        raise OriginError("it sends another part of the file than was asked for")
    return end - start


def content_of(
    answer: Answer,
    name: str,
    *,
    timeout: float,
    max_size: int,
    length: int | None = None,
) -> Generator[bytes]:
    """Return an iterator over the bytes of a file; the answer is closed with it.

    ``timeout``: seconds until the next part. ``length``: of a part of a file. Raises
    ``OriginError`` if the file has more than ``max_size`` bytes, or is encoded in a way
    that was not asked for. The iterator raises that, too, and
    ``OriginUnreachableError`` where the content breaks off, or comes slower than
    ``MIN_RATE``.
    """
    encoding = encoding_of(answer, name)
    if encoding and encoding not in GZIP:
        raise OriginError(f"it sends the encoding {encoding[:20]!r}, unasked")
    if length is None:
        if answer.status == HTTPStatus.PARTIAL_CONTENT:
            raise OriginError("it sends a part of the file, unasked")
        _refuse_more(length_of(answer, name) or 0, max_size)
    received = _begun(_received(answer, timeout, max_size, length))
    return _begun(_gunzipped(received, max_size)) if encoding else received


def _begun(parts: Generator[bytes]) -> Generator[bytes]:
    """Return an iterator that closes what it reads, also if nobody reads it.

    (Closed before it is begun, one keeps its variables in CPython 3.13.)
    """
    next(parts)
    return parts


def _refuse_more(size: int, max_size: int) -> None:
    if size > max_size:
        raise OriginError(f"the file has more than max_size, {max_size} bytes")


def _received(
    answer: Answer, timeout: float, max_size: int, length: int | None
) -> Generator[bytes]:
    received, waited = 0, 0.0
    with answer:
        yield b""
        while True:
            start = time.monotonic()
            try:
                with deadline(timeout):
                    part = answer.response.read1(CHUNK, decode_content=False)
            except (problems.HTTPError, TimeoutError) as error:
                raise translated(error) from error
            if not part:
                break
            # Only this: a reader of the file may take his time.
            waited += time.monotonic() - start
            received += len(part)
            _refuse_more(received, max_size)
            if received < MIN_RATE * (waited - timeout):
                raise OriginUnreachableError("it sends next to nothing")
            yield part
    if length is not None and received != length:
        raise OriginUnreachableError("it sends more or less than it said")


def _gunzipped(received: Generator[bytes], max_size: int) -> Generator[bytes]:
    """Yield what was compressed; there may be one stream after the other."""
    gunzip, size = zlib.decompressobj(GZIP_HEADER), 0
    with closing(received):
        yield b""
        for part in received:
            left = part
            while left:
                if gunzip.eof:
                    gunzip = zlib.decompressobj(GZIP_HEADER)
                for inflated in _inflated(gunzip, left):
                    size += len(inflated)
                    _refuse_more(size, max_size)
                    yield inflated
                left = gunzip.unused_data
    if not gunzip.eof:
        raise OriginUnreachableError("its compressed content breaks off")


def _inflated(gunzip: zlib._Decompress, received: bytes) -> Iterator[bytes]:
    """Yield what compressed bytes stand for, in parts: little can stand for a lot."""
    try:
        while part := gunzip.decompress(received, CHUNK):
            yield part
            received = gunzip.unconsumed_tail
    except zlib.error:
        raise OriginUnreachableError("its compressed content is broken") from None
