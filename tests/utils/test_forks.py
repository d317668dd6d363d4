"""A forked child starts afresh: an empty memo, and no lock that nobody will release.

Each test forks in a process of its own, so that pytest has no children. The scripts
end with status 0 only if the child did; a child that hangs is killed by its alarm.
"""

from __future__ import annotations

import threading
import weakref

import pytest
from forked import needs_fork, run

from fallback_storage.utils import forks
from fallback_storage.utils.living import Living

pytestmark = pytest.mark.slow


@needs_fork
def test_a_child_starts_with_an_empty_memo():
    """What the parent knew the child asks anew; the parent still knows it."""
    run(
        """
        assert chain.exists("a") and not chain.exists("b")
        front.reset(), back.reset()

        def child():
            back.files["b"] = b"y"
            assert chain.stats()["entries"] == 0
            assert chain.exists("a") and chain.exists("b")
            assert back.count("exists") == 2
            assert chain.stats()["hits"] == 0

        in_child(child)
        assert chain.exists("a") and not chain.exists("b")
        assert front.calls == back.calls == []
        """
    )


@needs_fork
def test_what_a_child_writes_its_own_instances_see():
    """Invalidation works in the child, among all instances that it inherited."""
    run(
        """
        other = FallbackStorage([front, back])

        def child():
            assert not chain.exists("new") and not other.exists("new")
            chain.save("new", ContentFile(b"1"))
            assert chain.exists("new") and other.exists("new")
            other.delete("new")
            assert not chain.exists("new") and not other.exists("new")

        in_child(child)
        """
    )


@needs_fork
def test_a_child_needs_no_lock_that_a_thread_of_the_parent_holds():
    """Every lock of the package is held at the fork; the child uses them all."""
    run(
        """
        from fallback_storage.cache.stores.leases import leases

        assert chain.exists("a")
        engine = chain._engine
        locks = [
            forks.build_lock(),
            leases.lock,
            engine.memo.counters._lock,
            engine.resolver._counters._lock,
            engine.resolver.flights._lock,
            *(backend._lock for backend in engine.backends),
            namelocks.choices._guard,
        ]
        del engine
        held, release = threading.Event(), threading.Event()

        def hold():
            with namelocks.saving("new"):
                for lock in locks:
                    lock.acquire()
                held.set()
                release.wait(60)
                for lock in reversed(locks):
                    lock.release()

        thread = threading.Thread(target=hold, daemon=True)
        thread.start()
        assert held.wait(20)

        def child():
            assert chain.exists("a")
            assert chain.save("new", ContentFile(b"1")) == "new"
            assert chain.exists("new") and chain.url("new")
            assert FallbackStorage([back]).exists("a")
            chain.delete("new")
            chain.forget("a")
            chain.forget_all()
            assert chain.stats()["backends"]["RecordingStorage"]["failures"] == 0

        in_child(child)
        release.set()
        thread.join(20)
        assert chain.exists("a")
        assert chain.save("new", ContentFile(b"1")) == "new"
        """
    )


@needs_fork
def test_what_a_vanished_thread_keeps_alive_hinders_no_child():
    """A call under way at the fork never ends in the child; nor do its locks open."""
    run(
        """
        walking, release = threading.Event(), threading.Event()

        def hang(name):
            walking.set()
            release.wait(60)

        front.before("exists", hang)

        def walk():
            # As if the fork came while a counter was added to.
            with chain._engine.memo.counters._lock:
                resolver = chain._engine.resolver
                resolver._walk("b", 2, resolver.recall.know(None))

        assert chain.stats()["entries"] == 0
        thread = threading.Thread(target=walk, daemon=True)
        thread.start()
        assert walking.wait(20)

        def child():
            front.before("exists", lambda name: None)
            assert chain.save("new", ContentFile(b"1")) == "new"
            assert chain.exists("new")

        in_child(child)
        release.set()
        thread.join(20)
        """
    )


@needs_fork
def test_a_child_does_not_wait_for_a_walk_of_the_parent():
    """A thread that walks does not exist in the child: nobody waits for its end."""
    run(
        """
        walking, release = threading.Event(), threading.Event()

        def hang(name):
            walking.set()
            release.wait(60)

        front.before("exists", hang)
        thread = threading.Thread(target=chain.exists, args=("a",), daemon=True)
        thread.start()
        assert walking.wait(20)

        def child():
            front.before("exists", lambda name: None)
            assert chain.exists("a")
            assert chain.url("a") == back.url("a")

        in_child(child)
        release.set()
        thread.join(20)
        assert chain.exists("a")
        """
    )


@needs_fork
def test_a_child_of_a_child_works_as_well():
    """gunicorn forks its workers, and a worker may fork again."""
    run(
        """
        def grandchild():
            assert chain.exists("a")
            assert back.count("exists") == 3

        def child():
            assert chain.exists("a")
            in_child(grandchild)

        assert chain.exists("a")
        in_child(child)
        """
    )


@needs_fork
def test_a_fork_inside_a_save_returns_through_it():
    """A backend that forks in the middle of a save: the child may end the save too."""
    run(
        """
        pids = []
        front.before("_save", lambda name: pids.append(os.fork()))
        status = 1
        try:
            assert chain.save("new", ContentFile(b"1")) == "new"
            assert chain.exists("new")
            status = 0
        finally:
            if pids == [0]:
                os._exit(status)
        assert os.waitpid(pids[0], 0)[1] == 0
        """
    )


def test_the_registry_keeps_nothing_alive():
    """What registers for forks is collected as if it had not."""

    class Thing:
        def after_fork(self):
            raise AssertionError

    thing = Thing()
    forks.register(thing)
    assert thing in forks._objects.all()
    gone = weakref.ref(thing)
    del thing
    assert gone() is None


def test_everything_that_registered_is_told(monkeypatch):
    """In the child each object is told once, and the locks are new ones."""

    class Thing:
        told = 0

        def after_fork(self):
            self.told += 1

    things = [Thing() for _ in range(3)]
    monkeypatch.setattr(forks, "_objects", Living())
    monkeypatch.setattr(forks, "_build_lock", threading.RLock())
    for thing in things:
        forks.register(thing)
    before = forks.build_lock()
    forks._in_child()
    assert [thing.told for thing in things] == [1, 1, 1]
    assert forks.build_lock() is not before
    forks.register(things[0])
