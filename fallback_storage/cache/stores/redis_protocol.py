"""What the Redis store sends and gets: keys, values, scripts. See ``redis``."""

from __future__ import annotations

import math
import re
import secrets
from typing import Any

from fallback_storage.cache import entry
from fallback_storage.cache.entry import WRITTEN

TOKEN_BYTES = 8
NO_ENTRY = b"-"
# What a lease begins with that is an entry whose lifetime is over.
OVER = b"!"
TOKEN_LENGTH = 2 * TOKEN_BYTES
LEASE_LENGTH = len(NO_ENTRY) + 1 + TOKEN_LENGTH
HEXADECIMAL = b"0123456789abcdef"
# Of the end of a lifetime.
MOST_DIGITS = 15
VALUE = re.compile(
    b"(?:-|%s:([0-9]{1,%d})):[%s]{%d}"
    % (WRITTEN.encode(), MOST_DIGITS, HEXADECIMAL, TOKEN_LENGTH)
)
# How most codes begin a value.
CODES = {b"%d:" % code: code for code in range(10)}

# Scripts are sent as text (EVAL): an EVALSHA saves some bytes of a miss, and must be
# sent again after SCRIPT FLUSH and restarts; redis-py's cluster pipelines refuse it.

# What every script begins and ends with: the server's time in ms, and for how many ms
# what a value says may be believed (a lease for ever). The last answer is the time.
BEGIN = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function left(value)
    local last = string.match(value, '^%d[^:]*:(%d+):')
    return last and last - now or math.huge
end
local answers = {}
"""
END = """
answers[#answers + 1] = now
return answers
"""

# KEYS; for each the lease to give and, right behind it, the malformed value seen, if
# any; last the life of leases in ms. Gives for each the lease or entry that is there now:
# one that is over is a lease, and stays until it is replaced.
TAKE_LEASES = f"""{BEGIN}
for number, key in ipairs(KEYS) do
    local value = redis.call('GET', key)
    local seen = string.sub(ARGV[number], {LEASE_LENGTH} + 1)
    if not value or value == seen then
        value = string.sub(ARGV[number], 1, {LEASE_LENGTH})
        redis.call('SET', key, value, 'PX', ARGV[#ARGV])
    elseif left(value) <= 0 then
        value = '{OVER.decode()}' .. value
    end
    answers[number] = value
end
{END}"""

# KEYS; gives for each its value and its life in ms: as long as it is both there and good.
GET_LASTING = f"""{BEGIN}
for number, key in ipairs(KEYS) do
    local value = redis.call('GET', key)
    answers[2 * number - 1] = value
    answers[2 * number] = value and math.min(redis.call('PTTL', key), left(value)) or 0
end
{END}"""

# KEYS; for each, in one text, the lease, what comes before and behind the end of the
# lifetime in the new value, its life in ms, and for how many more it is kept. Gives for
# each whether it was filled. What completes an entry rests on it, and gets no older.
FILL = f"""{BEGIN}
for number, key in ipairs(KEYS) do
    local over, lease, code, token, life, kept =
        string.match(ARGV[number], '^({OVER.decode()}?)(%S+) (%S+) (%S+) (%d+) (%d+)')
    answers[number] = 0
    if redis.call('GET', key) == lease then
        if over == '' then
            life = math.min(life, left(lease))
        end
        if tonumber(life) > 0 then
            local value = string.format('%s:%.0f:%s', code, now + life, token)
            redis.call('SET', key, value, 'PX', life + kept)
            answers[number] = 1
        end
    end
end
{END}"""


def new_lease() -> bytes:
    """Return a value that says: somebody asks the backends."""
    return NO_ENTRY + b":" + secrets.token_hex(TOKEN_BYTES).encode()


def filling(lease: bytes, code: int, seconds: float, grace: float) -> bytes:
    """Return what ``FILL`` takes for one key. ``grace``: seconds to keep it for longer."""
    token = lease.rpartition(b":")[2]
    written = entry.write(code, read_held(lease.removeprefix(OVER)))
    life, kept = milliseconds(seconds), int(grace * 1000) * entry.lasts(written)
    return b"%s %s %s %d %d" % (lease, written.encode(), token, life, kept)


def encode(text: str) -> bytes:
    """Return a name or prefix as bytes of a key."""
    # surrogatepass: what os.fsdecode() made of bytes that are not UTF-8.
    return text.encode("utf-8", "surrogatepass")


def decode(key: bytes) -> str:
    """Return the name that ``encode`` made bytes of."""
    return key.decode("utf-8", "surrogatepass")


def counters_key(prefix: bytes) -> bytes:
    """Return the key of a chain's counters.

    It does not begin with the prefix (which ends with a colon): no near tier is told
    of it, and ``clear`` does not find it. It begins as an alias's keys have to.
    """
    return prefix.rstrip(b":") + b".counters"


def read(value: Any) -> tuple[int | None, bytes | None, float]:
    """Return the code of a value, the lease that it is, and the end of its lifetime.

    That is the server's time in ms; a lease has none. No lease: nothing of ours is there.
    """
    raw = value if type(value) is bytes else as_bytes(value)
    quick = CODES.get(raw[:2])
    if quick is not None:  # as ``VALUE`` matches it, in half of the steps
        ending, _, token = raw[2:].partition(b":")
        if (
            len(token) == TOKEN_LENGTH
            and not token.strip(HEXADECIMAL)
            and ending.isdigit()
            and len(ending) <= MOST_DIGITS
        ):
            return quick, raw, int(ending)
    match = VALUE.fullmatch(raw)
    if match is None:
        return None, None, 0
    code, facts, end = match.groups()
    if code is None:
        return None, raw, math.inf
    if facts is None:  # as most are
        return int(code), raw, int(end)
    return entry.noted(int(code), facts.decode()), raw, int(end)


def read_answer(answer: Any) -> tuple[int | None, bytes | None]:
    """Return code and lease of what ``TAKE_LEASES`` gives for one key."""
    raw = as_bytes(answer)
    return (None, raw) if raw.startswith(OVER) else read(raw)[:2]


def read_held(value: Any) -> entry.Held | None:
    """Return who holds the file by a value, also if its lifetime is over."""
    match = VALUE.fullmatch(as_bytes(value))
    if match is None or match[1] is None:
        return None
    return entry.read_held(int(match[1]), int(match[3]), (match[2] or b"").decode())


def as_bytes(value: Any) -> bytes:
    """Return a value as bytes, none where there is none."""
    # (A client that was passed may decode its answers.)
    return value.encode() if isinstance(value, str) else value or b""


def escape(prefix: bytes) -> bytes:
    """Return a pattern of ``SCAN`` that matches these very bytes."""
    return re.sub(rb"([\\*?\[\]^-])", rb"\\\1", prefix)


def milliseconds(seconds: float) -> int:
    """Return a lifetime as the server wants it: at least 1."""
    return max(1, int(seconds * 1000))
