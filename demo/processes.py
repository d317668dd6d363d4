"""Child processes that never outlive the demo."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

POLL_SECONDS = 0.05
EXCEPTION = re.compile(r"[\w.]+(Error|Exception|Configured)\b")


class DemoError(Exception):
    """Something the user can act on; its text is one line."""


class Child:
    """A child process in a session of its own, with its output in a file.

    Its own session, because Ctrl-C in a terminal goes to the whole foreground
    group: the children are to stop in our order, not all at once.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        env: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                pass_fds=pass_fds,
                start_new_session=True,
                # No other thread runs where the demo starts a child.
                preexec_fn=_die_with_parent,  # noqa: PLW1509
            )

    def check(self) -> None:
        """Raise DemoError if the process has ended."""
        code = self.process.poll()
        if code is not None:
            raise DemoError(f"{self.name} ended (status {code}): {self.last_words()}")

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Wait for `ready()`; DemoError if the process ends or time runs out."""
        deadline = time.monotonic() + seconds
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise DemoError(
                    f"{self.name} was not ready after {seconds:.0f} s: "
                    f"{self.last_words()}"
                )
            time.sleep(POLL_SECONDS)

    def stop(self, seconds: float = 10.0) -> None:
        """Ask the process to end, and end its whole group if it does not."""
        if self.process.poll() is None:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)
        # The group may hold more than the process itself: web workers, for one.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def last_words(self) -> str:
        """The line to put into an error message: the last exception, else the last."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        errors = [line for line in lines if EXCEPTION.match(line)]
        return (errors or lines or ["it wrote nothing"])[-1][:300]


def _die_with_parent() -> None:
    """Linux: end with the parent even if that is killed with SIGKILL."""
    pr_set_pdeathsig = 1
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
