"""A memo that several processes share: what a hit costs, and a server that is down."""

from __future__ import annotations

import contextlib
import logging
import time

import wire
from registry import row
from result import DIRECT, OFF, ON, Claim, Figure, Result, Target
from timing import Contender, race

REPEAT = 20
CACHE_GET = "cache.get"
NO_MEMO = "no memo"
CONNECT_SECONDS = 10
#: The default of the guard around a shared store.
COOL_DOWN_SECONDS = 10


@contextlib.contextmanager
def closing_stores():
    """Leave no connection, thread or open breaker to the next row."""
    from django.core.signals import setting_changed

    try:
        yield
    finally:
        change = {"setting": "FALLBACK_STORAGE_CACHE", "value": None, "enter": False}
        setting_changed.send(sender=None, **change)


def _get(alias, names):
    """Return a function that gets a name from a cache, where all names are."""
    from django.core.cache import caches

    cache = caches[alias]
    keys = {name: name.replace("/", "-") for name in names}
    for key in keys.values():
        cache.set(key, 1, 600)
    return lambda name: cache.get(keys[name])


# A hit


def _hit(world, title, alias, bare, round_trips, target=None):
    """``bare``: contenders that the memo is compared with, the first above all."""
    names = world.local_names
    with closing_stores():
        chain = world.chain(cache=alias)
        contenders = [*bare, Contender(ON, chain.exists)]
        with wire.counted():
            laps = race(contenders, names, world.rounds(40, 10))
    result = Result(title, target=target)
    for contender in contenders:
        result.add_laps(contender.label, laps[contender.label], len(names))
    result.claim_requests(ON, round_trips)
    return result


@row("shared-redis")
def shared_redis(world):
    """Without a pickle, hence not far from the client itself."""
    import redis

    title = "exists, memo in Redis, warm (directly: redis-py's GET)"
    names = world.local_names
    with redis.Redis(port=world.valkey.port) as client:
        for name in names:
            client.set(name, b"1:1764280000000:0123456789abcdef", 600)
        bare = [
            Contender(DIRECT, client.get),
            Contender(CACHE_GET, _get("redis", names)),
        ]
        return _hit(world, title, "redis", bare, 1, Target(1.0))


@row("shared-memcached")
def shared_memcached(world):
    title = "exists, memo in memcached, warm (directly: cache.get)"
    if world.memcached is None:
        result = Result(title)
        result.skip(DIRECT, "memcached is not installed")
        result.skip(ON, "memcached is not installed")
        return result
    bare = [Contender(DIRECT, _get("memcached", world.local_names))]
    return _hit(world, title, "memcached", bare, 1, Target(1.2))


@row("shared-locmem")
def shared_locmem(world):
    title = "exists, memo in locmem, warm (directly: cache.get)"
    bare = [Contender(DIRECT, _get("locmem", world.local_names))]
    return _hit(world, title, "locmem", bare, 0, Target(4.0))


@row("near")
def near(world):
    title = "exists, near tier, warm (directly: the in-process memo)"
    names = world.local_names * REPEAT
    with closing_stores():
        chain = world.chain(cache={"ALIAS": "redis", "NEAR": True})
        _bring_near(chain, world.local_names)
        contenders = [
            Contender(DIRECT, world.chain().exists),
            Contender(ON, chain.exists),
        ]
        with wire.counted():
            laps = race(contenders, names, world.rounds(25, 15))
    result = Result(title, target=Target(1.2))
    for contender in contenders:
        result.add_laps(contender.label, laps[contender.label], len(names))
    result.claim_requests(ON, 0)
    return result


def _bring_near(chain, names):
    """Look names up until process memory knows them all."""
    deadline = time.monotonic() + CONNECT_SECONDS
    while not all(map(chain.exists, names)) or any(
        chain.stats()[key] < least
        for key, least in (("near_connected", 1), ("entries", len(names)))
    ):
        if time.monotonic() > deadline:
            raise RuntimeError("the near tier does not fill")


# A page


@row("shared-page")
def shared_page(world):
    """Urls of files in the last backend, which the memo knows; no storage is asked."""
    names = world.remote_names
    title = f"{len(names)} urls, files in S3, public bucket, memo in Redis, one by one"
    with closing_stores():
        chain = world.chain(world.public_s3, cache="redis")
        off = world.chain(world.public_s3, cache=False)
        contenders = [
            Contender(DIRECT, world.public_s3.url),
            Contender(ON, chain.url),
            Contender(OFF, off.url),
        ]
        with wire.counted():
            laps = race(contenders, names, world.rounds(40, 10))
    result = Result(title, per="page")
    for contender in contenders:
        result.add_laps(contender.label, laps[contender.label])
    result.claim_requests(ON, len(names))
    return result


@row("shared-page-prefetch")
def shared_page_prefetch(world):
    """The same page, whose view has asked for all names at once."""
    names = world.remote_names
    title = f"{len(names)} urls, files in S3, public bucket, memo in Redis, prefetched"
    with closing_stores():
        chain, single = (world.chain(world.public_s3, cache="redis") for _ in range(2))

        def page(names):
            chain.prefetch(names)
            for name in names:
                chain.url(name)

        contenders = [
            Contender(DIRECT, world.public_s3.url),
            Contender(ON, page, at_once=True),
            Contender("one by one", single.url),
            Contender(OFF, world.chain(world.public_s3, cache=False).url),
        ]
        with wire.counted():
            laps = race(contenders, names, world.rounds(40, 10))
    result = Result(title, per="page", target=Target(2.0))
    for contender in contenders:
        result.add_laps(contender.label, laps[contender.label])
    result.claim_requests(ON, 1)
    result.claim_requests("one by one", len(names))
    return result


# A server that is down


def _down(world, title, operation, names, rounds):
    """The server accepts connections and answers nothing: the worst it can do."""
    with closing_stores(), _quiet():
        chain, off = world.chain(cache="redis-down"), world.chain(cache=False)
        calls = {NO_MEMO: getattr(off, operation), ON: getattr(chain, operation)}
        # Connected, and with every name known.
        for name in names:
            calls[ON](name)
        world.valkey.freeze()
        try:
            begin = time.monotonic()
            calls[ON](names[0])
            first = time.monotonic() - begin
            contenders = [Contender(label, call) for label, call in calls.items()]
            laps = race(contenders, names, rounds)
            cool_downs = 1 + int((time.monotonic() - begin) / COOL_DOWN_SECONDS)
            failures = chain.stats()["store_failures"]
        finally:
            world.valkey.thaw()
    result = Result(title, target=Target(1.1))
    for contender in contenders:
        result.add_laps(contender.label, laps[contender.label], len(names))
    ratio = first / result.figures[0].value
    result.figures.append(Figure("the first call", first, first, ratio, ratio))
    for figure in result.figures:
        figure.requests = None
    text = f"time-outs in {cool_downs} cool-down{'s'[: cool_downs > 1]}"
    result.claims.append(Claim(text, cool_downs, failures))
    return result


@contextlib.contextmanager
def _quiet():
    logger = logging.getLogger("fallback_storage")
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(logging.NOTSET)


@row("redis-down")
def redis_down(world):
    """The least work that a chain does: what its bypassed memo adds shows most."""
    title = "exists of a local file, Redis hangs (directly: no memo)"
    names = world.local_names
    return _down(world, title, "exists", names, world.rounds(40, 10))


@row("redis-down-s3")
def redis_down_s3(world):
    title = "exists of a file in S3, Redis hangs (directly: no memo)"
    names = world.remote_names[:20]
    return _down(world, title, "exists", names, world.rounds(10))
