"""Readers that race with writers, and what threads may see at all."""

from __future__ import annotations

import random
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, InMemoryStorage, storages
from fakes import RecordingStorage

from fallback_storage.storage import FallbackStorage


class Gate:
    """Holds up one thread at one place, until it is opened."""

    def __init__(self):
        self.reached = threading.Event()
        self._open = threading.Event()
        self.thread = None

    def open(self):
        self._open.set()

    def pass_through(self):
        if threading.current_thread() is self.thread and not self.reached.is_set():
            self.reached.set()
            assert self._open.wait(20)


class Gated(RecordingStorage):
    """Has paths; stops its caller at a gate before or after its own work."""

    def __init__(self, label, files=None):
        super().__init__(label, files)
        self.before_gate = {}
        self.after_gate = {}

    def act(self, method, name):
        super().act(method, name)
        if method in self.before_gate:
            self.before_gate[method].pass_through()

    def _stop_after(self, method, function, *args):
        try:
            return function(*args)
        finally:
            if method in self.after_gate:
                self.after_gate[method].pass_through()

    def exists(self, name):
        return self._stop_after("exists", super().exists, name)

    def _open(self, name, mode="rb"):
        return self._stop_after("_open", super()._open, name, mode)

    def size(self, name):
        return self._stop_after("size", super().size, name)

    def path(self, name):
        self.calls.append(("path", name))
        return f"/{self.label}/{name}"


def started(function, gate=None):
    """Run a function in a thread of its own, which the gate stops; return the thread."""

    def run():
        # What the reader is told may be old; what is remembered may not.
        with suppress(FileNotFoundError):
            function()

    thread = threading.Thread(target=run, daemon=True)
    if gate is not None:
        gate.thread = thread
    thread.start()
    return thread


def finish(*threads):
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


READS = {
    "exists": ("exists", lambda chain: chain.exists("d/a")),
    "resolve": ("exists", lambda chain: chain.resolve("d/a")),
    "url": ("exists", lambda chain: chain.url("d/a")),
    "path": ("exists", lambda chain: chain.path("d/a")),
    "open": ("_open", lambda chain: chain.open("d/a").close()),
    "size": ("size", lambda chain: chain.size("d/a")),
}


def write_and_close(chain):
    with chain.open("d/a", "wb") as file:
        file.write(b"new")


# What is written, and the backend's call that changes the file.
WRITES = {
    "save": ("_save", lambda chain: chain.save("d/a", ContentFile(b"new"))),
    "write": ("close", write_and_close),
    "delete": ("delete", lambda chain: chain.delete("d/a")),
}


def answers(chain):
    """Return everything a chain says of the name."""
    found = chain.resolve("d/a")
    size = content = None
    if found.held:
        size, content = chain.size("d/a"), chain.open("d/a").read()
    return (
        chain.exists("d/a"), chain.url("d/a"), chain.path("d/a"),
        found.index, found.held, size, content,
    )  # fmt: skip


@pytest.fixture(params=["same instance", "another instance", "another chain"])
def world(request):
    """Two backends; the chain that is read through and the one written through."""
    backends = [Gated("front"), Gated("back")]
    reader = FallbackStorage(backends)
    writer = {
        "same instance": lambda: reader,
        "another instance": lambda: FallbackStorage(backends),
        "another chain": lambda: FallbackStorage(backends[:1]),
    }[request.param]()
    return backends, reader, writer


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("read", READS)
def test_a_walk_that_a_write_overtook_leaves_nothing(world, read, write):
    """Asked before the change, remembered after the invalidation: refused."""
    (front, back), reader, writer = world
    if write == "delete":
        front.files["d/a"] = b"old"
    method, ask = READS[read]
    gate = front.after_gate[method] = Gate()
    asking = started(lambda: ask(reader), gate)
    assert gate.reached.wait(20)
    WRITES[write][1](writer)
    gate.open()
    finish(asking)
    truth = FallbackStorage([front, back], cache=False)
    assert answers(reader) == answers(truth)
    assert truth.exists("d/a") is (write != "delete")
    assert reader.stats()["late_fills"] == 1


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("read", READS)
def test_a_walk_that_ends_before_the_invalidation_is_forgotten(world, read, write):
    """Remembered before the change: the writer forgets it before it returns."""
    (front, back), reader, writer = world
    if write == "delete":
        front.files["d/a"] = b"old"
    method, change = WRITES[write]
    gate = front.before_gate[method] = Gate()
    writing = started(lambda: change(writer), gate)
    assert gate.reached.wait(20)
    ask = started(lambda: READS[read][1](reader))
    finish(ask)
    assert reader.stats()["fills"] >= 1
    gate.open()
    finish(writing)
    truth = FallbackStorage([front, back], cache=False)
    assert answers(reader) == answers(truth)
    assert truth.exists("d/a") is (write != "delete")


