"""Counters that several threads add to."""

from __future__ import annotations

import sys
import threading

import pytest

from fallback_storage.cache.counters import Counters


def test_named_counters_start_at_zero():
    """Counters named at the start are shown before anything was counted."""
    assert Counters("hits", "misses").snapshot() == {"hits": 0, "misses": 0}


def test_counters_add_up():
    """``add`` counts one, or as many as it is told."""
    counters = Counters("hits")
    counters.add("hits")
    counters.add("hits", 5)
    counters.add("hits", 0)
    assert counters.snapshot() == {"hits": 6}


def test_a_counter_not_named_at_the_start_appears_when_it_is_used():
    """A name that was never added to is absent; then it counts like the others."""
    counters = Counters("hits")
    counters.add("late")
    counters.add("late")
    assert counters.snapshot() == {"hits": 0, "late": 2}


def test_a_snapshot_is_a_copy():
    """What was shown does not change, and changing it changes no counter."""
    counters = Counters("hits")
    shown = counters.snapshot()
    counters.add("hits")
    shown["hits"] += 10
    assert counters.snapshot() == {"hits": 1}


@pytest.mark.parametrize("names", [("hits",), ()], ids=["named", "new"])
def test_no_count_is_lost_between_threads(names):
    """Eight threads that add 2,000 each add 16,000."""
    counters = Counters(*names)
    start = threading.Barrier(8)

    def count():
        start.wait(10)
        for _ in range(2_000):
            counters.add("hits")

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=count, daemon=True) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    finally:
        sys.setswitchinterval(interval)
    assert counters.snapshot() == {"hits": 16_000}
