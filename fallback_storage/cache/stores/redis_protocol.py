"""What the Redis store sends and gets: keys, values, scripts. See ``redis``."""

from __future__ import annotations

import re
import secrets
from typing import Any

TOKEN_BYTES = 8
NO_ENTRY = b"-"
LEASE_LENGTH = len(NO_ENTRY) + 1 + 2 * TOKEN_BYTES
VALUE = re.compile(rb"(-|[0-9]{1,5}):[0-9a-f]{%d}" % (2 * TOKEN_BYTES))

# Scripts are sent as text (EVAL): an EVALSHA saves some bytes of a miss, and must be
# sent again after SCRIPT FLUSH and restarts; redis-py's cluster pipelines refuse it.

# KEYS; for each the lease to give and, right behind it, the malformed value seen, if
# any; last the life of leases in ms. Gives for each the lease or entry that is there now.
TAKE_LEASES = f"""
local given = {{}}
for number, key in ipairs(KEYS) do
    local value = redis.call('GET', key)
    if not value or value == string.sub(ARGV[number], {LEASE_LENGTH} + 1) then
        value = string.sub(ARGV[number], 1, {LEASE_LENGTH})
        redis.call('SET', key, value, 'PX', ARGV[#ARGV])
    end
    given[number] = value
end
return given
"""

# KEYS; gives for each its value and its life in ms.
GET_LASTING = """
local found = {}
for number, key in ipairs(KEYS) do
    found[2 * number - 1] = redis.call('GET', key)
    found[2 * number] = redis.call('PTTL', key)
end
return found
"""

# KEYS; for each, in one text, the lease, the new value and its life in ms. Gives for
# each whether it was filled. What completes an entry rests on it, and gets no older.
FILL = """
local kept = {}
for number, key in ipairs(KEYS) do
    local lease, value, life = string.match(ARGV[number], '(%S+) (%S+) (%d+)')
    kept[number] = 0
    if redis.call('GET', key) == lease then
        if string.sub(lease, 1, 1) ~= '-' then
            local left = redis.call('PTTL', key)
            if left >= 0 then life = math.max(1, math.min(life, left)) end
        end
        redis.call('SET', key, value, 'PX', life)
        kept[number] = 1
    end
end
return kept
"""


def new_lease() -> bytes:
    """Return a value that says: somebody asks the backends."""
    return NO_ENTRY + b":" + secrets.token_hex(TOKEN_BYTES).encode()


def filling(lease: bytes, code: int, seconds: float) -> bytes:
    """Return what ``FILL`` takes for one key: the lease, what replaces it, its life."""
    token = lease.partition(b":")[2]
    return b"%s %d:%s %d" % (lease, code, token, milliseconds(seconds))


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


def read(value: Any) -> tuple[int | None, bytes | None]:
    """Return the code and the lease of a value; no lease: nothing of ours is there."""
    raw = as_bytes(value)
    if not VALUE.fullmatch(raw):
        return None, None
    code = raw.partition(b":")[0]
    return None if code == NO_ENTRY else int(code), raw


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