@pytest.mark.parametrize("name", ["d", "d/a", "d/a/b"])
def test_a_walk_of_a_directory_that_a_save_made_leaves_nothing(tmp_path, name):
    """Saving below a name changes what is known of it, also of a walk under way."""
    backends = [FileSystemStorage(tmp_path / "front"), Gated("back")]
    chain = FallbackStorage(backends)
    gate = backends[1].after_gate["exists"] = Gate()
    asking = started(lambda: chain.exists(name), gate)
    assert gate.reached.wait(20)
    FallbackStorage(backends).save("d/a/b", ContentFile(b"new"))
    gate.open()
    finish(asking)
    assert chain.exists(name)


# Judged by history


@dataclass
class History:
    """When each operation began and ended, in the order of one counter.

    ``changes``: (began, ended, holder) by name; the holder is None for a deletion.
    """

    clock: count = field(default_factory=lambda: count(1))
    changes: dict = field(default_factory=dict)
    reads: list = field(default_factory=list)

    def change(self, name, holder, began):
        self.changes[name].append((began, next(self.clock), holder))

    def read(self, name, answer, began):
        self.reads.append((name, answer, began, next(self.clock)))

    def stale(self):
        """Return the reads that no order of the operations explains.

        An answer needs a change that gave it, began before the read ended, and was
        not followed, before the read began, by a whole change to something else.
        """
        return [
            (name, answer, began, ended)
            for name, answer, began, ended in self.reads
            if not any(
                start < ended
                and answer(holder)
                and not any(
                    later > end and done < began and not answer(other)
                    for later, done, other in self.changes[name]
                )
                for start, end, holder in self.changes[name]
            )
        ]


def test_a_history_check_finds_what_it_is_for():
    """The check below tells a stale read from one that overlaps the write."""
    history = History(changes={"a": [(0, 0, None)]})
    history.changes["a"] += [(1, 4, "front"), (6, 7, None)]
    overlapping = [("a", lambda h: h is None, 2, 3), ("a", bool, 5, 6)]
    history.reads = [*overlapping, ("a", bool, 6, 9)]
    assert history.stale() == []
    stale = [("a", lambda h: h is None, 5, 5), ("a", bool, 8, 9)]
    history.reads = [*overlapping, *stale]
    assert history.stale() == stale


class Undisturbed(FileSystemStorage):
    """Saves without a last look at the file, which fails if that was deleted already.

    (So does ``chmod``: there must be no FILE_UPLOAD_PERMISSIONS.)
    """

    def _ensure_location_group_id(self, full_path):
        pass


