"""A gevent worker: 64 greenlets use a memo in Redis at once, each on its own connection.

python greenlets.py PORT; prints what went wrong, as JSON.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402
import sys  # noqa: E402

import gevent  # noqa: E402
import redis  # noqa: E402
from gevent.event import Event  # noqa: E402

from fallback_storage.cache.entry import held  # noqa: E402
from fallback_storage.cache.stores.guarded import GuardedStore  # noqa: E402
from fallback_storage.cache.stores.local import LocalStore  # noqa: E402
from fallback_storage.cache.stores.near import NearStore  # noqa: E402
from fallback_storage.cache.stores.redis import RedisStore  # noqa: E402

NAMES = [f"{number}.jpg" for number in range(64)]
SECONDS = 60


def client():
    return redis.Redis(port=int(sys.argv[1]), socket_timeout=SECONDS)


def together(act):
    """Let a greenlet act for each name, all at once; return what they return."""
    begin = Event()

    def run(name):
        begin.wait()
        return act(name)

    greenlets = [gevent.spawn(run, name) for name in NAMES]
    gevent.sleep(0)
    begin.set()
    gevent.joinall(greenlets, timeout=SECONDS, raise_error=True)
    return [each.value for each in greenlets]


def until(condition):
    with gevent.Timeout(SECONDS):
        while not condition():
            gevent.sleep(0.001)


def use(store, other):
    """Yield what is wrong."""
    filled = together(
        lambda name: store.fill(name, store.look_up_one(name)[1], held(1), 60.0)
    )
    yield "filled", filled.count(False)
    yield "unknown", sum(other.look_up_one(name)[0] != held(1) for name in NAMES)
    together(lambda name: store.invalidate([name]))
    yield "stale", sum(other.look_up_one(name)[0] is not None for name in NAMES)
    for key in ("store_failures", "bypassed", "undelivered", "breaker_open"):
        yield key, store.stats()[key]


def hear(near, other):
    """A near tier hears of what others write, on a greenlet of its own."""
    near.look_up_one("connects")
    until(lambda: near.stats()["near_connected"])
    other.fill("a", other.look_up_one("a")[1], held(1), 60.0)
    until(lambda: near.look_up_one("a")[0] == near.peek("a") == held(1))
    other.invalidate(["a"])
    until(lambda: near.peek("a") is None)


def main():
    other = RedisStore(client, "p:")
    wrong = {}
    for kind in ("redis", "near"):
        far = RedisStore(client, "p:")
        store = far if kind == "redis" else NearStore(far, LocalStore())
        guarded = GuardedStore(store)
        for what, count in use(guarded, other):
            if count:
                wrong[f"{kind}: {what}"] = count
        if kind == "near":
            hear(guarded, other)
        guarded.close()
    print(json.dumps(wrong))  # noqa: T201


main()
