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
from typing import Any, NamedTuple, TypeAlias, TypeGuard

from fallback_storage.cache.entry import WRITTEN, Held, noted, read_held, write
from fallback_storage.cache.entry import lasts as entry_lasts

TOKEN_BYTES = 8
TOKEN_LENGTH = 2 * TOKEN_BYTES
# Behind the tokens; there is no dot in it but this one.
MOST_DIGITS = 30
REST = re.compile(rf"([0-9]{{1,{MOST_DIGITS}}})\.{WRITTEN}")
# Most codes, as they are written where there are no facts.
CODES = {f"{code}": code for code in range(64)}


class Entry(NamedTuple):
    """What an entry says. ``facts``: what is written behind the code."""

    code: int
    deadline: int
    facts: str | None

    @property
    def held(self) -> Held | None:
        """Who it says, or said before, holds the file."""
        return read_held(int(self.code), self.deadline, self.facts)


class Lease(NamedTuple):
    """Generation and stamp that were seen; of a hit, also the deadline of its entry.

    ``there``: the text of the entry that is there, also if it is over.
    """

    tokens: str
    deadline: int | None = None
    there: str | None = None

    @property
    def held(self) -> Held | None:
        """Who is said to hold the file, or was said to before."""
        entry = read(self.there, self.tokens)
        return entry.held if entry else None


Hit: TypeAlias = tuple[int | None, Lease | None]

# (What the class itself does takes thrice as long.)
_new_lease = tuple.__new__


def new_token() -> str:
    """Return a token that was never there."""
    return secrets.token_hex(TOKEN_BYTES)


def is_token(value: object) -> TypeGuard[str]:
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
    if not isinstance(value, str) or not value.startswith(f"{tokens}."):
        return None
    match = REST.fullmatch(value, len(tokens) + 1)
    if match is None:
        return None
    deadline, written, facts = match.groups()
    return Entry(noted(int(written), facts), int(deadline), facts)


def read_hit(value: Any, generation: str, stamp: str, now: float) -> Hit:
    """Return what the entry of these tokens says at a moment, and a lease.

    As ``read``; of most entries with a third of the steps.
    """
    tokens = f"{generation}.{stamp}"
    if not isinstance(value, str) or not value.startswith(f"{tokens}."):
        return None, _new_lease(Lease, (tokens, None, None))
    deadline, _, written = value[len(tokens) + 1 :].partition(".")
    code = CODES.get(written)
    if code is None or not (
        deadline.isdecimal() and deadline.isascii() and len(deadline) <= MOST_DIGITS
    ):
        entry = read(value, tokens)
        if entry is None:
            return None, _new_lease(Lease, (tokens, None, None))
        code = entry.code
    end = int(deadline)
    if end <= now:
        return None, _new_lease(Lease, (tokens, None, value))
    return code, _new_lease(Lease, (tokens, end, value))


def lasts(text: str) -> bool:
    """Whether an entry is worth something when its deadline is over."""
    return entry_lasts(text.rpartition(".")[2])
