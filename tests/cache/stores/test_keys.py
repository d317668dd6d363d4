from __future__ import annotations

import os

import pytest
from django.core.cache.backends.base import memcache_key_warnings
from hypothesis import given
from hypothesis import strategies as st

from fallback_storage.cache.stores.keys import Keys, are_safe

NAMES = [
    "",
    "a",
    "a b",
    "a\nb\x00\x7f",
    "ä/ö.jpg",
    "a\u0308/o\u0308.jpg",
    "🐎" * 300,
    "a" * 5000,
    os.fsdecode(b"latin-\xe4.jpg"),
    os.fsdecode(b"latin-\xf6.jpg"),
]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_any_name_makes_keys_that_memcached_takes(name):
    """Whatever a file is called, its keys are short, printable ASCII."""
    keys = Keys("0123456789abcdef")
    for key in (keys.entry(name), keys.stamp(name), keys.generation):
        # An alias may add a KEY_PREFIX of a hundred characters.
        assert not list(memcache_key_warnings("p" * 100 + ":1:" + key))
        assert key.isascii()
        assert key.isprintable()


def test_no_two_keys_are_one():
    """Names, chains, and the kinds of keys of one name are kept apart."""
    made = [
        key
        for chain in ("ab", "abc")
        for name in NAMES
        for key in (Keys(chain).entry(name), Keys(chain).stamp(name))
    ]
    made += [Keys("ab").generation, Keys("abc").generation]
    assert len(set(made)) == len(made)


def test_a_prefix_tells_the_keys_of_a_chain_from_all_others():
    """Every key of a chain begins with its prefix, and none of another chain."""
    keys, other = Keys("ab"), Keys("abc")
    for key in (keys.entry("x"), keys.stamp("x"), keys.generation):
        assert key.startswith(keys.prefix)
        assert not key.startswith(other.prefix)
    assert not other.entry("x").startswith(keys.prefix)


def test_both_keys_at_once_are_the_same_keys():
    """``stamp_and_entry`` saves a hash and changes nothing."""
    keys = Keys("ab")
    assert keys.stamp_and_entry("x") == (keys.stamp("x"), keys.entry("x"))


def test_keys_do_not_change_between_processes():
    """All workers of all hosts make the same key of a name."""
    assert Keys("ab").entry("ä") == (
        "fbs3:ab::79a52cd9b26f18bff46e6ddf428f41ae7724eff7:e"
    )


@given(
    st.text(st.characters(max_codepoint=300, exclude_categories=("Cs",)), max_size=260)
)
def test_django_warns_of_no_key_that_passes_for_safe(key):
    if are_safe([key]):
        assert [*memcache_key_warnings(key)] == []
