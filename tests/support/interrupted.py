"""A chain whose operations are interrupted, and what must be true of it afterwards."""

from __future__ import annotations

import functools
import gc
import os
import shutil
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import ModuleType

from clocks import ManualClock
from django.core.cache import caches
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from django.core.files.uploadedfile import TemporaryUploadedFile
from fakes import RecordingStorage
from overlay.parts import read_only, writable

from fallback_storage.cache import invalidation
from fallback_storage.cache.stores.guarded import GuardedStore
from fallback_storage.chain import nesting, reaches
from fallback_storage.chain.names import STAGING_FOLDER
from fallback_storage.conf.memo import close_shared_stores
from fallback_storage.operations import naming, rootlock
from fallback_storage.storage import FallbackStorage
from fallback_storage.utils import forks, tenants, workers
from fallback_storage.utils.locks import _saving, changing, choices, copying

HERE, BELOW, GONE, NEW = "d/here.txt", "d/below.txt", "d/gone.txt", "d/new.txt"
NAMES = (HERE, BELOW, GONE, NEW)
OLD, FRESH = b"old content", b"fresh content, in one piece"
# All that may be read of a file; less is a part of one.
WHOLE = {OLD, FRESH, b"below", b"below" + FRESH}

LOCKS = (type(threading.Lock()), type(threading.RLock()))


class Chain(FallbackStorage):
    """On a clock that stands still."""

    clock = ManualClock()


def remembered(storage, name="production"):
    """A backend of whose files sizes and times are kept as well."""
    return {**read_only(storage, name), "PROFILE": {"KEEPS_FACTS": True}}


def mirror(root):
    """A local directory, in which deletes are noted, over production's bucket."""
    home = FileSystemStorage(root / "home", base_url="/home/")
    production = RecordingStorage(
        "production", dict.fromkeys(("d/below.txt", "d/gone.txt"), b"below")
    )
    entries = [writable(home), remembered(production)]
    return entries, {"on_delete": "whiteout", "promote": True}, home


def buckets(root):
    """Two buckets that are written to."""
    first, second = RecordingStorage("first"), RecordingStorage("second")
    second.files.update(dict.fromkeys(("d/below.txt", "d/gone.txt"), b"below"))
    return [writable(first), writable(second, "second")], {"on_delete": "all"}, first


def nested(root):
    """A mirror as the first backend of a chain."""
    entries, options, home = mirror(root)
    inner = Chain(entries, **options)
    third = RecordingStorage("third", {"d/third.txt": b"below"})
    return [writable(inner), remembered(third, "third")], {"promote": True}, home


CHAINS = {"mirror": mirror, "buckets": buckets, "nested": nested}


