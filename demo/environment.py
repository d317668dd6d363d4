"""The demo's own virtual environment. Standard library only."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import sys
from pathlib import Path

from guard import Guard
from processes import DemoError, last_words


def ensure_environment(here: Path, guard: Guard) -> str:
    """Make it if needed; return its Python."""
    venv = here / ".venv"
    python, stamp = venv / "bin" / "python", venv / "installed"
    # The package itself is installed as editable: its code may change freely.
    wanted = hashlib.sha256(f"{sys.version} {here}".encode())
    for path in (here.parent / "pyproject.toml", here / "requirements.txt"):
        wanted.update(path.read_bytes())
    if not stamp.exists() or stamp.read_text() != wanted.hexdigest():
        _install(here, venv, python, guard)
        stamp.write_text(wanted.hexdigest())
    return str(python)


def _install(here: Path, venv: Path, python: Path, guard: Guard) -> None:
    if importlib.util.find_spec("ensurepip") is None:
        raise DemoError("this Python lacks venv; on Debian: apt install python3-venv")
    log = venv / "install.log"
    print(f"Installing into {venv} (the first run only) ...", flush=True)
    shutil.rmtree(venv, ignore_errors=True)
    venv.mkdir()
    make = [sys.executable, "-m", "venv", str(venv)]
    install = [
        *(str(python), "-m", "pip", "--disable-pip-version-check", "--no-input"),
        *("install", "--progress-bar", "off", "--editable", str(here.parent)),
        *("--requirement", str(here / "requirements.txt")),
    ]
    for command in (make, install):
        if guard.run(command, log):
            raise DemoError(f"{last_words(log)} (all of it: {log})")
