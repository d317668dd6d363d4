"""Child processes that never outlive the demo. Standard library only."""

from __future__ import annotations

import ctypes
import re
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ERROR = re.compile(r"ERROR: |[\w.]+(Error|Exception|Configured)\b")
PR_SET_PDEATHSIG = 1
# Linux has it. Looked up here: between fork and exec is no place for that.
prctl = getattr(ctypes.CDLL(None), "prctl", lambda *_: None)


class DemoError(Exception):
    """Something the user can act on; its text is one line."""


class Child:
    """A child process, with its output in a file."""

    started: list[Child] = []

    def __init__(
        self, name: str, command: Sequence[str], log: Path, fds: Sequence[int] = ()
    ) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=fds,
                preexec_fn=begin_child,  # noqa: PLW1509 - there are no threads
            )
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


def begin_child() -> None:
    """For preexec_fn: take signals, and on Linux end with the parent, even if killed."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
