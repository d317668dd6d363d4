"""Running ``manage.py fallback_storage``: in this process, and in one of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from django.core.management import CommandError, call_command

CHAIN = "fallback_storage.storage.FallbackStorage"
COMMAND = [sys.executable, "-m", "django", "fallback_storage"]


class Done(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def lines(self):
        return self.out.splitlines()


def run(*args):
    """Run a subcommand here."""
    out, err = StringIO(), StringIO()
    status = 0
    try:
        call_command("fallback_storage", *args, stdout=out, stderr=err)
    except SystemExit as error:
        status = error.code
    except CommandError as error:
        status = error.returncode
        err.write(f"{error}\n")
    return Done(status, out.getvalue(), err.getvalue())


def configure(settings, *backends, **options):
    """Make a chain of these backends the default storage; return it."""
    from django.core.files.storage import storages

    options = {"backends": list(backends), **options}
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {"BACKEND": CHAIN, "OPTIONS": options},
    }
    return storages["default"]


def write_settings(folder, **values):
    """Write a settings module that adds to the tests' own; return its name."""
    lines = ["from settings import *"]
    lines += [f"{name} = {value!r}" for name, value in values.items()]
    (folder / "own_settings.py").write_text("\n".join(lines))
    return "own_settings"


def environment(folder):
    """Return the environment of a process that has ``write_settings``'s settings."""
    paths = [str(folder), str(Path(__file__).parents[1]), *filter(None, sys.path)]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "DJANGO_SETTINGS_MODULE": "own_settings",
        "PYTHONUTF8": "1",
        # What is printed stays in a buffer, as it does for most people.
        "PYTHONUNBUFFERED": "",
    }


@contextmanager
def start(folder, *args, **popen):
    """Start a subcommand in a process, and a process group, of its own; end it."""
    process = subprocess.Popen(
        [*COMMAND, *args],
        **{
            "env": environment(folder),
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
            "start_new_session": True,
            # A shell in the background hands down that it is ignored.
            "preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            **popen,
        },
    )
    with process:
        try:
            yield process
        finally:
            process.kill()  # nothing, where it has ended


def run_alone(folder, *args, **popen):
    """Run a subcommand in a process of its own."""
    with start(folder, *args, **popen) as process:
        out, err = process.communicate(timeout=60)
    return Done(process.returncode, out, err)
