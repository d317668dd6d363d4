"""Who is alive can be listed at any moment."""

from __future__ import annotations

import gc
import sys
import threading

import pytest

from fallback_storage.utils.living import Living


class Thing:
    """Equal to all others."""

    def __eq__(self, other):
        return True

    __hash__ = None


def test_members_are_listed_while_they_live():
    """In the order in which they were added, each for itself, with its note."""
    living, things = Living(), [Thing() for _ in range(3)]
    for number, thing in enumerate(things):
        living.add(thing, number)
    living.add(things[0], "again")
    assert [note for _, note in living.items()] == ["again", 1, 2]
    del thing, things[1]
    assert list(map(id, living.all())) == list(map(id, things))
    living.discard(things[0])
    living.discard(things[0])
    assert len(living) == 1
    things[1].itself = things[1]
    del things[1]
    gc.collect()
    assert len(living) == 0
    assert living.all() == []


def test_a_collection_in_the_middle_of_the_listing_is_no_trouble():
    """Who dies then is left out."""
    living = Living()

    class Last:
        def __del__(self):
            things.clear()

    things = [Thing() for _ in range(3)]
    for thing in things:
        living.add(thing)
    del thing
    first, *_ = living._entries
    reference, note = living._entries[first]

    def ends():
        Last()
        return reference()

    living._entries[first] = ends, note
    assert living.all() == []


@pytest.fixture
def eager_switching():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def test_members_come_and_go_on_other_threads(eager_switching):
    """As memos of short-lived chains do while somebody writes."""
    living, errors, done = Living(), [], threading.Event()
    steady = [Thing() for _ in range(50)]
    for thing in steady:
        living.add(thing)

    def come_and_go():
        while not done.is_set():
            things = [Thing() for _ in range(20)]
            for thing in things:
                living.add(thing)

    def list_them():
        try:
            for _ in range(1000):
                assert len(living.all()) >= len(steady)
        except Exception as error:
            errors.append(error)

    comers = [threading.Thread(target=come_and_go) for _ in range(3)]
    listers = [threading.Thread(target=list_them) for _ in range(2)]
    for thread in (*comers, *listers):
        thread.start()
    for thread in listers:
        thread.join(60)
    done.set()
    for thread in comers:
        thread.join(60)
    assert errors == []
    assert len(living) == len(steady)
