"""Workers of gunicorn's kind ``gevent``: many greenlets on one thread."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from paths import SUPPORT

pytest.importorskip("gevent")
pytestmark = [pytest.mark.consumers, pytest.mark.slow]


def test_greenlets_that_connect_at_once_leave_a_server_in_use(valkey):
    """64 of them: nothing fails, nothing is passed over, and each write is announced."""
    path = os.pathsep.join([str(SUPPORT), *filter(None, sys.path)])
    worker = subprocess.run(
        [sys.executable, str(SUPPORT / "greenlets.py"), str(valkey.port)],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        timeout=120,
        check=True,
    )
    assert json.loads(worker.stdout) == {}
