"""Filling the memo from a listing of S3."""

from __future__ import annotations

import http.client
import threading
import time
import tracemalloc

from registry import row
from result import DIRECT, ON, Figure, Result, Target
from timing import Contender, race

from rows.shared import closing_stores

FOLDER = "warm"
PAGE = 1000
UPLOADERS = 8
# Garbage of boto3 waits for the collector, more or less of it.
MOST_MEMORY = 1.25


def _count(world):
    return 2_000 if world.quick else 100_000


def _put(world):
    """Put a file of one byte under each name, 1,000 in a directory, once in a run.

    Past the S3 interface of the server, which would have us sign every request.
    """
    if getattr(world, "has_names_to_warm", False):
        return
    server, count = world.s3_server, _count(world)
    failed = []

    def put(first):
        connection = http.client.HTTPConnection(server.host, server.ports["filer.port"])
        for number in range(first, count, UPLOADERS):
            path = f"{FOLDER}/{number // PAGE:04d}/{number:06d}.jpg"
            connection.request("PUT", f"/buckets/{server.bucket}/{path}", b"x")
            response = connection.getresponse()
            response.read()
            if response.status >= http.client.BAD_REQUEST:
                failed.append(path)
        connection.close()

    threads = [threading.Thread(target=put, args=(n,)) for n in range(UPLOADERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise RuntimeError(f"{len(failed)} files were not stored")
    world.has_names_to_warm = True


def _chain(world, **cache):
    """Return a mirror's chain, which keeps sizes and dates; entries outlive a pass."""
    s3 = {"BACKEND": "traffic.CountedS3Storage", "READ_ONLY": True}
    return world.chain(s3, cache={"TTL": 3600, **cache})


def _race(world, title, target, call, before=lambda: None):
    """Compare with a listing of boto3's, by the time that this process works."""
    _put(world)
    count = _count(world)
    client, bucket = world.s3.connection.meta.client, world.s3.bucket_name

    def list_all(_):
        paginator = client.get_paginator("list_objects_v2")
        pages = paginator.paginate(Bucket=bucket, Prefix=f"{FOLDER}/")
        assert sum(len(page["Contents"]) for page in pages) == count

    contenders = [
        Contender(DIRECT, list_all, at_once=True),
        Contender(ON, call, before, at_once=True),
    ]
    laps = race(contenders, [FOLDER], world.rounds(2, 1), clock=time.process_time)
    result = Result(
        f"{title} of {count:,} names in S3 (directly: list_objects_v2; CPU)",
        per=f"{count:,} names",
        target=Target(target),
    )
    for label, found in laps.items():
        result.add_laps(label, found)
        result.claim_requests(label, count // PAGE)
    return result


@row("listing")
def listing(world):
    """With sizes and dates, which cost nothing beside the rest."""
    from fallback_storage.chain.listing import pages

    _, backend = _chain(world).backends

    def list_all(_):
        known = [each.facts for page in pages(backend, FOLDER) for each in page]
        assert len(known) == _count(world)
        assert all(known)

    return _race(world, "a listing, with sizes and dates,", 0.15, list_all)


def _warm_up(world, title, target, **cache):
    from fallback_storage.jobs.warm import warm

    with closing_stores():
        chain = _chain(world, **cache)

        def warm_all(_):
            *_, done = warm(chain, FOLDER)
            assert done.filled == done.names == _count(world)

        result = _race(world, title, target, warm_all, chain.forget_all)
        chain.forget_all()
    return result


@row("warm-up")
def warm_up(world):
    return _warm_up(world, "warm-up, memo in Redis,", 0.35, ALIAS="redis")


@row("warm-up-local")
def warm_up_local(world):
    return _warm_up(world, "warm-up, memo in process,", 0.2, MAX_ENTRIES=200_000)


@row("warm-up-memory")
def warm_up_memory(world):
    """The most that is allocated at any moment."""
    from fallback_storage.jobs.warm import warm

    _put(world)
    count = _count(world)
    few = max(PAGE, count // 10)
    peaks = {}
    with closing_stores():
        chain = _chain(world, ALIAS="redis")
        # What is imported and built once is not meant.
        *_, _done = warm(chain, f"{FOLDER}/0000")
        chain.forget_all()
        tracemalloc.start()
        for progress in warm(chain, FOLDER):
            peaks[progress.names] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        chain.forget_all()
    title = f"memory of a warm-up of {count:,} names (directly: of {few:,})"
    result = Result(title, unit="B", per="warm-up", target=Target(MOST_MEMORY))
    for label, names in ((f"{few:,} names", few), (ON, count)):
        ratio = peaks[names] / peaks[few]
        result.figures.append(Figure(label, peaks[names], peaks[names], ratio, ratio))
    return result
