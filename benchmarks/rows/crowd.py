"""Many threads: that want the same unknown name; and that ask for what is known."""

from __future__ import annotations

import threading
import time
from functools import partial

from registry import row
from result import DIRECT, OFF, ON, ORIGINAL, Claim, Result, Target
from timing import Contender, Laps, race, stampede

HITS = 32
#: An eighth of what commit c8ce428 needed.
HIT_TARGET = 0.042


@row("crowd")
def crowd(world):
    threads = world.threads
    title = f"{threads} threads, exists of one cold name in S3"
    # As in threads that have served before: S3Storage makes a client for each, which
    # takes longer than all else.
    s3 = world.one_client_s3
    chain, chain_off = world.chain(s3), world.chain(s3, cache=False)
    calls = {DIRECT: s3.exists, ON: chain.exists, OFF: chain_off.exists}
    s3.exists("warm")
    laps = {label: Laps() for label in calls}
    walks = []
    for name in world.remote_names[: world.rounds(3, 1)]:
        for label, call in calls.items():
            before = chain.stats()["walks"]
            lap = stampede(call, name, threads)
            laps[label].seconds += lap.seconds
            laps[label].requests += lap.requests
            if label == ON:
                walks.append(chain.stats()["walks"] - before)
    result = Result(title, per=f"{threads} calls")
    for label in calls:
        result.add_laps(label, laps[label])
    result.claims.append(Claim(f"{ON}: walks", 1, max(walks)))
    result.claim_requests(ON, 1)
    if world.quick:
        result.skip(ORIGINAL, "64 new clients take too long for a quick run")
    else:
        world.add_original(result, "exists", world.remote_names[:1], 1, threads=threads)
    return result


@row("threads")
def threads(world):
    """CPU time: what threads do to each other, and not how many cores there are."""
    chain = world.chain(world.public_s3)
    names = world.remote_names
    for name in names:
        chain.url(name)

    def asked(call, names):
        def ask():
            ready.wait()
            for _ in range(world.rounds(50)):
                for name in names:
                    call(name)

        ready = threading.Barrier(HITS)
        crowd = [threading.Thread(target=ask) for _ in range(HITS)]
        for thread in crowd:
            thread.start()
        for thread in crowd:
            thread.join()

    contenders = [
        Contender(DIRECT, partial(asked, world.local.exists), at_once=True),
        Contender(ON, partial(asked, chain.exists), at_once=True),
    ]
    laps = race(contenders, names, world.rounds(4, 1), clock=time.process_time)
    title = f"{HITS} threads, exists of files in S3, warm (directly: of the disk; CPU)"
    result = Result(title, target=Target(HIT_TARGET))
    for contender in contenders:
        count = HITS * world.rounds(50) * len(names)
        result.add_laps(contender.label, laps[contender.label], count)
    result.claim_requests(ON, 0)
    return result