class World:
    """Two instances of one chain, which know the files; and the oracle, without a memo.

    ``cache``: the option of that name.
    """

    def __init__(self, root, chain, cache):
        self.root = root
        self.is_shared = bool(cache)
        shutil.rmtree(root, ignore_errors=True)
        (root / "home" / "d").mkdir(parents=True)
        close_shared_stores()
        reaches.forget_all()
        if cache:
            caches[cache["ALIAS"]].clear()
        entries, options, self.home = CHAINS[chain](root)
        self.chain = Chain(entries, cache, **options)
        self.other = Chain(entries, cache, **options)
        self.oracle = Chain(entries, False, **{**options, "promote": False})
        self.chain.save(HERE, ContentFile(OLD))
        if chain != "buckets":
            self.chain.delete(GONE)
        for each in (self.chain, self.other):
            for name in NAMES:
                each.exists(name)
                each.url(name)
        self.descriptors = descriptors()
        self.uploads = []
        self.thread = None
        # What ``open`` makes is written piece by piece.
        self.whole = WHOLE

    def upload(self):
        upload = TemporaryUploadedFile("new.txt", "text/plain", len(FRESH), None)
        upload.write(FRESH)
        upload.seek(0)
        self.uploads.append(upload)
        return upload

    def opened(self, name, mode):
        self.whole = WHOLE | {b"", b"below"}
        return self.chain.open(name, mode)

    def write(self, name, mode):
        with self.opened(name, mode) as file:
            file.write(FRESH)

    def read(self, name):
        with self.chain.open(name) as file:
            return file.read()

    def first(self):
        """The first use of an instance, which builds what it needs."""
        fresh = Chain(self.chain._given["backends"], self.chain._given.get("cache"))
        self.fresh = fresh
        return fresh.exists(HERE)

    def begin(self, act):
        """Let another thread act; it may have to wait for this one."""

        def run():
            with suppress(Exception):  # what it is about may be gone
                act(self)

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()
        self.thread.join(0.02)

    def close(self, *, afresh):
        """Let no later write reach these memos; ``afresh``: let nothing be held."""
        memos = invalidation._registry.memos
        for memo in memos.all():
            memos.discard(memo)
        if afresh:
            forks._in_child()
            locks_of_modules.cache_clear()
            rootlock._held.__dict__.clear()

    def back_from_an_outage(self):
        """The one call that tries whether the last backend can be reached again."""
        last = self.chain.backends[-1]
        last.storage.fail("exists", ConnectionError())
        for _ in range(3):
            self.chain.exists("d/unknown.txt")
        last.storage.heal()
        assert last.stats()["breaker"] == "open"
        Chain.clock.tick(100)
        with self.moments:
            self.chain.exists("d/unknown.txt")

    # What must be true

    def faults(self):
        """Yield what is wrong."""
        if self.thread is not None:
            self.thread.join(20)
            if self.thread.is_alive():
                yield "another thread waits for ever"
        yield from self.unlike_oracle()
        yield from self.held()

    def unlike_oracle(self):
        for chain in (self.chain, self.other):
            for name in (*NAMES, "d"):
                for ask in (exists, url, *([size, content] if name != "d" else ())):
                    truth, answer = ask(self.oracle, name), ask(chain, name)
                    if answer != truth:
                        which = "chain" if chain is self.chain else "other"
                        yield f"{which} {ask.__name__}({name}): {answer}, not {truth}"
                    if isinstance(answer, bytes) and answer not in self.whole:
                        yield f"a part of {name}: {answer}"
        if hasattr(self, "fresh") and exists(self.fresh, HERE) is not True:
            yield f"fresh: {exists(self.fresh, HERE)}"

    def held(self):
        """Yield what is held, reserved, under way or undelivered."""
        chosen = [name for name, scope in choices._owners.items() if scope.locked()]
        if chosen or choices._scopes.entered():
            yield f"chosen: {chosen}"
        if naming._scopes.entered() or tenants._operations.entered():
            yield "an operation goes on"
        if rootlock._held.__dict__.get("places"):
            yield "the root is locked by this thread"
        if nesting.building.get():
            yield "a backend is being built"
        for chain in (self.chain, self.other):
            yield from self.held_by(chain)
        for lock, where in (*locks_of_modules(), *locks_of(self.chain, self.other)):
            if repr(lock).startswith("<locked"):
                yield f"locked: {where}"
        for names in (_saving, copying, changing, rootlock._in_turn):
            # One that nobody holds may be kept alive by a frame.
            for name, lock in list(names._locks.items()):
                if repr(lock()).startswith("<locked"):
                    yield f"locked: {name}"
        if isinstance(self.home, FileSystemStorage):
            if not can_lock(self.home.location):
                yield "the root is locked"
            left = list(self.root.rglob(STAGING_FOLDER))
            if left:
                yield f"left: {left}"

    def held_by(self, chain):
        for backend in chain.backends:
            if backend.stats()["breaker"] == "trial":
                yield f"{backend.name} is being tried"
        flights = chain._engine.resolver.flights._flights
        if any(flight.under_way.locked() for flight in flights.values()):
            yield "in the air"
        store = chain._engine.memo.store
        if isinstance(store, GuardedStore):
            store.look_up(["any other"])
            stats = store.stats()
            if stats["undelivered"] or stats["breaker_open"] or not store._healthy:
                yield f"the store is not trusted: {stats}"

    def faults_at_last(self):
        """Yield what is wrong when the exception is gone, and then of the next calls."""
        for upload in self.uploads:
            upload.close()
        if descriptors() > self.descriptors:
            gc.collect()
        if descriptors() > self.descriptors:
            yield "an open file is left"
        held = list(self.held())
        if held:
            yield from held
            return  # the next call might wait for ever
        chain = self.chain
        chain.forget("nothing")
        for name in (NEW, HERE):
            if chain.exists(name):
                chain.delete(name)
            if chain.exists(name) or self.other.exists(name):
                yield f"deleted, and there: {name}"
            saved = chain.save(name, ContentFile(FRESH))
            if saved != name:
                yield f"saved as {saved}"
            if not (chain.exists(name) and self.other.exists(name)):
                yield f"saved, and not there: {name}"
            if content(self.other, name) != FRESH:
                yield f"not what was saved: {name}"


