"""Several processes that save, delete and read the same few files.

    python worker.py config.json

Each says "ready", waits for the three letters "go!", works, and leaves what it saw in
a file. The configuration, written by ``crew.py``:

``cache``
    ``kind``: redis, near, django, local (not shared: a check of the check) or none;
    ``caches``, ``databases``: the settings; ``endpoint``: a file with the port to which
    clients of Redis connect; ``ttl``.
``roots``, ``upper``, ``both``
    The directories of the two backends; names that only the upper one may hold, and
    names that the lower one always holds.
``interrupts``
    Whether calls are ended by a signal. Each name then has one worker that writes it,
    who knows what an interrupted write has done.
``nested``
    Whether the chain lies within another one, which has a memo in the same store.
``operations``, ``threads``, ``seed``, ``seconds``, ``logs``
    How much of it, how random, how long at most, and for each process where to.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import json
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

from django.conf import settings

TTL = 60.0
PATIENCE_SECONDS = 60
# Soon, and yet not always while the store is in trouble.
COOL_DOWN = 0.02
# Between two signals, about, of the process's own time.
INTERRUPT_SECONDS = 0.005
PAUSE = threading.Event()


class TimeLimitError(BaseException):
    """What a signal's handler raises. (An exception would be a failure of the backend.)"""


def client_of(endpoint):
    """Return what makes a client that connects to where the endpoint leads by then."""
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    class Connection(redis.Connection):
        def _connect(self):
            self.port = int(Path(endpoint).read_text())
            return super()._connect()

    def make():
        pool = redis.ConnectionPool(
            connection_class=Connection,
            socket_timeout=0.25,
            socket_connect_timeout=0.25,
            retry=Retry(NoBackoff(), 0),
        )
        return redis.Redis.from_pool(pool)

    return make


def build_store(cache, chain):
    kind = cache["kind"]
    if kind in {"redis", "near"}:
        from fallback_storage.cache.stores.redis import redis_store

        client = client_of(cache["endpoint"]) if "endpoint" in cache else None
        far = redis_store("default", chain, client)
        if kind == "redis":
            return far
        from fallback_storage.cache.stores.local import LocalStore
        from fallback_storage.cache.stores.near import NearStore

        return NearStore(far, LocalStore(1000))
    if kind == "django":
        from fallback_storage.cache.stores.django_cache import DjangoCacheStore

        return DjangoCacheStore("default", chain)
    from fallback_storage.cache.stores.local import LocalStore

    return LocalStore()


def build_memo(cache, chain, depth):
    from fallback_storage.cache.memo import Memo
    from fallback_storage.cache.stores.guarded import GuardedStore
    from fallback_storage.cache.stores.null import NullStore

    if cache["kind"] == "none":
        return Memo(NullStore(), 2, 0, 0)
    store = GuardedStore(build_store(cache, chain), cool_down=COOL_DOWN)
    ttl = cache.get("ttl", TTL)
    return Memo(store, 2, ttl, ttl, depth=lambda: depth)


def backend(name, root):
    return {
        "NAME": name,
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": root, "base_url": f"/{name}/"},
        "READ_ONLY": name == "lower",
        # Entries are judged, not what is seen by a look at the disk.
        "LOOK_AGAIN": False,
    }


def build_storage(config):
    """Return the chain, and the memos, those of chains within it first."""
    from fallback_storage.operations import engine
    from fallback_storage.storage import FallbackStorage

    # Not as the settings would have them, which the crew would all have to be told.
    count = 2 if config["nested"] else 1
    memos = [build_memo(config["cache"], f"c0ffee{n}", n) for n in range(count)]
    building = iter(memos)
    engine.build_memo = lambda *args, **kwargs: next(building)
    upper, lower = map(backend, ("upper", "lower"), config["roots"])
    if not config["nested"]:
        return FallbackStorage([upper, lower]), memos
    nobody = {**lower, "OPTIONS": {"location": f"{config['roots'][0]}-none"}}
    inner = FallbackStorage([upper, nobody])
    inner.exists("warm-up")
    return FallbackStorage([inner, lower]), memos


class Interrupts:
    """Signals that end what is done within ``with``, now and then."""

    def __init__(self, seed):
        self._chance = random.Random(seed)
        self._may_end = False
        signal.signal(signal.SIGPROF, self._end)
        self._wind_up()

    def _wind_up(self):
        seconds = self._chance.uniform(0.1, 2) * INTERRUPT_SECONDS
        signal.setitimer(signal.ITIMER_PROF, seconds)

    def _end(self, *args):
        self._wind_up()
        if self._may_end:
            self._may_end = False
            raise TimeLimitError

    def __enter__(self):
        self._may_end = True

    def __exit__(self, *args):
        self._may_end = False


