"""Values are read in a few steps where they are as most are: that says what patterns say."""

from __future__ import annotations

import math
from itertools import product

import pytest

from fallback_storage.cache import entry
from fallback_storage.cache.stores import django_entries, redis_protocol

TOKEN = "0123456789abcdef"
NUMBERS = ["", "0", "1", "63", "64", "007", "+1", "1_0", " 1", "\u0661", "\xb2"]
ENDS = [
    "1764280000000",
    "1764279999999",
    "9" * 15,
    "9" * 16,
    "9" * 30,
    "9" * 31,
    *NUMBERS,
]
CODES = [*NUMBERS, "1,20,5", "2,h3-5", "1,", "-", "1.", "1\n", "1:"]
NOW = 1764279999999


TOKENS = [TOKEN, TOKEN.upper(), TOKEN[1:], f"{TOKEN}0", f"{TOKEN[1:]}\n"]


@pytest.mark.parametrize("token", TOKENS)
def test_a_value_in_redis_is_what_the_pattern_says(token):
    kept = 0
    for code, end in product(CODES, ENDS):
        value = f"{code}:{end}:{token}".encode()
        found = redis_protocol.read(value)
        match = redis_protocol.VALUE.fullmatch(value)
        if match is None or match[1] is None:
            assert found[0] is None, value
            continue
        kept += 1
        facts = (match[2] or b"").decode() * (int(match[1]) & 1)
        assert found == (int(match[1]), value, int(match[3])), value
        assert entry.facts_of(found[0]) == facts, value
    assert bool(kept) is (token == TOKEN)


def test_a_lease_in_redis_is_no_entry():
    lease = redis_protocol.new_lease()
    assert redis_protocol.read(lease) == (None, lease, math.inf)


@pytest.mark.parametrize(
    "tokens", [f"{TOKEN}.{TOKEN}", f"{TOKEN}x{TOKEN}", f"{TOKEN}.{TOKEN}0", TOKEN, ""]
)
def test_an_entry_in_a_cache_is_what_the_pattern_says(tokens):
    kept = 0
    for end, code in product(ENDS, CODES):
        value = f"{tokens}.{end}.{code}"
        expected = django_entries.read(value, f"{TOKEN}.{TOKEN}")
        found, lease = django_entries.read_hit(value, TOKEN, TOKEN, NOW)
        assert lease.tokens == f"{TOKEN}.{TOKEN}"
        if expected is None:
            assert (found, *lease[1:]) == (None, None, None), value
        elif expected.deadline <= NOW:
            assert (found, *lease[1:]) == (None, None, value)
        else:
            kept += 1
            assert (found, *lease[1:]) == (*expected[:2], value)
            assert entry.facts_of(found) == entry.facts_of(expected.code)
    assert bool(kept) is (tokens == f"{TOKEN}.{TOKEN}")
