"""Several processes that save, delete and read the same few files.

    python worker.py config.json

Each says "ready", waits for the three letters "go!", works, and leaves what it saw in
a file. The configuration, written by ``crew.py``:

``cache``
    ``kind``: redis, near, django, local (not shared: a check of the check) or none;
    ``caches``: the setting.
``roots``, ``upper``, ``both``
    The directories of the two backends; names that only the upper one may hold, and
    names that the lower one always holds.
``operations``, ``threads``, ``seed``, ``logs``
    How much of it, how random, and for each process where to.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import sys
import threading
import time
from pathlib import Path

from django.conf import settings

TTL = 60.0
PATIENCE_SECONDS = 60
PAUSE = threading.Event()


def build_store(cache):
    kind, chain = cache["kind"], "c0ffee"
    if kind == "redis":
        from fallback_storage.cache.stores.redis import redis_store

        return redis_store("default", chain)
    if kind == "near":
        from fallback_storage.cache.stores.local import LocalStore
        from fallback_storage.cache.stores.near import NearStore
        from fallback_storage.cache.stores.redis import redis_store

        return NearStore(redis_store("default", chain), LocalStore(1000))
    if kind == "django":
        from fallback_storage.cache.stores.django_cache import DjangoCacheStore

        return DjangoCacheStore("default", chain)
    from fallback_storage.cache.stores.local import LocalStore

    return LocalStore()


def patient(store):
    """Wrap a store: what fails to be read is a miss, an invalidation is tried again.

    So a write ends when its invalidation was delivered, whatever happens to the server,
    and from then on nobody may see what was before.
    """
    from fallback_storage.cache.stores.base import Store

    class Patient(Store):
        has_peek = store.has_peek
        failures = 0

        def __init__(self):
            self.peek = store.peek

        def look_up(self, names):
            try:
                return store.look_up(names)
            except Exception:
                Patient.failures += 1
                return dict.fromkeys(names, (None, None))

        def fill(self, name, lease, code, ttl):
            try:
                return store.fill(name, lease, code, ttl)
            except Exception:
                Patient.failures += 1
                return False

        def invalidate(self, names):
            deadline = time.monotonic() + PATIENCE_SECONDS
            while True:
                try:
                    return store.invalidate(names)
                except Exception:
                    Patient.failures += 1
                    if time.monotonic() > deadline:
                        raise
                    PAUSE.wait(0.005)

        def clear(self):
            store.clear()

        def stats(self):
            return {**store.stats(), "store_failures": Patient.failures}

        def close(self):
            store.close()

    return Patient()


def build_storage(config):
    from fallback_storage.cache.memo import Memo
    from fallback_storage.cache.stores.null import NullStore
    from fallback_storage.operations import engine
    from fallback_storage.storage import FallbackStorage

    cache = config["cache"]
    memo = Memo(NullStore(), 2, 0, 0)
    if cache["kind"] != "none":
        memo = Memo(patient(build_store(cache)), 2, TTL, TTL)
    # Not as the settings would have it: without a guard in front of the store.
    engine.build_memo = lambda *args, **kwargs: memo
    return FallbackStorage(
        [
            {
                "NAME": name,
                "BACKEND": "django.core.files.storage.FileSystemStorage",
                "OPTIONS": {"location": root, "base_url": f"/{name}/"},
                "READ_ONLY": name == "lower",
            }
            for name, root in zip(("upper", "lower"), config["roots"], strict=True)
        ]
    )


class Worker:
    def __init__(self, config, storage):
        self.storage = storage
        self.upper, self.both = config["upper"], config["both"]
        self.operations = config["operations"]
        self.seed = config["seed"]
        self.log = []

    def run(self, thread):
        choose = random.Random(f"{self.seed} {thread}")
        for _ in range(self.operations):
            name = choose.choice(self.upper + self.both)
            operations = [self.write, self.delete, self.url, self.open, self.resolve]
            weights = [3, 3, 6, 2, 5]
            if name in self.upper:
                operations += [self.save, self.exists]
                weights += [3, 6]
            (operation,) = choose.choices(operations, weights)
            begin = time.monotonic()
            value = operation(name)
            end = time.monotonic()
            if value is not None:
                how = operation.__name__
                how = "write" if how in {"write", "delete", "save"} else how
                self.log.append((how, name, begin, end, value))

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
    storage = build_storage(config)
    worker = Worker({**config, "seed": f"{config['seed']} {number}"}, storage)
    # The first use builds everything, and begins to connect.
    storage.exists("warm-up")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while config["cache"]["kind"] == "near" and not storage.stats()["near_connected"]:
        if time.monotonic() > deadline:
            sys.exit("The near tier does not connect.")
        PAUSE.wait(0.005)
    os.write(1, b"ready\n")
    os.read(0, 3)
    errors = []

    def run(thread):
        try:
            worker.run(thread)
        except Exception as error:
            errors.append(error)

    threads = [
        threading.Thread(target=run, args=(number,))
        for number in range(config["threads"])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    stats = {
        key: value
        for key, value in storage.stats().items()
        if not isinstance(value, dict)
    }
    log = {"operations": worker.log, "stats": stats}
    Path(config["logs"][number]).write_text(json.dumps(log))


def main():
    """Fork the workers: what takes long, the imports, is done once."""
    config = json.loads(Path(sys.argv[1]).read_text())
    settings.configure(CACHES=config["cache"].get("caches", {}), SECRET_KEY="tests")
    importlib.import_module("fallback_storage.storage")
    if config["cache"]["kind"] in {"redis", "near"}:
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
