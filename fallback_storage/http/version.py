"""Which version of a file an answer speaks of: by size, time and ETag."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from django.utils.http import parse_http_date_safe

from fallback_storage.exceptions import OriginError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fallback_storage.http.origin import Answer

# Size in bytes, time of modification (aware, UTC) or None, ETag or "".
About: TypeAlias = tuple[int, datetime | None, str]

# Of the bytes, or (weak) of what they mean.
ETAG: Final = re.compile(r'(W/)?"[^"]*"')


def modified_in(answer: Answer) -> datetime | None:
    """Return the time of the file, aware and in UTC, if the answer tells it."""
    told = parse_http_date_safe(answer.headers.get("Last-Modified", ""))
    return None if told is None else datetime.fromtimestamp(told, UTC)


def version_in(answer: Answer) -> tuple[datetime | None, str]:
    """Return the time of the file, and its ETag, or ""."""
    etag = answer.headers.get("ETag", "")
    return modified_in(answer), etag if ETAG.fullmatch(etag) else ""


def refuse_another(found: Sequence[Any], about: About) -> None:
    """Raise ``OriginError`` if an answer denies what another one has said of the file.

    Here, and not by If-Match in the request, which not every server knows (lighttpd).
    """
    for now, then in zip(map(_strong, found), map(_strong, about), strict=True):
        if now != then and {"", None}.isdisjoint((now, then)):
            raise OriginError("the file has changed since it was asked for")


def _strong(fact: Any) -> Any:
    # What is compressed on its way has a weak ETag of the same text.
    return fact.removeprefix("W/") if isinstance(fact, str) else fact
