"""What one worker did, the others see: judged by the history of every operation.

``FALLBACK_COHERENCE_SCALE=20`` makes the runs that many times longer.
"""

from __future__ import annotations

import contextlib
import itertools
import time

import pytest
from coherence.crew import SCALE, Crew
from coherence.history import in_ms, show

pytestmark = pytest.mark.slow

# Seconds. What a near tier may lag at the very most: two heartbeats of its tracker.
NEAR_BOUND = 2.0


def redis_caches(server):
    return {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": server.url,
            "KEY_PREFIX": "site[1]*",
        }
    }


@pytest.fixture
def client(valkey):
    redis = pytest.importorskip("redis")
    with redis.Redis(port=valkey.port, socket_timeout=10) as client:
        yield client


@pytest.fixture(params=["redis", "near"])
def crew(request, valkey, tmp_path):
    """Workers whose memo is on one Valkey server, without and with a near tier."""
    return Crew(tmp_path, {"kind": request.param, "caches": redis_caches(valkey)})


def judge(crew, history, capsys):
    """Without a near tier nothing is stale; with one nothing older than its bound."""
    stale = history.stale()
    ages = [age for age, _ in stale]
    show(
        capsys,
        f"{crew.cache['kind']}: {len(history.reads)} reads, "
        f"{sum(map(len, history.writes.values()))} writes, "
        f"{history.total('hits')} hits, {history.total('late_fills')} late fills, "
        f"{history.total('store_failures')} failures, "
        f"{history.total('near_connections')} connections; stale: {in_ms(ages)}",
    )
    assert len(history.reads) > crew.count * crew.operations / 3
    assert history.total("hits") > 0
    if crew.cache["kind"] == "near":
        assert not ages or ages[0] < NEAR_BOUND, stale[:5]
    else:
        assert stale == []


def every(seconds, action):
    """Return a function that calls ``action`` when so much time has passed."""
    last = [time.monotonic()]

    def act():
        if time.monotonic() - last[0] >= seconds:
            action()
            last[0] = time.monotonic()

    return act


def test_nothing_is_stale_in_an_undisturbed_run(crew, capsys):
    """Four processes over the same files agree at every moment."""
    judge(crew, crew.run(), capsys)


def test_nothing_is_stale_with_threads(crew, capsys):
    """So do four processes of three threads each."""
    crew.threads = 3
    crew.operations //= 3
    judge(crew, crew.run(), capsys)


def test_nothing_is_stale_when_the_server_is_killed(crew, valkey, capsys):
    """A server that crashes and comes back with its data brings back nothing old."""
    kills = itertools.count()

    def crash():
        next(kills)
        valkey.kill()
        valkey.start()

    # (The workers wait for the server where they have to, so this prolongs the run.)
    history = crew.run(every(0.3, crash))
    judge(crew, history, capsys)
    assert next(kills) > 1
    assert history.total("store_failures") > 0


def test_nothing_is_stale_when_connections_are_killed(crew, client, capsys):
    """A tracking connection that is lost empties the tier until there is another."""
    if crew.cache["kind"] == "redis":
        pytest.skip("Only a near tier has a tracking connection.")
    redis = pytest.importorskip("redis")

    def kill():
        for connection in client.client_list():
            if "t" in connection["flags"]:
                # (It may have gone meanwhile.)
                with contextlib.suppress(redis.ResponseError):
                    client.client_kill_filter(_id=connection["id"])

    history = crew.run(every(0.1, kill))
    judge(crew, history, capsys)
    assert history.total("near_connections") > 2 * crew.count


def test_nothing_is_stale_when_everything_is_flushed(crew, client, capsys):
    """FLUSHALL at any moment costs walks, nothing else."""
    history = crew.run(client.flushall)
    judge(crew, history, capsys)


def test_nothing_is_stale_when_the_server_evicts(crew, client, capsys):
    """Entries and leases that are evicted at any moment cost walks, nothing else."""
    numbers = itertools.count()

    def press():
        pipeline = client.pipeline(transaction=False)
        for _ in range(500):
            pipeline.set(f"junk-{next(numbers)}", "x" * 1000)
        pipeline.execute(raise_on_error=False)

    client.config_resetstat()
    client.config_set("maxmemory-policy", "allkeys-random")
    client.config_set("maxmemory", client.info("memory")["used_memory"] + 1_000_000)
    try:
        history = crew.run(press)
        evicted = client.info("stats")["evicted_keys"]
    finally:
        client.config_set("maxmemory", 0)
        client.config_set("maxmemory-policy", "noeviction")
    judge(crew, history, capsys)
    assert evicted > 100


@pytest.mark.parametrize("disturbed", [False, True], ids=["undisturbed", "disturbed"])
def test_nothing_is_stale_with_memcached(memcached, tmp_path, capsys, disturbed):
    """The same workers agree over memcached, also when it restarts empty."""
    pytest.importorskip("pymemcache")
    caches = {
        "default": {
            "BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache",
            "LOCATION": memcached.location,
            "OPTIONS": {
                "timeout": 1,
                "connect_timeout": 1,
                # By default a server that failed is left alone for a minute.
                "retry_timeout": 0.01,
                "dead_timeout": 0.01,
            },
        }
    }
    crew = Crew(tmp_path, {"kind": "django", "caches": caches})

    def crash():
        memcached.kill()
        memcached.start()

    history = crew.run(every(0.3, crash) if disturbed else None)
    judge(crew, history, capsys)
    if disturbed:
        assert history.total("store_failures") > 0


def test_files_alone_are_never_stale(tmp_path):
    """Without a memo the same judge finds nothing: he does not invent."""
    history = Crew(tmp_path, {"kind": "none"}, operations=300).run()
    assert len(history.reads) > 300 * SCALE
    assert history.stale() == []


def test_a_memo_that_is_not_shared_is_caught(tmp_path):
    """With a memo of its own in every process he finds plenty: he does not sleep."""
    history = Crew(tmp_path, {"kind": "local"}).run()
    assert len(history.stale()) > 10
