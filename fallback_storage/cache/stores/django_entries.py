"""What the store in a Django cache writes: tokens, leases, entries. See ``django_cache``.

An entry is ASCII, never a pickle of ours::

    <generation>.<stamp>.<deadline>.<code>[,<facts>]

The deadline is a time of day, in milliseconds since 1970. It is there since no cache
tells for how long it will keep a key, and what completes an entry may get no older
than that. Where the clocks of machines differ, lifetimes differ by as much, and nothing
else.
"""

from __future__ import annotations

import re
import secrets
from typing import NamedTuple

from fallback_storage.cache.entry import WRITTEN

TOKEN_BYTES = 8
TOKEN_LENGTH = 2 * TOKEN_BYTES
ENTRY = re.compile(rf"(.+)\.([0-9]{{1,30}})\.{WRITTEN}")


class Lease(NamedTuple):
    """Generation and stamp that were seen; of a hit, also the deadline of its entry."""

    tokens: str
    deadline: int | None = None


def new_token() -> str:
    """Return a token that was never there."""
    return secrets.token_hex(TOKEN_BYTES)


def is_token(value: object) -> bool:
    """Whether a value can be a token."""
    return isinstance(value, str) and len(value) == TOKEN_LENGTH


def entry(lease: Lease | None, code: int, ttl: float, now: float) -> str | None:
    """Return the text of an entry, or None where there is nothing to keep.

    What completes an entry rests on it, and gets no older.
    """
    if lease is None:
        return None
    deadline = int((now + ttl) * 1000)
    if lease.deadline is not None:
        deadline = min(deadline, lease.deadline)
    if deadline <= now * 1000:
        return None
    return f"{lease.tokens}.{deadline}.{code}"


def read(value: object, tokens: str, now: float) -> tuple[int, int] | None:
    """Return code and deadline of an entry that counts; anything else is a miss."""
    match = ENTRY.fullmatch(value) if isinstance(value, str) else None
    if match is None or match[1] != tokens or int(match[2]) <= now * 1000:
        return None
    return int(match[3]), int(match[2])
