"""gunicorn with --preload, four workers of several threads: they agree, over HTTP."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import http.client
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from coherence.history import in_ms, show
from nearby import tracking, until
from paths import SUPPORT
from servers import HOST, free_port

WORKERS, THREADS = 4, 4
ROUNDS = 15
PATIENCE_SECONDS = 30
# What a near tier may lag at the very most: two heartbeats of its tracker.
NEAR_BOUND_SECONDS = 2.0

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="Needs os.fork()."),
]


@pytest.fixture
def client(valkey):
    redis = pytest.importorskip("redis")
    with redis.Redis(port=valkey.port) as client:
        yield client


class Site:
    """A running gunicorn. Every request has a connection, so any worker may answer."""

    def __init__(self, port, process, log):
        self.port, self.process, self.log = port, process, log

    def request(self, method, name, body=None):
        connection = http.client.HTTPConnection(HOST, self.port, timeout=20)
        try:
            connection.request(method, f"/{name}", body)
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        assert response.status == 200, text[:2000]
        return json.loads(text)

    def read(self, name):
        begin = time.monotonic()
        return {**self.request("GET", name), "begin": begin}

    def read_all(self, name):
        """Ask until every worker has answered; return all the answers."""
        answers, pids = [], set()
        deadline = time.monotonic() + PATIENCE_SECONDS
        with concurrent.futures.ThreadPoolExecutor(WORKERS * 2) as pool:
            while len(pids) < WORKERS:
                assert time.monotonic() < deadline, f"Only {pids} answered."
                batch = list(pool.map(self.read, [name] * WORKERS * 2))
                answers += batch
                pids |= {answer["pid"] for answer in batch}
        assert self.process.pid not in pids
        assert len(pids) == WORKERS
        return answers


@pytest.fixture
def start(valkey, tmp_path):
    """Start a site with such a FALLBACK_STORAGE_CACHE; it ends with the test."""
    if importlib.util.find_spec("gunicorn") is None:
        if os.environ.get("CI", "").lower() not in {"", "0", "false"}:
            pytest.fail("gunicorn is not installed.", pytrace=False)
        pytest.skip("gunicorn is not installed.")
    with contextlib.ExitStack() as stack:
        yield lambda cache: stack.enter_context(_site(valkey, tmp_path, cache))


@contextlib.contextmanager
def _site(server, directory, cache):
    roots = [directory / "upper", directory / "lower"]
    for root in roots:
        root.mkdir()
    (roots[1] / "old.jpg").write_bytes(b"lower")
    redis = {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": server.url,
    }
    configuration = {
        "caches": {"media": redis},
        "cache": cache,
        "roots": [str(root) for root in roots],
    }
    port = free_port()
    log = directory / "gunicorn.log"
    command = [
        *(sys.executable, "-m", "gunicorn", "gallery:application", "--preload"),
        *("--workers", str(WORKERS), "--threads", str(THREADS)),
        *("--bind", f"{HOST}:{port}", "--pythonpath", str(SUPPORT / "coherence")),
        *("--worker-tmp-dir", str(directory), "--graceful-timeout", "10"),
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, "GALLERY": json.dumps(configuration)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _wait_for(port, process, log)
        yield Site(port, process, log)
    finally:
        # With its workers, whatever state they are in.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_for(port, process, log):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        with contextlib.suppress(OSError):
            socket.create_connection((HOST, port), timeout=1).close()
            return
        # A pause that ends early if the process does.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()


def test_every_worker_sees_what_one_was_told(start, client):
    """Without a near tier: not one answer is older than the write before it."""
    site = start("media")
    answered = collections.Counter()
    writers, threads = set(), set()
    for number in range(ROUNDS):
        name = f"photos/{number}.jpg"
        # Everybody knows that it is not there, and that the other is further down.
        before = site.read_all(name) + site.read_all("old.jpg")
        assert {answer["url"] for answer in before} == {
            f"/lower/{name}",
            "/lower/old.jpg",
        }
        for method in ("POST", "DELETE"):
            there = method == "POST"
            done = site.request(method, name, b"picture" if there else None)
            writers.add(done["pid"])
            assert done.get("name", name) == name
            answers = site.read_all(name)
            answered.update(answer["pid"] for answer in answers)
            threads |= {(answer["pid"], answer["thread"]) for answer in answers}
            expected = (there, f"/{'upper' if there else 'lower'}/{name}")
            assert {(each["exists"], each["url"]) for each in answers} == {expected}
    assert len(answered) == WORKERS
    assert len(writers) > 1
    assert len(threads) > WORKERS
    stats = {each["pid"]: each["stats"] for each in site.read_all("old.jpg")}
    for pid, counts in stats.items():
        assert counts["hits"] > 0, pid
        assert counts["store_failures"] == 0, pid
    # They asked the disk for what nobody knew, not each for itself.
    assert sum(counts["walks"] for counts in stats.values()) < sum(answered.values())


def test_every_worker_hears_of_it_soon_with_a_near_tier(start, client, capsys):
    """Each has its own listener; none gives an old answer beyond the bound."""
    site = start({"ALIAS": "media", "NEAR": True})

    def all_listen():
        answers = site.read_all("old.jpg")
        return all(each["stats"]["near_connected"] == 1 for each in answers)

    until(all_listen)
    answers = site.read_all("old.jpg")
    assert {each["listeners"] for each in answers} == {1}
    lags = []
    for number in range(ROUNDS):
        name = f"photos/{number}.jpg"
        site.read_all(name)
        for method in ("POST", "DELETE"):
            there = method == "POST"
            site.request(method, name, b"picture" if there else None)
            told = time.monotonic()
            stale = [None]
            while stale:
                answers = site.read_all(name)
                stale = [
                    each["begin"] - told for each in answers if each["exists"] != there
                ]
                lags += stale
                assert all(lag < NEAR_BOUND_SECONDS for lag in stale)
    show(
        capsys,
        f"gunicorn, near: {2 * ROUNDS} writes, read by all workers after each; "
        f"stale: {in_ms(lags)}",
    )
    # The parent's listener and one for each worker, at the server as well.
    assert len(tracking(client)) == WORKERS + 1
    hits = {each["pid"]: each["stats"]["hits"] for each in site.read_all("old.jpg")}
    assert len(hits) == WORKERS


def test_a_worker_that_was_replaced_has_its_own(start, client):
    """One is killed: the next is forked from the same parent, and listens too."""
    site = start({"ALIAS": "media", "NEAR": True})
    answers = site.read_all("old.jpg")
    killed = answers[0]["pid"]
    os.kill(killed, signal.SIGKILL)

    def replaced():
        pids = {site.read("old.jpg")["pid"] for _ in range(WORKERS)}
        return pids and killed not in pids

    until(replaced)
    site.request("POST", "new.jpg", b"picture")

    def all_know():
        answers = site.read_all("new.jpg")
        assert killed not in {each["pid"] for each in answers}
        return all(
            each["exists"] and each["stats"]["near_connected"] for each in answers
        )

    until(all_know)
    until(lambda: len(tracking(client)) == WORKERS + 1)


@pytest.mark.parametrize("near", [False, True], ids=["far", "near"])
def test_it_ends_when_it_is_told_to(start, client, near):
    """No thread holds a worker open; no process and no connection is left behind."""
    site = start({"ALIAS": "media", "NEAR": near})
    pids = {answer["pid"] for answer in site.read_all("old.jpg")}
    begin = time.monotonic()
    site.process.send_signal(signal.SIGTERM)
    assert site.process.wait(PATIENCE_SECONDS) == 0
    # Below the time after which gunicorn would have killed who does not end.
    assert time.monotonic() - begin < 9
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    until(lambda: len(client.client_list()) == 1)
    assert "Traceback" not in site.log.read_text()
