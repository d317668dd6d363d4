"""Many names at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import wire
from registry import row
from result import DIRECT, OFF, ON, Result, Target
from timing import Contender, race

from rows.shared import closing_stores

FOLDER = "many"
PAGE = 1000
# What ``fallback_storage.cache.memo`` asks a server for in one go.
AT_ONCE = 500
UPLOADERS = 8


def _names(world):
    """Return the names: 200 in each directory."""
    directories, each = (5, 100) if world.quick else (50, 200)
    return [
        f"{FOLDER}/{directory:02d}/{number:04d}.jpg"
        for directory in range(directories)
        for number in range(each)
    ]


def _put(world, names):
    """Put an empty file under each name, each file once in a run."""
    client = world.s3.connection.meta.client
    there = {
        item["Key"]
        for page in _pages(client, world.s3.bucket_name)
        for item in page.get("Contents", ())
    }

    def put(name):
        client.put_object(Bucket=world.s3.bucket_name, Key=name, Body=b"")

    with ThreadPoolExecutor(UPLOADERS) as pool:
        for _ in pool.map(put, (name for name in names if name not in there)):
            pass


def _pages(client, bucket):
    paginator = client.get_paginator("list_objects_v2")
    return paginator.paginate(Bucket=bucket, Prefix=f"{FOLDER}/")


def _title(names, what):
    directories = len({name.rpartition("/")[0] for name in names})
    return f"{len(names):,} names in {directories} directories, {what}"


@row("many-cold")
def many_cold(world):
    """The local directory, then S3, which holds them all."""
    names = _names(world)
    _put(world, names)
    chain, off = world.chain(), world.chain(cache=False)
    client, bucket = world.s3.connection.meta.client, world.s3.bucket_name

    def list_all(_):
        return {
            item["Key"] for page in _pages(client, bucket) for item in page["Contents"]
        }

    def resolve(names):
        found = chain.resolve_many(names)
        assert all(resolution.index == 1 for resolution in found.values())

    at_once = [
        Contender(DIRECT, list_all, at_once=True),
        Contender(ON, resolve, chain.forget_all, at_once=True),
    ]
    laps = race(at_once, names, world.rounds(7))
    # Once, and a part of them: it takes long enough.
    few = names[:: len(names) // 500]
    laps |= race([Contender(OFF, off.exists)], few, 1, warm=False)
    what = "in S3, cold (directly: list_objects_v2; off: exists, one by one)"
    title = _title(names, what)
    result = Result(title, per=f"{len(names):,} names")
    for label in laps:
        share = len(few) / len(names) if label == OFF else 1
        result.add_laps(label, laps[label], share)
    pages = -(-len(names) // PAGE)
    result.claim_requests(DIRECT, pages)
    result.claim_requests(ON, pages)
    result.claim_requests(OFF, len(names))
    return result


def _warm(world, names, title, cache, bare, round_trips, target=None):
    """``bare``: what it is compared with."""
    with closing_stores():
        chain = world.chain(cache=cache)
        contenders = [bare, Contender(ON, chain.resolve_many, at_once=True)]
        with wire.counted():
            laps = race(contenders, names, world.rounds(15))
    result = Result(title, per=f"{len(names):,} names", target=target)
    for contender in contenders:
        result.add_laps(contender.label, laps[contender.label])
    result.claim_requests(ON, round_trips)
    return result


def _in_process(world, names, where, target):
    what = f"resolve_many of {len(names):,} {where} files, warm"
    title = f"{what} (directly: exists of the disk, one by one)"
    bare = Contender(DIRECT, world.local.exists)
    return _warm(world, names, title, None, bare, 0, Target(target))


def _in_redis(world, names, where):
    import redis

    title = (
        f"resolve_many of {len(names):,} {where} files, memo in Redis, warm"
        " (directly: redis-py's MGET)"
    )
    parts = range(0, len(names), AT_ONCE)
    with redis.Redis(port=world.valkey.port) as client:
        client.mset(dict.fromkeys(names, b"1:1764280000000:0123456789abcdef"))

        def mget(names):
            for start in parts:
                client.mget(names[start : start + AT_ONCE])

        bare = Contender(DIRECT, mget, at_once=True)
        try:
            return _warm(world, names, title, "redis", bare, len(parts), Target(1.6))
        finally:
            client.delete(*names)


# In process: a part of what commit 4b664ac needed, as the ratio to the same peer.


@row("many-100")
def many_100(world):
    return _in_process(world, world.local_names, "local", 0.5 * 2.33)


@row("many-100-redis")
def many_100_redis(world):
    result = _in_redis(world, world.local_names, "local")
    result.target = Target(2.0)  # with a look at each
    return result


@row("many")
def many(world):
    names = _names(world)
    _put(world, names)
    return _in_process(world, names, "remote", 0.3 * 2.05)


@row("many-redis")
def many_redis(world):
    names = _names(world)
    _put(world, names)
    return _in_redis(world, names, "remote")
