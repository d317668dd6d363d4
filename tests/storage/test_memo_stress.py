"""Four threads that write and eight that read, of two instances with very little room.

2,000 writes; ``HYPOTHESIS_PROFILE=thorough`` makes 200,000.
"""

from __future__ import annotations

import random
import sys
import threading

import pytest
from django.core.files.storage import Storage
from proofs import THOROUGH

from fallback_storage.storage import FallbackStorage

WRITES = 200_000 if THOROUGH else 2_000
WRITERS, READERS, NAMES = 4, 8, 8


class Holding(Storage):
    """Holds the names that are said to be there."""

    def __init__(self, place, held):
        self.place, self.held = place, held

    def exists(self, name):
        return self.held(name)

    def url(self, name):
        return f"{self.place}/{name}"


@pytest.fixture
def impatient():
    """Threads that take turns as often as possible."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.slow
def test_a_writer_sees_at_once_what_it_wrote(impatient):
    """Through either instance, whatever others fill meanwhile."""
    there = {}
    chains = [
        FallbackStorage(
            [Holding("new", lambda name: there.get(name, False)), Holding("old", bool)],
            cache={"MAX_ENTRIES": 20},
        )
        for _ in range(2)
    ]
    over, stale = threading.Event(), []

    def read(number):
        chance = random.Random(number)
        while not over.is_set():
            name = f"d/{chance.randrange(WRITERS * NAMES)}"
            chance.choice(chains).url(name)
            chance.choice(chains).exists(name)
            chance.choice(chains).resolve(name)

    def write(number):
        chance = random.Random(number)
        for _ in range(WRITES // WRITERS):
            name = f"d/{number * NAMES + chance.randrange(NAMES)}"
            there[name] = not there.get(name)
            chance.choice(chains).forget(name)
            expected = int(not there[name])
            place = ("new", "old")[expected]
            for chain in chains:
                found = chain.url(name), chain.resolve(name).index
                if found != (f"{place}/{name}", expected):
                    stale.append((name, expected, found))
            if over.is_set():
                return

    readers = [threading.Thread(target=read, args=(each,)) for each in range(READERS)]
    writers = [threading.Thread(target=write, args=(each,)) for each in range(WRITERS)]
    try:
        for thread in (*readers, *writers):
            thread.start()
        for thread in writers:
            thread.join()
    finally:
        over.set()
        for thread in readers:
            thread.join()
    assert not stale
    assert all(chain.stats()["entries"] <= 20 for chain in chains)