class Worker:
    """Does random things to few names through its own instances, and notes them."""

    def __init__(self, seed, history, chains, start):
        self.random = random.Random(seed)
        self.history = history
        self.chains = chains
        self.start = start
        self.error = None
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        try:
            self.start.wait(20)
            for _ in range(100):
                name = self.random.choice(list(self.history.changes))
                chain = self.random.choice(self.chains)
                work = self.random.choice(
                    [self.save, self.delete, self.exists, self.url, self.open]
                )
                work(name, chain, next(self.history.clock))
        except BaseException as error:
            self.error = error

    def save(self, name, chain, began):
        saved = chain.save(name, ContentFile(name.encode()))
        if saved == name:
            self.history.change(name, chain.label, began)
            return
        # The name was taken; of this new one nobody else knows.
        assert all(each.exists(saved) for each in self.chains)
        assert all(each.url(saved) == f"/{chain.label}/{saved}" for each in self.chains)
        chain.delete(saved)
        assert not any(each.exists(saved) for each in self.chains)

    def delete(self, name, chain, began):
        chain.delete(name)
        self.history.change(name, None, began)

    def exists(self, name, chain, began):
        found = chain.exists(name)
        self.history.read(name, lambda holder: bool(holder) is found, began)

    def url(self, name, chain, began):
        asked = chain.url(name).split("/")[1]
        # The last backend's URL also means that nobody holds the name.
        last = chain.backends[-1].storage.base_url.strip("/")
        allowed = {asked, None} if asked == last else {asked}
        self.history.read(name, lambda holder: holder in allowed, began)

    def open(self, name, chain, began):
        try:
            with chain.open(name) as file:
                assert name.encode().startswith(file.read())
            found = True
        except FileNotFoundError:
            found = False
        self.history.read(name, lambda holder: bool(holder) is found, began)


@pytest.mark.parametrize("seed", range(3))
def test_whoever_comes_after_a_write_sees_it(tmp_path, settings, seed):
    """Threads, instances and two chains over the same files: no stale answer."""
    settings.FILE_UPLOAD_PERMISSIONS = None
    front, back = (
        Undisturbed(tmp_path / label, base_url=f"/{label}/")
        for label in ("front", "back")
    )
    chains = []
    for order in ([front, back], [back, front]):
        for _ in range(2):
            chain = FallbackStorage(order, on_delete="all")
            chain.label = order[0].base_url.strip("/")
            chains.append(chain)
    history = History(changes={name: [(0, 0, None)] for name in ("a", "b", "d/c")})
    start = threading.Barrier(6)
    workers = [Worker(f"{seed}.{n}", history, chains, start) for n in range(6)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for worker in workers:
            worker.thread.start()
        finish(*(worker.thread for worker in workers))
    finally:
        sys.setswitchinterval(interval)
    assert [worker.error for worker in workers] == [None] * 6
    assert history.stale() == []


def test_threads_that_use_a_chain_first_build_its_storages_once():
    """Those that wait meanwhile get what was built: files in memory are not lost."""
    waiting, built = threading.Barrier(2), []

    def build():
        with suppress(threading.BrokenBarrierError):
            waiting.wait(0.5 if built else 5)  # until the other thread is on its way
        built.append(InMemoryStorage())
        return built[-1]

    chain = FallbackStorage([build], cache=False)
    backend = chain.backends[0]

    def second():
        waiting.wait(5)
        return backend.storage

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.submit(lambda: backend.storage), pool.submit(second)
        assert one.result() is other.result()
    assert len(built) == 1


def test_threads_that_ask_for_an_alias_first(tmp_path, settings, monkeypatch):
    """Django may build a chain for each of them: a write through one is told to all."""
    roots = {name: tmp_path / name for name in ("home", "below")}
    files = "django.core.files.storage.FileSystemStorage"
    settings.STORAGES = {
        "default": {
            "BACKEND": "fallback_storage.storage.FallbackStorage",
            "OPTIONS": {"backends": list(roots)},
        },
        **{
            name: {"BACKEND": files, "OPTIONS": {"location": root}}
            for name, root in roots.items()
        },
    }
    together, build = threading.Barrier(4), storages.create_storage

    def build_together(params):
        if params["BACKEND"] != files:
            together.wait(20)
        return build(params)

    monkeypatch.setattr(storages, "create_storage", build_together)
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "a").write_text("below")
    with ThreadPoolExecutor(4) as pool:
        chains = list(pool.map(lambda _: storages["default"], range(4)))
    assert len({id(chain) for chain in chains}) == 4
    assert [chain.resolve("a").index for chain in chains] == [1] * 4
    with chains[0].open("a", "w") as file:
        file.write("home")
    assert [chain.resolve("a").index for chain in chains] == [0] * 4
    chains[1].delete("a")
    assert [chain.resolve("a").index for chain in chains] == [1] * 4
    # And what they have below is the same.
    for index in range(2):
        assert len({id(chain.backends[index].storage) for chain in chains}) == 1
