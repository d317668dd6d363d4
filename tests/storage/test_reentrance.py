"""What comes in the middle of things: the garbage collector, Ctrl-C, the process's end."""

from __future__ import annotations

import contextlib
import gc
import io
import subprocess
import sys
import textwrap
import threading

import pytest
from django.core.files.base import ContentFile
from fakes import RecordingStorage
from paths import SUPPORT

from fallback_storage.cache import invalidation
from fallback_storage.cache.stores.local import LocalStore
from fallback_storage.cache.stores.table import Table
from fallback_storage.storage import FallbackStorage


def abandon(chain):
    """Leave a written file to the collector, as what wraps one may in a traceback."""
    text = io.TextIOWrapper(chain.open("out.txt", "wb"))
    text.write("x")
    text.itself = text


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def ends(function):
    """Whether a function comes to its end, on a thread of its own."""
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    thread.join(10)
    return not thread.is_alive()


def test_the_collector_closes_a_file_while_the_memo_is_asked(no_collector):
    """The clock is read under the store's lock: there it comes, on the same thread."""
    armed = False

    def clock():
        if armed:
            gc.collect()
        return 1000.0

    class Chain(FallbackStorage):
        pass

    Chain.clock = staticmethod(clock)
    chain = Chain([RecordingStorage("first"), RecordingStorage("second")])

    def work():
        nonlocal armed
        chain.exists("n")
        abandon(chain)
        armed = True
        chain.exists("n")

    assert ends(work)


def test_the_collector_closes_a_file_while_memos_are_counted(no_collector):
    chain = FallbackStorage([RecordingStorage("first")])
    chain.exists("n")

    def work():
        abandon(chain)
        for _ in invalidation._registry.memos.items():
            gc.collect()

    assert ends(work)


def test_what_the_collector_invalidates_in_the_middle_of_a_fill():
    """The lease was good when the fill began, and is not when it ends."""
    store = LocalStore()
    lease = store.look_up_one("a")[1]

    class Ttl(float):
        """A lifetime that is read between the check of the lease and the entry."""

        def __radd__(self, now):
            store.invalidate(["a"])
            return now + float(self)

    assert not store.fill("a", lease, 1, Ttl(60.0))
    assert store.peek("a") is None


@pytest.mark.parametrize("everything", [False, True])
def test_ctrl_c_during_an_invalidation_reaches_the_other_memos(monkeypatch, everything):
    """It is raised when all of them have been told."""
    backends = [RecordingStorage("first", {"x": b""}), RecordingStorage("second")]
    chains = [FallbackStorage(backends) for _ in range(5)]
    assert all(chain.exists("x") for chain in chains)
    forget, clear = Table.forget, LocalStore.clear
    told = []

    def interrupted(method):
        def run(self, *args):
            method(self, *args)
            told.append(self)
            if len(told) == 2:
                raise KeyboardInterrupt

        return run

    monkeypatch.setattr(Table, "forget", interrupted(forget))
    monkeypatch.setattr(LocalStore, "clear", interrupted(clear))
    if everything:
        with pytest.raises(KeyboardInterrupt):
            invalidation.invalidate(None)
    else:
        with pytest.raises(KeyboardInterrupt):
            chains[0].delete("x")
        assert not any(chain.exists("x") for chain in chains)
    assert len(told) >= len(chains)


def test_forget_in_a_process_that_has_not_used_the_storage(settings, tmp_path):
    """A script that changes files, and then says so, and does nothing else."""
    settings.CACHES = {
        "media": {
            "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
            "LOCATION": str(tmp_path),
        }
    }
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "x").touch()

    def chain():
        return FallbackStorage(
            ["django.core.files.storage.FileSystemStorage"], cache="media"
        )

    settings.MEDIA_ROOT = str(tmp_path / "media")
    worker = chain()
    assert worker.exists("x")
    (tmp_path / "media" / "x").unlink()
    # As the worker is to another process: its memo is not among those that are told.
    invalidation._registry.memos.discard(worker._get_engine().memo)
    chain().forget("x")
    assert not worker.exists("x")


def test_an_invalidation_that_was_not_delivered_is_tried_again_at_the_end(valkey):
    """A command deletes files while the server restarts, and ends when it is back."""
    pytest.importorskip("redis")
    script = textwrap.dedent(f"""
        import os, sys
        sys.path.insert(0, {str(SUPPORT)!r})
        from django.conf import settings
        settings.configure(
            SECRET_KEY="x",
            CACHES={{"media": {{
                "BACKEND": "django.core.cache.backends.redis.RedisCache",
                "LOCATION": {valkey.url!r},
            }}}},
        )
        import django
        django.setup()
        from fallback_storage.storage import FallbackStorage
        chain = FallbackStorage(
            ["django.core.files.storage.FileSystemStorage"], cache="media"
        )
        chain.exists("a")
        store = chain._get_engine().memo.store
        print("ready", flush=True)
        sys.stdin.readline()
        chain.forget("a")
        assert store.stats()["undelivered"], store.stats()
        print("undelivered", flush=True)
        sys.stdin.readline()
        assert store.stats()["breaker_open"]
    """)
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            redis = pytest.importorskip("redis")
            with redis.Redis(port=valkey.port) as client:
                (key,) = [key for key in client.keys("*") if key.endswith(b"a")]
            valkey.freeze()
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "undelivered\n"
            valkey.thaw()
            with redis.Redis(port=valkey.port) as client:
                client.set(key, b"what another process has filled")
                process.communicate("\n", timeout=60)
                assert process.returncode == 0
                assert client.get(key) is None
        finally:
            valkey.thaw()
            process.kill()


class Lowering(RecordingStorage):
    """Two names become one: as of a storage that cuts, slugifies or lower-cases."""

    def get_available_name(self, name, max_length=None):
        return name.lower()


def test_two_names_that_become_one_in_two_threads():
    """What one save has chosen the other does not."""
    home = Lowering("home")
    chain = FallbackStorage([home])
    both = threading.Barrier(2)

    def meet(name):
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(1)

    home.before("_save", meet)
    saved = {}

    def save(name):
        saved[name] = chain.save(name, ContentFile(name.encode()))

    threads = [threading.Thread(target=save, args=(name,)) for name in ("Cat", "cAT")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(set(saved.values())) == 2
    assert home.files == {saved[name]: name.encode() for name in saved}


def test_a_name_that_a_save_has_chosen_is_free_again_when_it_fails():
    home = Lowering("home")
    home.fail("_save", OSError("full"))
    chain = FallbackStorage([home])
    with pytest.raises(OSError, match="full"):
        chain.save("Cat", ContentFile(b"1"))
    home.heal("_save")
    done = []
    thread = threading.Thread(
        target=lambda: done.append(chain.save("cAt", ContentFile(b"2")))
    )
    thread.start()
    thread.join(10)
    assert done == ["cat"]


def test_a_new_files_name_is_free_in_a_chain_within_the_chain_too():
    """What the inner one remembers does not count, as what the outer one does."""
    first, second = RecordingStorage("first"), RecordingStorage("second")
    outer = FallbackStorage(
        [RecordingStorage("home"), FallbackStorage([first, second])]
    )
    assert not outer.exists("x")
    first.files["x"] = b"of another process"
    assert outer.get_available_name("x") != "x"
    assert not outer.is_name_available("x")
