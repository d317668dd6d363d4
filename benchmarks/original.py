"""The original django-fallback-storage 1.1.1, in an environment of its own.

It has the same import path as this package and stops at Django 5.0, so it runs in a
virtual environment that is made at the first run, in a process that ``driver`` runs.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from timing import Laps

HERE = Path(__file__).resolve().parent
#: .cache is ignored by git.
CACHE = HERE.parent / ".cache" / "benchmarks"

#: The last Django it runs on that is an LTS; its own metadata asks for Django < 1.12,
#: which no Python of today runs, so it is installed without its dependencies.
DEPENDENCIES = ("django~=4.2.0", "django-storages[s3]")
ORIGINAL = "django-fallback-storage==1.1.1"
PYTHONS = ("3.12", "3.11", "3.10")
INSTALL_SECONDS = 300


class Unavailable(Exception):
    """Raised where the original cannot be measured; the text says why."""


class Original:
    """A process that measures the original on demand."""

    def __init__(self, project):
        self._project = project
        self._process = None
        #: Why it is not there, once that is known.
        self.reason = None

    def measure(self, operation, names, rounds, **task):
        """Return label -> Laps; raises Unavailable if there is no environment."""
        if self.reason:
            raise Unavailable(self.reason)
        try:
            process = self._process or self._start()
        except Unavailable as error:
            self.reason = str(error)
            raise
        task |= {"operation": operation, "names": list(names), "rounds": rounds}
        try:
            print(json.dumps(task), file=process.stdin, flush=True)
            answer = process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise RuntimeError("the original's process ended; see its traceback above")
        return {label: Laps(**laps) for label, laps in json.loads(answer).items()}

    def _start(self):
        self._process = process = subprocess.Popen(
            [ensure_environment(), HERE / "driver.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=_clean_environ(),
        )
        print(json.dumps(self._project), file=process.stdin, flush=True)
        return process

    def close(self):
        if self._process is None:
            return
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


def ensure_environment():
    """Return the Python of the original's environment, made if need be."""
    python = _find_python()
    wanted = "\n".join([*DEPENDENCIES, ORIGINAL, python])
    name = hashlib.sha256(wanted.encode()).hexdigest()[:12]
    venv = CACHE / f"original-{name}"
    own = venv / "bin" / "python"
    # A Python that was removed leaves a broken link, which does not exist.
    if not (own.exists() and (venv / "complete").exists()):
        print("making the original's environment ...", file=sys.stderr)
        _run("venv", [python, "-m", "venv", "--clear", str(venv)])
        pip = [str(own), "-m", "pip", "install", "--no-input", "--quiet"]
        _run("pip", [*pip, *DEPENDENCIES])
        _run("pip", [*pip, "--no-deps", ORIGINAL])
        (venv / "complete").touch()
    return str(own)


def _find_python():
    """Return a Python on which Django 4.2 runs."""
    if f"{sys.version_info.major}.{sys.version_info.minor}" in PYTHONS:
        return sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for version in PYTHONS:
        candidates = [shutil.which(f"python{version}")]
        candidates += sorted(pyenv.glob(f"{version}.*/bin/python"), reverse=True)
        for candidate in filter(None, candidates):
            # pyenv's shim of a version that is not selected exists, and fails.
            check = [str(candidate), "-c", "import ensurepip"]
            if subprocess.run(check, capture_output=True, check=False).returncode == 0:
                return str(candidate)
    raise Unavailable(f"Django 4.2 needs one of Python {', '.join(PYTHONS)}")


def _run(what, command):
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            env=_clean_environ(),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{what} took more than {INSTALL_SECONDS} s") from None
    if done.returncode:
        # Paths of the machine may be in there: for the terminal only.
        print(done.stdout, done.stderr, file=sys.stderr)
        raise Unavailable(f"{what} failed (exit status {done.returncode})")


def _clean_environ():
    """Without what would lead to this package, or to another environment."""
    leading = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "DJANGO_SETTINGS_MODULE"}
    return {key: value for key, value in os.environ.items() if key not in leading}
