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
    # It takes seconds for a page, each name the same.
    few = names[:10]
    rounds, count = world.rounds(3, 1), len(few) / len(names)
    world.add_original(result, "url", few, rounds, count, public=public, holder="s3")
    return result


@row("cold-page")
def cold_page(world):
    title = "urls, files in S3, public bucket, cold"
    return _page(world, title, cold=True, public=True, target=Target(1.0))


def _cold_page_at_once(world, title, names):
    s3, local = world.public_s3, world.local
    chain, plain = world.chain(s3), world.chain(s3)
    off = world.chain(s3, cache=False)

    def page(names):
        chain.prefetch(names)
        for name in names:
            chain.url(name)

    contenders = [
        Contender(DIRECT, lambda name: local.exists(name) or s3.url(name)),
        Contender(ON, page, chain.forget_all, at_once=True),
        Contender("without prefetch", plain.url, plain.forget_all),
        Contender(OFF, off.url),
    ]
    laps = race(contenders, names, world.rounds(60, 20))
    result = Result(f"{len(names)} {title}", per="page", target=Target(1.0))
    for contender in contenders:
        result.add_laps(contender.label, laps[contender.label])
    result.claim_requests(ON, 0)
    return result


@row("cold-page-prefetch")
def cold_page_prefetch(world):
    title = "urls, files in S3, public bucket, cold, prefetched"
    return _cold_page_at_once(world, title, world.remote_names)


@row("cold-page-prefetch-missing")
def cold_page_prefetch_missing(world):
    """What a mirror that starts empty asks: no local directory of these names."""
    title = "urls, no such local directory, public bucket, cold, prefetched"
    names = [name.replace("photos/", "archive/") for name in world.remote_names]
    return _cold_page_at_once(world, title, names)


@row("cold-page-signed")
def cold_page_signed(world):
    title = "urls, files in S3, signed urls, cold"
    return _page(world, title, cold=True, public=False, target=Target(2.0))


@row("warm-page")
def warm_page(world):
    title = "urls, files in S3, public bucket, warm"
    return _page(world, title, cold=False, public=True, target=Target(0.4))


@row("warm-page-signed")
def warm_page_signed(world):
    title = "urls, files in S3, signed urls, warm"
    return _page(world, title, cold=False, public=False)
