"""Single calls about files that are in S3 only."""

from __future__ import annotations

from project import read
from registry import row
from result import DIRECT, OFF, ON, Result, Target
from timing import Contender, race


def _remote(world, title, operation, *, cold, names, rounds):
    def bound(storage):
        return read(storage) if operation == "open" else getattr(storage, operation)

    chain = world.chain()
    contenders = [
        Contender(DIRECT, bound(world.s3)),
        Contender(ON, bound(chain), *([chain.forget_all] if cold else [])),
        Contender(OFF, bound(world.chain(cache=False))),
    ]
    laps = race(contenders, names, rounds)
    result = Result(title)
    for contender in contenders:
        result.add_laps(contender.label, laps[contender.label], len(names))
    few = names[:5]
    original_rounds = world.rounds(3, 1)
    world.add_original(result, operation, few, original_rounds, len(few), holder="s3")
    return result


@row("warm-url-s3")
def warm_url(world):
    title = "url of a file in S3, signed, warm"
    names = world.remote_names
    result = _remote(
        world, title, "url", cold=False, names=names, rounds=world.rounds(15)
    )
    result.claim_requests(ON, 0)
    return result


@row("warm-exists-s3")
def warm_exists(world):
    title = "exists of a file in S3, warm"
    names = world.remote_names[:20]
    result = _remote(
        world, title, "exists", cold=False, names=names, rounds=world.rounds(15)
    )
    result.claim_requests(ON, 0)
    return result


@row("cold-open")
def cold_open(world):
    """The backend's own requests, none of ours."""
    title = "open and read 20 kB from S3, cold"
    names = world.remote_names[:20]
    result = _remote(
        world, title, "open", cold=True, names=names, rounds=world.rounds(15)
    )
    own = result.figure(DIRECT).requests
    result.claim_requests(ON, own)
    result.claim_requests(OFF, own)
    return result


@row("deadline")
def deadline(world):
    """What it costs that a question is asked by a thread, and given up in time."""
    names = world.remote_names[:20]
    result = Result(
        "exists of a file in S3, with a deadline", target=Target(1.03, "5 s")
    )
    contenders = []
    for label, seconds in (("no deadline", 0), ("5 s", 5)):
        s3 = {"BACKEND": "traffic.CountedS3Storage", "DEADLINE": seconds}
        chain = world.chain(s3, cache=False)
        contenders.append(Contender(label, chain.exists))
    laps = race(contenders, names, world.rounds(40))
    for contender in contenders:
        result.add_laps(contender.label, laps[contender.label], len(names))
    without, bounded = (each.value for each in result.figures)
    result.title += f" ({1e6 * (bounded - without):+.0f} us)"
    return result
