"""Which bytes of a file a request is for: RFC 9110, sections 13.1.5 and 14."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from django.utils.http import http_date, parse_http_date_safe

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

# One range: more in one answer help nobody, and may be ignored (14.2). Numbers of any
# length that a sane client writes.
RANGE: Final = re.compile(
    r"bytes=[ \t]*([0-9]{0,40})-([0-9]{0,40})[ \t]*", re.IGNORECASE
)


class UnsatisfiableError(Exception):
    """Raised for a range of which the file has nothing: 416."""


def wanted_range(
    headers: Mapping[str, str], size: int, etag: str, modified: datetime | None
) -> tuple[int, int] | None:
    """Return the first byte that is wanted, and the one after the last; None: all.

    Raises ``UnsatisfiableError``.
    """
    header = headers.get("Range")
    if header is None or not _is_of_this(headers.get("If-Range"), etag, modified):
        return None
    return parse_range(header, size)


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """Return the same for a ``Range`` alone; what is no valid one is ignored."""
    match = RANGE.fullmatch(header.strip())
    if match is None or match.group(0).strip().endswith("=-"):
        return None
    first, last = match.groups()
    if not first:
        return _suffix(int(last), size)
    start = int(first)
    if last and int(last) < start:
        return None
    if start >= size:
        raise UnsatisfiableError
    return start, min(int(last) + 1, size) if last else size


def _suffix(length: int, size: int) -> tuple[int, int] | None:
    if not length:
        raise UnsatisfiableError
    # The last bytes of an empty file are all of it.
    return (max(0, size - length), size) if size else None


def _is_of_this(condition: str | None, etag: str, modified: datetime | None) -> bool:
    """Whether the parts that a client has are of this very file, if it asks for that.

    By a strong ETag, or by the date as it was sent.
    """
    if condition is None:
        return True
    condition = condition.strip()
    if condition.startswith('"'):
        return condition == etag
    told = parse_http_date_safe(condition)
    return (
        told is not None
        and modified is not None
        and condition == http_date(modified.timestamp())
    )
