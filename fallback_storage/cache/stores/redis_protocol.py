"""What the Redis store sends and gets: keys, values, scripts. See ``redis``."""

from __future__ import annotations

import math
import re
import secrets
from typing import Any

from fallback_storage.cache.entry import WRITTEN

TOKEN_BYTES = 8
NO_ENTRY = b"-"
LEASE_LENGTH = len(NO_ENTRY) + 1 + 2 * TOKEN_BYTES
TOKEN = b"[0-9a-f]{%d}" % (2 * TOKEN_BYTES)
VALUE = re.compile(b"(?:-|%s:([0-9]{1,15})):%s" % (WRITTEN.encode(), TOKEN))

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
# any; last the life of leases in ms. Gives for each the lease or entry that is there now.
TAKE_LEASES = f"""{BEGIN}
for number, key in ipairs(KEYS) do
    local value = redis.call('GET', key)
    local seen = string.sub(ARGV[number], {LEASE_LENGTH} + 1)
    if not value or value == seen or left(value) <= 0 then
        value = string.sub(ARGV[number], 1, {LEASE_LENGTH})
        redis.call('SET', key, value, 'PX', ARGV[#ARGV])
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
# lifetime in the new value, and its life in ms. Gives for each whether it was filled.
# What completes an entry rests on it, and gets no older.
FILL = f"""{BEGIN}
for number, key in ipairs(KEYS) do
    local lease, code, token, life =
        string.match(ARGV[number], '(%S+) (%S+) (%S+) (%d+)')
    answers[number] = 0
    if redis.call('GET', key) == lease then
        if string.sub(lease, 1, 1) ~= '-' then
            life = math.min(life, left(lease), redis.call('PTTL', key))
        end
        if tonumber(life) > 0 then
            local value = string.format('%s:%.0f:%s', code, now + life, token)
            redis.call('SET', key, value, 'PX', life)
            answers[number] = 1
        end
    end
end
{END}"""


def new_lease() -> bytes:
    """Return a value that says: somebody asks the backends."""
    return NO_ENTRY + b":" + secrets.token_hex(TOKEN_BYTES).encode()


def filling(lease: bytes, code: int, seconds: float) -> bytes:
    """Return what ``FILL`` takes for one key."""
    token = lease.rpartition(b":")[2]
    return b"%s %d %s %d" % (lease, code, token, milliseconds(seconds))


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
    raw = as_bytes(value)
    match = VALUE.fullmatch(raw)
    if match is None:
        return None, None, 0
    code, end = match.groups()
    return (None, raw, math.inf) if code is None else (int(code), raw, int(end))


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
