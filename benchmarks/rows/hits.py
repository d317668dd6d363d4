"""Answers from memory about files in the local directory."""

from __future__ import annotations

from registry import row
from result import DIRECT, OFF, ON, Result, Target
from timing import Contender, race

REPEAT = 20


def _hit(world, title, operation, target, *, direct=None, original=True, cold=False):
    names = world.local_names * (1 if cold else REPEAT)
    direct = direct or operation
    chain = world.chain()
    contenders = [
        Contender(DIRECT, getattr(world.local, direct)),
        Contender(ON, getattr(chain, operation), *([chain.forget_all] if cold else [])),
        Contender(OFF, getattr(world.chain(cache=False), operation)),
    ]
    laps = race(contenders, names, world.rounds(25, 15))
    result = Result(title, target=target)
    for contender in contenders:
        result.add_laps(contender.label, laps[contender.label], len(names))
    result.claim_requests(ON, 0)
    if original:
        # exists() makes a request to S3 even so: few names do.
        few = world.local_names[:5] if operation == "exists" else world.local_names
        rounds = world.rounds(3, 1)
        world.add_original(result, operation, few, rounds, len(few), holder="local")
    return result


@row("warm-url")
def warm_url(world):
    """The one call that templates make."""
    title = "url of a local file, warm"
    return _hit(world, title, "url", Target(0.35))


@row("warm-exists")
def warm_exists(world):
    title = "exists of a local file, warm"
    return _hit(world, title, "exists", Target(0.3))


@row("cold-exists")
def cold_exists(world):
    title = "exists of a local file, cold"
    return _hit(world, title, "exists", Target(1.5), original=False, cold=True)


@row("resolve")
def resolve(world):
    """Tells more than exists, and costs more; compared with exists."""
    title = "resolve of a local file, warm (directly: exists)"
    return _hit(world, title, "resolve", Target(0.8), direct="exists", original=False)


@row("resolve-s3")
def resolve_s3(world):
    """Compared with the look at the disk that a hand-written fallback has."""
    chain, off = world.chain(world.public_s3), world.chain(world.public_s3, cache=False)
    contenders = [
        Contender(DIRECT, world.local.exists),
        Contender(ON, chain.resolve),
        Contender(OFF, off.resolve),
    ]
    names = world.remote_names * REPEAT
    few = world.remote_names[:10]
    laps = race(contenders[:2], names, world.rounds(25, 15))
    # Each asks S3.
    laps |= race(contenders[2:], few, world.rounds(5, 1))
    title = "resolve of a file in S3, warm (directly: exists of the local directory)"
    result = Result(title, target=Target(0.4))
    for contender in contenders:
        count = len(few if contender.label == OFF else names)
        result.add_laps(contender.label, laps[contender.label], count)
    result.claim_requests(ON, 0)
    return result
