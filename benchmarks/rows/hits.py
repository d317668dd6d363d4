"""Answers from memory about files in the local directory."""

from __future__ import annotations

from registry import row
from result import DIRECT, OFF, ON, Result, Target
from timing import Contender, race

REPEAT = 20


def _hit(world, title, operation, target, *, direct=None, original=True):
    names = world.local_names * REPEAT
    direct = direct or operation
    contenders = [
        Contender(DIRECT, getattr(world.local, direct)),
        Contender(ON, getattr(world.chain(), operation)),
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
    return _hit(world, title, "url", Target(0.5))


@row("warm-exists")
def warm_exists(world):
    title = "exists of a local file, warm"
    return _hit(world, title, "exists", Target(0.45))


@row("resolve")
def resolve(world):
    """Tells more than exists, and costs more; compared with exists."""
    title = "resolve of a local file, warm (directly: exists)"
    return _hit(world, title, "resolve", None, direct="exists", original=False)
