"""A chain whose S3 cannot be reached, beside one that has none."""

from __future__ import annotations

import logging

from registry import row
from result import OFF, ON, Result, Target
from timing import Contender, race

WITHOUT = "without S3"
#: Nobody listens there.
GONE = {
    "BACKEND": "traffic.CountedS3Storage",
    "OPTIONS": {"endpoint_url": "http://127.0.0.1:9"},
    "READ_ONLY": True,
    "RETRY_AFTER": 3600,
}
REPEAT = 5


def _left_alone(world, label, cache):
    """What is left of an outage: ``exists`` of a name that nobody has."""
    from botocore.config import Config

    from fallback_storage.storage import FallbackStorage

    once = Config(retries={"total_max_attempts": 1})
    gone = {**GONE, "OPTIONS": {**GONE["OPTIONS"], "client_config": once}}
    without = FallbackStorage([world.local], cache=cache)
    chain = world.chain(gone, cache=cache)
    logger = logging.getLogger("fallback_storage")
    logger.setLevel(logging.ERROR)
    try:
        while chain.stats()["backends"]["CountedS3Storage"]["breaker"] != "open":
            chain.exists("none.jpg")
        names = [f"none/{number}.jpg" for number in range(world.page_size * REPEAT)]
        contenders = [
            Contender(WITHOUT, without.exists, without.forget_all),
            Contender(label, chain.exists, chain.forget_all),
        ]
        laps = race(contenders, names, world.rounds(60))
    finally:
        logger.setLevel(logging.NOTSET)
    title = f"exists of a name that nobody has, {label}, S3 gone (directly: without S3)"
    result = Result(title, target=Target(1.1, label))
    for contender in contenders:
        result.add_laps(contender.label, laps[contender.label], len(names))
    result.claim_requests(label, 0)
    return result


@row("outage")
def outage(world):
    return _left_alone(world, OFF, cache=False)


@row("outage-memo")
def outage_memo(world):
    """Cold: of names that could not be asked for nothing is remembered."""
    return _left_alone(world, ON, cache=None)
