"""Scripts that fork, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest
from paths import SUPPORT

needs_fork = pytest.mark.skipif(
    not hasattr(os, "fork"), reason="this platform does not fork"
)

PROLOGUE = """
import os, signal, sys, threading, traceback, warnings

# Python 3.12 warns of a fork with threads: that is what is tested.
warnings.simplefilter("error")
warnings.filterwarnings("ignore", "This process .* is multi-threaded")

from django.conf import settings
settings.configure(STORAGES={})
from django.core.files.base import ContentFile
from fakes import RecordingStorage
from fallback_storage.cache import invalidation
from fallback_storage.chain import resolver
from fallback_storage.storage import FallbackStorage
from fallback_storage.utils import forks
from fallback_storage.utils import locks as namelocks

resolver.PATIENCE = 1000.0

def in_child(function):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            signal.alarm(10)
            function()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    status = os.waitpid(pid, 0)[1]
    assert status == 0, f"the child ended with {status}"

front = RecordingStorage("front")
back = RecordingStorage("back", {"a": b"x"})
chain = FallbackStorage([front, back])
"""


def run(script):
    """Run a script after the prologue; what it prints to stderr is the reason."""
    paths = [str(SUPPORT), *filter(None, sys.path)]
    done = subprocess.run(
        [sys.executable, "-c", PROLOGUE + textwrap.dedent(script)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