class Worker:
    def __init__(self, config, number, storage, memos):
        self.storage, self.memos = storage, memos
        self.upper_root = Path(config["roots"][0])
        self.upper, self.names = config["upper"], config["upper"] + config["both"]
        self.operations = config["operations"]
        self.seed = f"{config['seed']} {number}"
        self.written = self.names
        self.interrupts = contextlib.nullcontext()
        if config["interrupts"]:
            self.interrupts = Interrupts(self.seed)
            self.written = self.names[number :: len(config["logs"])]
        self.interrupted = 0
        self.log = []
        # Writes of which the store could not be told yet.
        self.owed = []
        self.lock = threading.Lock()

    def run(self, thread):
        choose = random.Random(f"{self.seed} {thread}")
        for _ in range(self.operations):
            name = choose.choice(self.names)
            operations, weights = [self.url, self.open, self.resolve], [6, 2, 5]
            if name in self.upper:
                operations.append(self.exists)
                weights.append(6)
            if name in self.written:
                operations += [self.write, self.delete]
                weights += [3, 3]
                if name in self.upper:
                    operations.append(self.save)
                    weights.append(3)
            (operation,) = choose.choices(operations, weights)
            self.do(operation, name)

    def do(self, operation, name):
        how = operation.__name__
        how = "write" if how in {"write", "delete", "save"} else how
        begin = time.monotonic()
        try:
            with self.interrupts:
                value = operation(name)
        except (TimeLimitError, RuntimeError) as error:
            # (Until 3.12 it becomes the other one where a class is being made, as by the
            # import of what is needed for the first time.)
            if not isinstance(error.__cause__ or error, TimeLimitError):
                raise
            self.interrupted += 1
            # Nobody else writes it, so that tells what was done. A read tells nothing.
            value = (self.upper_root / name).exists() if how == "write" else None
        end = time.monotonic()
        if value is None:
            return
        entry = [how, name, begin, end, value, None]
        with self.lock:
            self.log.append(entry)
            if how == "write":
                self.owed.append(entry)
        self.settle()

    def settle(self):
        """Note from when on the others have been told of what was written."""
        with self.lock:
            owed, self.owed = self.owed, []
        if owed and self.undelivered():
            with self.lock:
                self.owed += owed
        else:
            told = time.monotonic()
            for entry in owed:
                entry[-1] = told

    def undelivered(self):
        return any(memo.store.stats().get("undelivered") for memo in self.memos)

    def end(self):
        """The process lives until everything is told."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.owed:
            if time.monotonic() > deadline:
                sys.exit("The store is not told.")
            for memo in self.memos:
                memo.store.look_up_one("another")
            self.settle()
            PAUSE.wait(0.005)

    # Each returns whether the upper backend holds the name, afterwards; None: nothing
    # is known of this very name.

    def write(self, name):
        with self.storage.open(name, "wb") as file:
            file.write(b"upper")
        return True

    def save(self, name):
        from django.core.files.base import ContentFile

        try:
            saved = self.storage.save(name, ContentFile(b"upper"))
        except FileNotFoundError:
            # Somebody deleted it before Django's save() had seen to its permissions.
            return True
        if saved != name:
            self.storage.delete(saved)
            return None
        return True

    def delete(self, name):
        self.storage.delete(name)
        return False

    def exists(self, name):
        return self.storage.exists(name)

    def url(self, name):
        return self.storage.url(name).startswith("/upper/")

    def open(self, name):
        try:
            with self.storage.open(name) as file:
                return file.read() != b"lower"
        except FileNotFoundError:
            return False

    def resolve(self, name):
        return self.storage.resolve(name).index == 0


def work(config, number):
    storage, memos = build_storage(config)
    worker = Worker(config, number, storage, memos)
    # The first use builds everything, and begins to connect.
    storage.exists("warm-up")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while config["cache"]["kind"] == "near" and not storage.stats()["near_connected"]:
        if time.monotonic() > deadline:
            sys.exit("The near tier does not connect.")
        storage.exists("warm-up")
        PAUSE.wait(0.005)
    os.write(1, b"ready\n")
    os.read(0, 3)
    # Whoever hangs says where.
    faulthandler.dump_traceback_later(0.9 * config["seconds"])
    errors = []

    def run(thread):
        try:
            worker.run(thread)
        except Exception as error:
            errors.append(error)

    threads = [
        threading.Thread(target=run, args=(number,))
        for number in range(1, config["threads"])
    ]
    for thread in threads:
        thread.start()
    # Here signals arrive.
    run(0)
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    worker.end()
    stats = {
        key: value
        for key, value in storage.stats().items()
        if not isinstance(value, dict)
    }
    stats["interrupted"] = worker.interrupted
    log = {"operations": worker.log, "stats": stats}
    Path(config["logs"][number]).write_text(json.dumps(log))


def main():
    """Fork the workers: what takes long, the imports, is done once."""
    config = json.loads(Path(sys.argv[1]).read_text())
    cache = config["cache"]
    settings.configure(
        CACHES=cache.get("caches", {}),
        DATABASES=cache.get("databases", {}),
        SECRET_KEY="tests",
    )
    importlib.import_module("fallback_storage.storage")
    # As in any site. (An import that is interrupted is Python's to repeat, if it can.)
    importlib.import_module("django.urls")
    if cache["kind"] in {"redis", "near"}:
        importlib.import_module("redis")
    workers = []
    for number in range(len(config["logs"])):
        workers.append(os.fork())
        if not workers[-1]:
            work(config, number)
            return
    failed = [worker for worker in workers if os.waitpid(worker, 0)[1]]
    sys.exit(f"{len(failed)} workers failed." if failed else 0)


if __name__ == "__main__":
    main()