# operation -> what it does. (``prefetch`` of a memo in process is a walk like the others.)
OPERATIONS = {
    "exists": lambda world: [world.chain.exists(name) for name in ("d/x", *NAMES)],
    "url": lambda world: [world.chain.url(name) for name in ("d/x", *NAMES)],
    "size": lambda world: world.chain.size(HERE),
    "size-below": lambda world: [size(world.chain, BELOW) for _ in range(2)],
    "path": lambda world: world.chain.path(HERE),
    "path-promote": lambda world: world.chain.path(BELOW),
    "listdir": lambda world: world.chain.listdir("d"),
    "resolve": lambda world: world.chain.resolve("d/y"),
    "resolve_many": lambda world: world.chain.resolve_many(["d/x", "d/y", *NAMES]),
    "prefetch": lambda world: world.chain.prefetch(["d/x", "d/y", *NAMES]),
    "forget": lambda world: world.chain.forget(HERE),
    "forget_all": lambda world: world.chain.forget_all(),
    "read": lambda world: world.read(HERE),
    "read-promote": lambda world: world.read(BELOW),
    "write": lambda world: world.write(NEW, "wb"),
    "write-over": lambda world: world.write(HERE, "wb"),
    "append-copy-up": lambda world: world.write(BELOW, "ab"),
    "save": lambda world: world.chain.save(NEW, ContentFile(FRESH)),
    "save-taken": lambda world: world.chain.save(HERE, ContentFile(FRESH)),
    "save-upload": lambda world: world.chain.save(NEW, world.upload()),
    "save-hidden": lambda world: world.chain.save(GONE, ContentFile(FRESH)),
    "delete": lambda world: world.chain.delete(HERE),
    "delete-below": lambda world: world.chain.delete(BELOW),
    "unhide": lambda world: world.chain.unhide(GONE),
    "first": World.first,
}
# What arranges its moments by itself.
SPECIAL = {"trial": World.back_from_an_outage}


def exists(chain, name):
    return answer(chain.exists, name)


def url(chain, name):
    return answer(chain.url, name)


def size(chain, name):
    return answer(chain.size, name), answer(chain.get_modified_time, name)


def content(chain, name):
    def read(name):
        with chain.open(name) as file:
            return file.read()

    return answer(read, name)


def answer(function, name):
    try:
        return function(name)
    except Exception as error:
        return type(error).__name__


def descriptors():
    """Count open files: another thread may have connected to a server meanwhile."""
    found = 0
    directory = Path("/proc/self/fd")
    for each in directory.iterdir() if directory.is_dir() else ():
        with suppress(OSError):  # that of the listing itself
            found += not str(each.readlink()).startswith("socket:")
    return found


def can_lock(directory):
    try:
        import fcntl
    except ImportError:
        return True
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


# What threads of ours wait at, and what says that a flight has not landed.
WAITING = (workers._Worker, workers.Task)


@functools.cache
def locks_of_modules():
    """Return the locks that are there while the process lives."""
    modules = [
        module
        for name, module in list(sys.modules.items())
        if name.startswith("fallback_storage")
    ]
    return list(locks_of(*modules))


def locks_of(*objects):
    """Yield every lock that objects of the package lead to, with how it was found."""
    seen = set()
    left = [(each, getattr(each, "__name__", type(each).__name__)) for each in objects]
    while left:
        each, where = left.pop()
        if id(each) in seen or isinstance(each, WAITING):
            continue
        seen.add(id(each))
        if isinstance(each, LOCKS):
            yield each, where
        elif isinstance(each, ModuleType):
            if each.__name__.startswith("fallback_storage"):
                left += [(v, f"{where}.{n}") for n, v in vars(each).items()]
        elif isinstance(each, dict):
            left += [(value, f"{where}[]") for value in list(each.values())]
        elif isinstance(each, list | tuple | set):
            left += [(value, f"{where}[]") for value in list(each)]
        elif type(each).__module__.startswith("fallback_storage"):
            names = [*getattr(each, "__dict__", ())]
            for base in type(each).__mro__:
                slots = base.__dict__.get("__slots__", ())
                names += [slots] if isinstance(slots, str) else slots
            for name in names:
                value = getattr(each, name, None)
                if value is not None:
                    left.append((value, f"{where}.{name}"))
