"""Filling the memo from a listing of S3."""

from __future__ import annotations

import http.client
import threading
import tracemalloc

from registry import row
from result import DIRECT, ON, Figure, Result, Target
from timing import Contender, race

from rows.shared import closing_stores

FOLDER = "warm"
PAGE = 1000
UPLOADERS = 8
# The rate has to be 0.8 of the listing's at the least.
MOST_TIME = 1.25
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


def _chain(world):
    """Return a chain whose entries outlive a pass."""
    return world.chain(cache={"ALIAS": "redis", "TTL": 3600})


@row("warm-up")
def warm_up(world):
    from fallback_storage.jobs.warm import warm

    _put(world)
    count = _count(world)
    client, bucket = world.s3.connection.meta.client, world.s3.bucket_name

    def list_all(_):
        paginator = client.get_paginator("list_objects_v2")
        pages = paginator.paginate(Bucket=bucket, Prefix=f"{FOLDER}/")
        assert sum(len(page["Contents"]) for page in pages) == count

    with closing_stores():
        chain = _chain(world)

        def warm_all(_):
            *_, done = warm(chain, FOLDER)
            assert done.filled == done.names == count

        contenders = [
            Contender(DIRECT, list_all, at_once=True),
            Contender(ON, warm_all, chain.forget_all, at_once=True),
        ]
        laps = race(contenders, [FOLDER], world.rounds(2, 1))
        chain.forget_all()
    what = "memo in Redis (directly: list_objects_v2)"
    result = Result(
        f"warm-up of {count:,} names in S3, {what}",
        per=f"{count:,} names",
        target=Target(MOST_TIME),
    )
    for contender in contenders:
        result.add_laps(contender.label, laps[contender.label])
    for contender in contenders:
        result.claim_requests(contender.label, count // PAGE)
    return result


@row("warm-up-memory")
def warm_up_memory(world):
    """The most that is allocated at any moment."""
    from fallback_storage.jobs.warm import warm

    _put(world)
    count = _count(world)
    few = max(PAGE, count // 10)
    peaks = {}
    with closing_stores():
        chain = _chain(world)
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
