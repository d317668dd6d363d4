"""Makes the demo's own virtual environment. Standard library only."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

from processes import DemoError

LINE_SECONDS = 0.2


def ensure_environment(here: Path, script: Path) -> None:
    """Return inside the demo's environment: made if needed, and then started.

    Replaces this process by the environment's Python; signals and the process id
    stay what they were.
    """
    venv = here / ".venv"
    python = venv / "bin" / "python"
    if Path(sys.prefix).resolve() == venv.resolve():
        return
    wanted = _fingerprint(here)
    stamp = venv / "installed"
    if not python.exists() or not stamp.exists() or stamp.read_text() != wanted:
        _install(here, venv, python)
        stamp.write_text(wanted)
    sys.stdout.flush()
    os.execv(python, [str(python), str(script), *sys.argv[1:]])


def _fingerprint(here: Path) -> str:
    """Changes with whatever would make the environment another one.

    The package itself is installed as editable: its code may change freely.
    """
    digest = hashlib.sha256(sys.version.encode() + str(here).encode())
    for path in (here.parent / "pyproject.toml", here / "requirements.txt"):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _install(here: Path, venv: Path, python: Path) -> None:
    if importlib.util.find_spec("ensurepip") is None:
        raise DemoError(
            "this Python lacks venv; on Debian or Ubuntu: apt install python3-venv"
        )
    try:
        venv.mkdir(exist_ok=True)
    except OSError as error:
        raise DemoError(f"cannot write to {venv}: {error.strerror}") from error
    log = venv / "install.log"
    progress = Progress("Preparing demo/.venv (the first run only)")
    make = [sys.executable, "-m", "venv", "--clear", str(venv)]
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    install = [
        *(*pip, "install", "--progress-bar", "off"),
        *("--requirement", str(here / "requirements.txt")),
        *("--editable", str(here.parent)),
    ]
    for command in (make, install):
        code, output = _run(command, progress)
        log.write_text(output)
        if code:
            progress.end("failed")
            raise DemoError(f"{_reason(output)} (all of it: {log})")
    progress.end("done")


def _run(command: list[str], progress: Progress) -> tuple[int, str]:
    # A pipe is read to its end while the line moves on: pip says much.
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        lines = []
        try:
            for line in process.stdout:
                lines.append(line)
                progress.say(line)
            return process.wait(), "".join(lines)
        except BaseException:
            process.terminate()
            raise


def _reason(output: str) -> str:
    """The line of pip's output that says what is wrong."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    # "ERROR:" is pip's own; "error: subprocess-exited-..." says nothing.
    errors = [line for line in lines if line.startswith("ERROR:")]
    text = (errors or lines or ["it said nothing"])[-1].removeprefix("ERROR: ")
    return f"cannot install what the demo needs: {text[:300]}"


class Progress:
    """One line that is rewritten on a terminal, and written once elsewhere."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.begun = time.monotonic()
        self._live = sys.stdout.isatty()
        self._said = 0.0
        print(f"{title} ...", end="" if self._live else "\n", flush=True)

    def say(self, line: str) -> None:
        """Show what a line of pip's output is about."""
        now = time.monotonic()
        if not self._live or now - self._said < LINE_SECONDS:
            return
        self._said = now
        text = " ".join(line.split()[:2])[:40]
        self._write(f"{now - self.begun:3.0f} s  {text}")

    def end(self, text: str) -> None:
        """The last word."""
        seconds = f"{text}, {time.monotonic() - self.begun:.0f} s"
        if self._live:
            self._write(seconds)
            print()
        else:
            print(f"{self.title}: {seconds}", flush=True)

    def _write(self, text: str) -> None:
        print(f"\r\x1b[K{self.title} ... {text}", end="", flush=True)
