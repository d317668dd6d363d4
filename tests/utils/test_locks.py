"""One save of a name at a time, within a process."""

from __future__ import annotations

import threading
import time

import pytest
from django.core.files.base import ContentFile
from fakes import RecordingStorage

from fallback_storage.storage import FallbackStorage
from fallback_storage.utils import locks as locking
from fallback_storage.utils.locks import saving


def run(*functions):
    """Run functions in threads of their own; return their results in order."""
    results = [None] * len(functions)

    def call(index, function):
        try:
            results[index] = function()
        except Exception as error:
            results[index] = error

    threads = [
        threading.Thread(target=call, args=item, daemon=True)
        for item in enumerate(functions)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    return results


@pytest.fixture(autouse=True)
def nothing_left():
    """A lock lives while somebody holds or awaits it: afterwards there are none."""
    yield
    assert locking._saving._locks == {}


def test_one_holder_at_a_time():
    """Twenty threads that change one thing under one name do so one by one."""
    inside, seen = [0], []

    def work():
        with saving("a"):
            inside[0] += 1
            seen.append(inside[0])
            inside[0] -= 1

    assert run(*[work] * 20) == [None] * 20
    assert seen == [1] * 20


def test_other_names_do_not_wait():
    """Two names are held at the same time, by two threads."""
    both = threading.Barrier(2)

    def work(name):
        with saving(name):
            both.wait(10)

    assert run(lambda: work("a"), lambda: work("b")) == [None, None]


def test_the_lock_is_reentrant():
    """A chain that is a backend of a chain saves the same name in the same thread."""
    with saving("a"), saving("a"), saving("b"):
        assert set(locking._saving._locks) == {"a", "b"}
    assert locking._saving._locks == {}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_save_that_fails_lets_the_next_one_in(error):
    """Whatever ends a save, the name is free afterwards."""
    with pytest.raises(error), saving("a"):
        raise error

    def work():
        with saving("a"):
            return "entered"

    assert run(work) == ["entered"]


def test_a_lock_that_is_awaited_stays_the_same_lock(asked):
    """Whoever leaves while another waits leaves the lock: no second one is made."""
    inside, release = threading.Event(), threading.Event()

    def hold():
        with saving("a"):
            inside.set()
            release.wait(20)

    thread = threading.Thread(target=hold, daemon=True)
    deadline = time.monotonic() + 20
    with saving("a"):
        thread.start()
        lock = id(saving("a"))
        while asked[locking._saving, "a"] < 3:
            assert time.monotonic() < deadline
    assert inside.wait(20)
    assert id(saving("a")) == lock
    release.set()
    thread.join(20)
    assert not thread.is_alive()


def test_a_forked_child_finds_every_lock_free():
    """The child has none of the threads that hold locks."""
    locks = locking.NameLocks()
    release, held = threading.Event(), threading.Event()

    def keep():
        with locks("a"):
            held.set()
            release.wait(10)

    thread = threading.Thread(target=keep, daemon=True)
    # What keep() lets go of at its end is not what the child uses.
    thread.start()
    assert held.wait(10)
    child = locking.NameLocks()
    child._locks = dict(locks._locks)
    child.after_fork()
    with child("a"):
        assert set(child._locks) == {"a"}
    release.set()
    thread.join(10)


@pytest.mark.parametrize("spelling", ["x/a.txt", "x//a.txt", "./x/a.txt"])
def test_two_uploads_of_one_name_keep_both(spelling, asked):
    """Between "the name is free" and the write no other thread takes the name."""
    backend = RecordingStorage("only")
    chain, other = FallbackStorage([backend]), FallbackStorage([backend])
    names = []
    second = threading.Thread(
        target=lambda: names.append(other.save(spelling, ContentFile(b"second"))),
        daemon=True,
    )

    def overtake(name):
        # The first has found the name free, and has not written yet.
        if second.ident is not None:
            return
        second.start()
        deadline = time.monotonic() + 20
        while not names and asked[locking._saving, name] < 2:
            assert time.monotonic() < deadline

    backend.before("_save", overtake)
    first = chain.save("x/a.txt", ContentFile(b"first"))
    second.join(20)
    assert first == "x/a.txt"
    assert len(names) == 1
    assert backend.files == {first: b"first", names[0]: b"second"}


def test_many_uploads_of_one_name_keep_all():
    """Sixteen threads, two instances, one name: sixteen files."""
    backend = RecordingStorage("only")
    chains = FallbackStorage([backend]), FallbackStorage([backend])
    names = run(
        *(
            lambda number=number: chains[number % 2].save(
                "a.txt", ContentFile(b"%d" % number)
            )
            for number in range(16)
        )
    )
    assert {backend.files[name] for name in names} == {b"%d" % n for n in range(16)}
