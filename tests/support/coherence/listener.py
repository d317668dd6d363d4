"""A process with a near tier that notes when it hears of each change.

    python listener.py config.json

It says "ready" when it listens. Once it has heard of the name "the end" it writes to
``log`` when it heard of which name last. ``busy``: meanwhile it computes, as a worker
under load.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

from django.conf import settings

PATIENCE_SECONDS = 60


def main():
    config = json.loads(Path(sys.argv[1]).read_text())
    settings.configure(CACHES=config["caches"], SECRET_KEY="tests")

    from fallback_storage.cache.stores.local import LocalStore
    from fallback_storage.cache.stores.near import NearStore
    from fallback_storage.cache.stores.redis import redis_store

    heard = {}
    ended = threading.Event()

    class NotingStore(LocalStore):
        def invalidate(self, names):
            super().invalidate(names)
            now = time.monotonic()
            for name in names:
                heard[name] = now
            if "the end" in names:
                ended.set()

    local = NotingStore(10_000)
    store = NearStore(redis_store("default", config["chain"]), local)
    store.look_up(["warm-up"])
    pause, deadline = threading.Event(), time.monotonic() + PATIENCE_SECONDS
    while not store.stats()["near_connected"]:
        if time.monotonic() > deadline:
            sys.exit("The near tier does not connect.")
        pause.wait(0.005)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while config["busy"] and not ended.is_set():
        store.peek("warm-up")
    if not ended.wait(PATIENCE_SECONDS):
        sys.exit("The end was not heard.")
    Path(config["log"]).write_text(json.dumps(heard))


if __name__ == "__main__":
    main()
