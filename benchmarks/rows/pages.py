"""Pages of pictures that are in S3 only."""

from __future__ import annotations

from registry import row
from result import DIRECT, OFF, ON, Result, Target
from timing import Contender, race


def _page(world, title, *, cold, public, target=None):
    s3 = world.public_s3 if public else world.s3
    names = world.remote_names
    chain = world.chain(s3)

    def bare(name):
        # What a hand-written "local, else S3" calls at the least.
        return world.local.exists(name) or s3.url(name)

    contenders = [
        Contender(DIRECT, bare if cold else s3.url),
        Contender(ON, chain.url, *([chain.forget_all] if cold else [])),
        Contender(OFF, world.chain(s3, cache=False).url),
    ]
    laps = race(
        contenders, names, world.rounds(60, 20) if public else world.rounds(15, 10)
    )
    result = Result(f"{len(names)} {title}", per="page", target=target)
    for contender in contenders:
        result.add_laps(contender.label, laps[contender.label])
    result.claim_requests(ON, 0)
    result.claim_requests(OFF, 0)
    world.add_original(
        result, "url", names, world.rounds(3, 1), public=public, holder="s3"
    )
    return result


@row("cold-page")
def cold_page(world):
    title = "urls, files in S3, public bucket, cold"
    return _page(world, title, cold=True, public=True, target=Target(2.0))


@row("cold-page-signed")
def cold_page_signed(world):
    title = "urls, files in S3, signed urls, cold"
    return _page(world, title, cold=True, public=False, target=Target(2.0))


@row("warm-page")
def warm_page(world):
    title = "urls, files in S3, public bucket, warm"
    return _page(world, title, cold=False, public=True)


@row("warm-page-signed")
def warm_page_signed(world):
    title = "urls, files in S3, signed urls, warm"
    return _page(world, title, cold=False, public=False)
