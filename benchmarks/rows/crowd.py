"""Many threads that want the same unknown name."""

from __future__ import annotations

from registry import row
from result import DIRECT, OFF, ON, ORIGINAL, Claim, Result
from timing import Laps, stampede


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
