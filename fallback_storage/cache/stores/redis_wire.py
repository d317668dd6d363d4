"""What the Redis store sends and gets: keys, values, scripts. See ``redis``."""

from __future__ import annotations

import re
import secrets
from typing import Any

TOKEN_BYTES = 8
NO_ENTRY = b"-"
VALUE = re.compile(rb"(-|[0-9]{1,5}):[0-9a-f]{%d}" % (2 * TOKEN_BYTES))

# Scripts are sent as text (EVAL): an EVALSHA saves some bytes of a miss, and must be
# sent again after SCRIPT FLUSH and restarts; redis-py's cluster pipelines refuse it.

# KEYS[1]; the lease to give, its life in ms, and the malformed value seen, if any.
TAKE_LEASE = """
local value = redis.call('GET', KEYS[1])
if value and value ~= ARGV[3] then return value end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
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

# KEYS[1]; the lease, the new value, its life in ms. What completes an entry rests on
# it, and gets no older than it.
FILL = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local life = tonumber(ARGV[3])
if string.sub(ARGV[1], 1, 1) ~= '-' then
    local left = redis.call('PTTL', KEYS[1])
    if left >= 0 then life = math.max(1, math.min(life, left)) end
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', life)
return 1
"""


def new_lease() -> bytes:
    """Return a value that says: somebody asks the backends."""
    return NO_ENTRY + b":" + secrets.token_hex(TOKEN_BYTES).encode()


def entry(code: int, lease: bytes) -> bytes:
    """Return the value that this lease is replaced with."""
    return b"%d:%s" % (code, lease.partition(b":")[2])


def encode(text: str) -> bytes:
    """Return a name or prefix as bytes of a key."""
    # surrogatepass: what os.fsdecode() made of bytes that are not UTF-8.
    return text.encode("utf-8", "surrogatepass")


def decode(key: bytes) -> str:
    """Return the name that ``encode`` made bytes of."""
    return key.decode("utf-8", "surrogatepass")


def read(value: Any) -> tuple[int | None, bytes | None]:
    """Return the code and the lease of a value; no lease: nothing of ours is there."""
    # (A client that was passed may decode its answers.)
    raw = value.encode() if isinstance(value, str) else value
    if raw is None or not VALUE.fullmatch(raw):
        return None, None
    code = raw.partition(b":")[0]
    return None if code == NO_ENTRY else int(code), raw


def escape(prefix: bytes) -> bytes:
    """Return a pattern of ``SCAN`` that matches these very bytes."""
    return re.sub(rb"([\\*?\[\]^-])", rb"\\\1", prefix)


def milliseconds(seconds: float) -> int:
    """Return a lifetime as the server wants it: at least 1."""
    return max(1, int(seconds * 1000))
