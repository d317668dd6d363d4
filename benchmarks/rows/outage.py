"""A chain whose S3 cannot be reached, beside one that has none."""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import os
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from registry import row
from result import OFF, ON, Claim, Figure, Result, Target
from site_under_gunicorn import command
from timing import Contender, race

WITHOUT = "without S3"
HANGS = "S3 hangs"
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


class _Silence:
    """A server that accepts connections and never answers."""

    def __init__(self):
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._kept = []
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                self._kept.append(self._socket.accept()[0])

    def close(self):
        self._socket.close()
        for each in self._kept:
            each.close()


def _ask(port, path):
    """Return how long a request takes, in seconds, who answered, and what."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    start = time.perf_counter()
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        text = response.read().decode()
    finally:
        connection.close()
    seconds = time.perf_counter() - start
    return seconds, response.getheader("X-Pid"), text


@contextlib.contextmanager
def _site(world, silence):
    from servers import free_port

    with tempfile.TemporaryDirectory(prefix="fallback-site-") as root:
        s3 = {**world._s3_options, "endpoint_url": silence.url}
        site = {"SITE": json.dumps({"media_root": root, "s3": s3})}
        port = free_port()
        with subprocess.Popen(
            command(port, root), env={**os.environ, **site}
        ) as process:
            try:
                deadline = time.monotonic() + 30
                while time.monotonic() < deadline:
                    with contextlib.suppress(OSError):
                        socket.create_connection(("127.0.0.1", port), 1).close()
                        break
                    time.sleep(0.05)
                yield port, Path(root)
            finally:
                process.terminate()


@row("outage-site")
def outage_site(world):
    """Pages and uploads of a site, after the first deadline of each worker."""
    silence = _Silence()
    pages, uploads = world.rounds(1000, 60), world.rounds(100, 10)
    paths = {WITHOUT: "without", HANGS: "with"}
    taken, pids, lost = {label: [] for label in paths}, set(), 0
    try:
        with _site(world, silence) as (port, root):
            # Each worker has its deadline, once.
            while len(pids) < 2:
                pids.add(_ask(port, f"/with/page/first-{len(pids)}")[1])
            for number in range(pages):
                for label, path in paths.items():
                    seconds, pid, _ = _ask(port, f"/{path}/page/{number}")
                    taken[label].append(seconds)
                    pids.add(pid)
                if number % (pages // uploads) == 0:
                    name = _ask(port, f"/with/upload/{number}")[2]
                    saved = root / "uploads" / f"{number}.txt"
                    kept = name == f"uploads/{number}.txt"
                    lost += not (kept and saved.read_text() == str(number))
    finally:
        silence.close()
    title = "page of 100 pictures, gunicorn, S3 hangs, 99th percentile (p50:"
    result = Result(title, per="page", target=Target(1.2, HANGS))
    for label, seconds in taken.items():
        *_, p99 = statistics.quantiles(seconds, n=100)
        figure = Figure(label, p99, statistics.median(seconds))
        first = result.figures[0] if result.figures else figure
        figure.ratio, figure.median_ratio = (
            figure.value / first.value,
            figure.median / first.median,
        )
        result.figures.append(figure)
    result.title += f" {result.figures[-1].median_ratio:.2f} x)"
    result.claims += [
        Claim("workers that were killed", 0, len(pids) - 2),
        Claim("uploads that were lost or renamed", 0, lost),
    ]
    return result
