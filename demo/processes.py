"""Runs the demo's processes, and leaves nothing of them. Standard library only.

Ctrl-C may come at any moment: while pip unpacks, while a server starts. So whoever
clears up does nothing else. Signals are blocked there, and taken where they are waited
for. What runs meanwhile is one process group with all its temporary files in one
folder. All of that is thrown away, so nobody in the group has to be asked to end well.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

ERROR = re.compile(r"ERROR: |[\w.]+(Error|Exception|Configured)\b")
PORTS_FILE = "s3.ports"
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
# Linux has it. Looked up here: between fork and exec is no place for that.
prctl = getattr(ctypes.CDLL(None), "prctl", lambda *_: None)


class DemoError(Exception):
    """Something the user can act on; its text is one line."""


@contextmanager
def guarded() -> Iterator[None]:
    """Take signals from here on only while something runs, and clear up at the end."""
    signals = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD}
    # Under nohup a hang-up is ignored, and stays so.
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        signals.discard(signal.SIGHUP)
    # macOS tells of a child's end only whoever has a handler for it.
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    # Linux: what our children leave behind is ours to wait for.
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    with tempfile.TemporaryDirectory(
        prefix="fallback-demo-", ignore_cleanup_errors=True
    ) as folder:
        os.environ["TMPDIR"] = str(Path(folder).resolve())
        try:
            yield
        finally:
            # SeaweedFS puts some into /tmp, whatever TMPDIR says.
            for file in Path(folder).glob(PORTS_FILE):
                for port in file.read_text().split():
                    for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                        path.unlink(missing_ok=True)


def run(command: Sequence[str], log: Path | None = None) -> int:
    """Run a command to its end, and return its exit status; a signal ends both."""
    process = begin(command, log, start_new_session=True)
    signals = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        while process.poll() is None:
            number = signal.sigwait(signals)
            if number != signal.SIGCHLD:
                raise SystemExit(128 + number)
    finally:
        # With all that it has started, whose children have become ours.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        with suppress(ChildProcessError):
            while True:
                os.waitpid(-process.pid, 0)
    return process.returncode


def begin(command: Sequence[str], log: Path | None, **more: Any) -> subprocess.Popen:
    """Start a command that takes signals; what it says goes to a file."""

    def begin_child() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        # On Linux it ends with its parent, even if that is killed.
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    with log.open("ab") if log else nullcontext() as output:
        more |= {"stdout": output, "stderr": output, "stdin": subprocess.DEVNULL}
        # There are no threads.
        return subprocess.Popen(command, preexec_fn=begin_child, **more)  # noqa: PLW1509


class Child:
    """A process of the story, with its output in a file."""

    started: list[Child] = []

    def __init__(
        self, name: str, command: Sequence[str], log: Path, fds: Sequence[int] = ()
    ) -> None:
        self.name = name
        self.log = log
        self.process = begin(command, log, pass_fds=fds)
        self.started.append(self)

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Wait for `ready()`; DemoError if the process ends or time runs out."""
        deadline = time.monotonic() + 60
        while not ready():
            if self.process.poll() is not None:
                raise self.error("ended")
            if time.monotonic() > deadline:
                raise self.error("does not answer")
            time.sleep(0.05)

    def error(self, what: str) -> DemoError:
        """What is to be said of it."""
        return DemoError(f"{self.name} {what}: {last_words(self.log)}")


def last_words(log: Path) -> str:
    """The line to put into an error message: the last error's, else the last."""
    text = log.read_text(encoding="utf-8", errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if ERROR.match(line)]
    return (errors or lines or ["it wrote nothing"])[-1][:300]
