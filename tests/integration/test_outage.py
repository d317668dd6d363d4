"""gunicorn with its default time-out, in front of a production that never answers."""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from paths import SUPPORT
from proofs import THOROUGH
from servers import HOST, free_port
from silent import SilentServer

WORKERS = 2
PAGES, UPLOADS = (1000, 100) if THOROUGH else (150, 30)
STARTS_WITHIN = 60

pytest.importorskip("storages.backends.s3")
pytest.importorskip("gunicorn")

pytestmark = pytest.mark.slow


@contextlib.contextmanager
def site(directory, endpoint):
    """Run the site; yields its port and what it logs."""
    port, log = free_port(), directory / "gunicorn.log"
    media = directory / "media"
    media.mkdir(exist_ok=True)
    command = [
        *(sys.executable, "-m", "gunicorn", "outage:application"),
        *("--workers", str(WORKERS), "--bind", f"{HOST}:{port}"),
        *("--pythonpath", str(SUPPORT / "coherence")),
        *("--worker-tmp-dir", str(directory)),
    ]
    configuration = json.dumps({"media": str(media), "endpoint": endpoint})
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, "OUTAGE": configuration},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + STARTS_WITHIN
        while b"Booting worker" not in log.read_bytes():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
        yield port, media, log
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def ask(port, method, path, body=None):
    connection = http.client.HTTPConnection(HOST, port, timeout=120)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_no_worker_is_killed_and_no_upload_is_lost(tmp_path):
    """Pages go on after one deadline; uploads keep their names and all their bytes."""
    wanted = [("GET", "/", None)] * PAGES
    step = PAGES // UPLOADS
    for number in range(UPLOADS):
        body = f"upload {number}".encode() * 1000
        wanted.insert(number * (step + 1), ("POST", f"/new/{number}.bin", body))
    with SilentServer() as production:
        endpoint = f"http://{HOST}:{production.port}"
        with site(tmp_path, endpoint) as (port, media, log):
            with concurrent.futures.ThreadPoolExecutor(4) as clients:
                answers = list(clients.map(lambda each: ask(port, *each), wanted))
            said = log.read_text()
    assert {status for status, _ in answers} == {200}, said
    told = [json.loads(body) for _, body in answers]
    assert len({each["pid"] for each in told}) <= WORKERS
    assert "TIMEOUT" not in said
    for (method, path, body), each in zip(wanted, told, strict=True):
        if method == "POST":
            assert each["name"] == path[1:]
            assert (media / each["name"]).read_bytes() == body
        else:
            assert (each["found"], each["urls"]) == (0, 100)
    # One question a worker, and one more whenever a pause ends: 5 s, then longer ones.
    assert len(production.connections) <= WORKERS * 10
