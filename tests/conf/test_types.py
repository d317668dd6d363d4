"""The types say what is read; mypy checks them with ``tests/support/typed.py``."""

from __future__ import annotations

from typing import NotRequired, get_args, get_origin, get_type_hints

import pytest
from fakes import RecordingStorage

from fallback_storage.conf.cache import CACHE_KEYS
from fallback_storage.conf.entries import KEYS
from fallback_storage.conf.options import ON_DELETE
from fallback_storage.conf.types import CacheOptions, Entry, OnDelete
from fallback_storage.operations.stats import BackendStats, Stats
from fallback_storage.storage import FallbackStorage


def test_an_entry_has_the_keys_that_are_read():
    """A key that is added here is added there."""
    assert set(get_type_hints(Entry)) == set(KEYS)


def test_a_memo_has_the_keys_that_are_read():
    assert set(get_type_hints(CacheOptions)) == set(CACHE_KEYS)


def test_deletes_have_the_ways_that_there_are():
    assert get_args(OnDelete) == ON_DELETE


@pytest.mark.parametrize("cache", [None, False, "default"])
def test_statistics_have_the_counters_that_there_are(cache):
    """Those that are always there are, and no other is."""
    stats = FallbackStorage([RecordingStorage("one")], cache).stats()
    hints = get_type_hints(Stats, include_extras=True)
    always = {key for key, hint in hints.items() if get_origin(hint) is not NotRequired}
    assert always <= set(stats) <= set(hints)
    assert set(stats["backends"]["RecordingStorage"]) == set(
        get_type_hints(BackendStats)
    )
