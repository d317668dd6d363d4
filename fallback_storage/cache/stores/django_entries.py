"""What the store in a Django cache writes: tokens, leases, entries. See ``django_cache``.

An entry is ASCII, never a pickle of ours::

    <generation>.<stamp>.<deadline>.<code>[,<facts>]

The deadline is a time of day, in milliseconds since 1970. It is there since no cache
tells for how long it will keep a key, what completes an entry may get no older than
that, and some are kept for longer (the store's ``grace``). Where the clocks of machines differ, lifetimes differ by as much, and nothing
else.
"""

from __future__ import annotations

import re
import secrets
from typing import NamedTuple

from fallback_storage.cache.entry import WRITTEN, Held, noted, read_held, write
from fallback_storage.cache.entry import lasts as entry_lasts

TOKEN_BYTES = 8
TOKEN_LENGTH = 2 * TOKEN_BYTES
ENTRY = re.compile(rf"(.+)\.([0-9]{{1,30}})\.{WRITTEN}")


class Entry(NamedTuple):
    """What an entry says, and who it says, or said before, holds the file."""

    code: int
    deadline: int
    held: Held | None


class Lease(NamedTuple):
    """Generation and stamp that were seen; of a hit, also the deadline of its entry.

    ``held``: of what is there, also if it is over.
    """

    tokens: str
    deadline: int | None = None
    held: Held | None = None


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
    return f"{lease.tokens}.{deadline}.{write(code, lease.held)}"


def read(value: object, tokens: str) -> Entry | None:
    """Return an entry that counts until its deadline; anything else is a miss."""
    match = ENTRY.fullmatch(value) if isinstance(value, str) else None
    if match is None or match[1] != tokens:
        return None
    code, deadline = int(match[3]), int(match[2])
    held = read_held(code, deadline, match[4])
    return Entry(noted(code, match[4]), deadline, held)


def lasts(text: str) -> bool:
    """Whether an entry is worth something when its deadline is over."""
    return entry_lasts(text.rpartition(".")[2])
