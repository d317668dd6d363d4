"""What one worker did, the others see: judged by the history of every operation.

Each store of the manual's table (docs/memo.rst), under one fault at a time. A slice here;
``FALLBACK_COHERENCE_SCALE=200`` makes each run that many times longer: four processes of
30,000 operations. ``FALLBACK_COHERENCE_SEED`` chooses other ones.
"""

from __future__ import annotations

import contextlib
import sqlite3

import pytest
from coherence import faults
from coherence.crew import SCALE, Crew
from coherence.faults import Site
from coherence.history import in_ms, show

pytestmark = pytest.mark.slow

DJANGO = "django.core.cache.backends"

# Seconds. What a near tier may lag at the very most: two heartbeats of its tracker.
NEAR_BOUND = 2.0
# An old primary answers hits, which come a moment later by way of the new one, until it is
# asked for a lease. That is the next miss: no time, and this is longer than any.
NEXT_MISS = 10.0
# ``faults.swapped``, and for how long a loaded machine may take to ask.
TTL_BOUND = 1.0 + 1.0


@contextlib.contextmanager
def redis_site(request, kind):
    redis = pytest.importorskip("redis")
    server = request.getfixturevalue("valkey")
    caches = {
        "default": {
            "BACKEND": f"{DJANGO}.redis.RedisCache",
            "LOCATION": server.url,
            "KEY_PREFIX": "site[1]*",
        }
    }
    with redis.Redis(port=server.port, socket_timeout=10) as admin:
        yield {"caches": caches}, server, admin


@contextlib.contextmanager
def memcached_site(request, kind):
    pytest.importorskip("pymemcache")
    server = request.getfixturevalue("memcached")
    options = {
        "timeout": 0.25,
        "connect_timeout": 0.25,
        # By default a server that failed is left alone for a minute.
        "retry_timeout": 0.01,
        "dead_timeout": 0.01,
    }
    caches = {
        "default": {
            "BACKEND": f"{DJANGO}.memcached.PyMemcacheCache",
            "LOCATION": server.location,
            "OPTIONS": options,
        }
    }
    yield {"kind": "django", "caches": caches}, server, None


DATABASE = {
    "default": {
        "BACKEND": f"{DJANGO}.db.DatabaseCache",
        "LOCATION": "resolutions",
        "OPTIONS": {"MAX_ENTRIES": 10_000},
    }
}
TABLE = """CREATE TABLE resolutions (
    cache_key varchar(255) PRIMARY KEY, value text NOT NULL, expires {type} NOT NULL)"""


@contextlib.contextmanager
def sqlite_site(request, kind):
    file = request.getfixturevalue("tmp_path") / "db.sqlite3"
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute(TABLE.format(type="datetime"))
    engine = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(file)}
    cache = {"kind": "django", "caches": DATABASE, "databases": {"default": engine}}
    yield cache, None, None


@contextlib.contextmanager
def postgres_site(request, kind):
    server = request.getfixturevalue("postgres")
    with server.connect() as connection:
        connection.execute(TABLE.format(type="timestamptz"))
    databases = {"default": server.database}
    yield {"kind": "django", "caches": DATABASE, "databases": databases}, server, None


SITES = {
    "redis": redis_site,
    "near": redis_site,
    "memcached": memcached_site,
    "sqlite": sqlite_site,
    "postgres": postgres_site,
}
EVERYWHERE = [faults.nothing, faults.interrupted, faults.nested]
OF_SERVERS = [faults.threads, faults.killed, faults.hangs, faults.flushed]
OF_REDIS = [faults.evicted, faults.failover, faults.swapped]
CELLS = {
    "redis": [*EVERYWHERE, *OF_SERVERS, *OF_REDIS],
    "near": [*EVERYWHERE, *OF_SERVERS, *OF_REDIS, faults.unheard],
    "memcached": [*EVERYWHERE, *OF_SERVERS],
    "sqlite": [faults.nothing, faults.interrupted, faults.written],
    "postgres": [*EVERYWHERE, faults.threads, faults.killed],
}


def promised(kind, fault):
    """Return after how many seconds nothing is stale, by the manual's table."""
    if fault is faults.swapped:
        return TTL_BOUND
    if fault is faults.failover:
        return NEXT_MISS
    return NEAR_BOUND if kind == "near" else 0.0


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        pytest.param(kind, fault, id=f"{kind}-{fault.__name__}")
        for kind, each in CELLS.items()
        for fault in each
    ],
)
def test_nothing_is_stale(kind, fault, request, tmp_path, capsys):
    """Four processes over the same files agree, within the time that is promised."""
    with contextlib.ExitStack() as ends:
        cache, server, admin = ends.enter_context(SITES[kind](request, kind))
        site = Site(kind, {"kind": kind, **cache}, tmp_path, ends, server, admin)
        disturb = fault(site)
        if kind in {"sqlite", "postgres"}:
            site.crew.setdefault("operations", 50)  # a database is slow
        crew = Crew(tmp_path, site.cache, **site.crew)
        history = crew.run(disturb)
    ages = [age for age, _ in history.stale()]
    late = [age for age in ages if age > promised(kind, fault)]
    writes = sum(map(len, history.writes.values()))
    counts = {
        name: history.total(name)
        for name in ("hits", "late_fills", "store_failures", "bypassed", "interrupted")
    }
    show(
        capsys,
        f"{kind} {fault.__name__}: {len(history.reads)} reads, {writes} writes, {counts}, "
        f"{site.happened} times; stale: {in_ms(ages)}; too late: {len(late)}",
    )
    assert late == []
    assert len(history.reads) > crew.count * crew.operations / 4
    # (A server that is in trouble all the time is hardly ever asked.)
    assert history.total("hits") > 0 or site.happened > 0
    assert site.happened > 0 or disturb is None
    assert history.total("interrupted") > 0 or fault is not faults.interrupted


def test_files_alone_are_never_stale(tmp_path):
    """Without a memo the same judge finds nothing: he does not invent."""
    history = Crew(tmp_path, {"kind": "none"}).run()
    assert len(history.reads) > 300 * SCALE
    assert history.stale() == []


def test_a_memo_that_is_not_shared_is_caught(tmp_path):
    """With a memo of its own in every process he finds plenty: he does not sleep."""
    history = Crew(tmp_path, {"kind": "local"}).run()
    assert len(history.stale()) > 10
