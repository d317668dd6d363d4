"""Runs the demo's commands, and leaves nothing of them. Standard library only.

Ctrl-C may come at any moment: while pip unpacks, while a server starts. So whoever
clears up does nothing else. Signals are blocked here, and taken where they are waited
for. What runs meanwhile is one process group with all its temporary files in one
folder. All of that is thrown away, so nobody in the group has to be asked to end well.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Self

from processes import begin_child, prctl

PR_SET_CHILD_SUBREAPER = 36
PORTS_FILE = "s3.ports"


class Guard:
    """A context manager, which ends the program if a signal says so."""

    def __enter__(self) -> Self:
        self._signals = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD}
        # Under nohup a hang-up is ignored, and stays so.
        if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
            self._signals.discard(signal.SIGHUP)
        # macOS tells of a child's end only whoever has a handler for it.
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.pthread_sigmask(signal.SIG_BLOCK, self._signals)
        # Linux: what our children leave behind is ours to wait for.
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        self._folder = tempfile.TemporaryDirectory(
            prefix="fallback-demo-", ignore_cleanup_errors=True
        )
        self.data = Path(self._folder.name).resolve()
        return self

    def __exit__(self, *_: object) -> None:
        # SeaweedFS puts some into /tmp, whatever TMPDIR says.
        for file in self.data.glob(PORTS_FILE):
            for port in file.read_text().split():
                for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                    path.unlink(missing_ok=True)
        self._folder.cleanup()

    def run(self, command: Sequence[str], log: Path | None = None, **env: str) -> int:
        """Run a command to its end, and return its exit status."""
        with log.open("ab") if log else nullcontext() as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, "TMPDIR": str(self.data), **env},
                start_new_session=True,
                preexec_fn=begin_child,  # noqa: PLW1509 - there are no threads
            )
        try:
            while process.poll() is None:
                number = signal.sigwait(self._signals)
                if number != signal.SIGCHLD:
                    raise SystemExit(128 + number)
        finally:
            _end(process)
        return process.returncode


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a command with all that it has started, and wait until they have gone."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    # Its children have become ours.
    with suppress(ChildProcessError):
        while True:
            os.waitpid(-process.pid, 0)
