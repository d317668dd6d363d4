"""Facts: what is remembered of a file beside who holds it, its size and time.

They are text behind the code of an entry (``cache.entry``), and live and die with it::

    20480,1764280000000000      bytes; microseconds since 1970, UTC

What is not known is left out (``20480,``). Only what the storage itself would say is
kept: of a read-only backend whose methods only ask (``Profile.keeps_facts``), and only if
the same answer can be made of it again.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.utils import timezone

if TYPE_CHECKING:
    from fallback_storage.chain.backend import Backend

# The methods that are answered, in the order in which their answers are written.
METHODS = ("size", "get_modified_time")

# Digits that each may have. (What a time of 17 digits means, ``datetime`` knows.)
MOST_DIGITS = (18, 17)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def are_kept_of(backend: Backend) -> bool:
    """Whether a backend's sizes and times are remembered."""
    return backend.read_only and backend.profile.keeps_facts


def write(size: int | None, modified: datetime | None) -> str:
    """Return what is written of a file; ``modified`` is aware. Nothing known: "".

    What is out of all bounds is not known.
    """
    since = (modified - EPOCH) // MICROSECOND if modified else None
    text = f"{'' if size is None else size},{'' if since is None else since}"
    return text if _parts(text) and text != "," else ""


def read(facts: str, method: str) -> Any:
    """Return the answer of a method as it is written; None: it is not."""
    if not facts or method not in METHODS:
        return None
    parts = _parts(facts)
    found = parts and parts[METHODS.index(method)]
    if not found:
        return None
    if method == "size":
        return int(found)
    moment = EPOCH + int(found) * MICROSECOND
    # With a time zone where Django's own clock has one (``USE_TZ``).
    has_zone = timezone.is_aware(timezone.now())
    return moment if has_zone else timezone.make_naive(moment)


def add(facts: str, method: str, answer: Any) -> str:
    """Return facts, and what a storage answered to a method, if that can be kept."""
    if method == "size":
        fresh = write(answer, None) if type(answer) is int else ""
    elif method == "get_modified_time" and isinstance(answer, datetime):
        fresh = write(None, _aware(answer))
    else:
        return facts
    if not fresh or read(fresh, method) != answer:
        return facts
    known, learned = _parts(facts) or ("", ""), fresh.split(",")
    return ",".join(new or old for old, new in zip(known, learned, strict=True))


def _parts(text: str) -> list[str] | None:
    """Return what is written of each method; None: these are no facts."""
    parts = text.split(",")
    if len(parts) != len(MOST_DIGITS) or not text.isascii():
        return None
    for part, most in zip(parts, MOST_DIGITS, strict=True):
        if part and not (part.isdecimal() and len(part) <= most):
            return None
    return parts


def _aware(moment: datetime) -> datetime | None:
    if timezone.is_aware(moment):
        return moment
    try:
        return timezone.make_aware(moment)
    except Exception:  # noqa: BLE001 - pytz's: the hour comes twice, or never
        return None
