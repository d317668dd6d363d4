"""Starts several workers at once, disturbs them, and returns what they saw."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from coherence.history import History

WORKER = Path(__file__).with_name("worker.py")

# 1 in CI; more finds what is rare.
SCALE = float(os.environ.get("FALLBACK_COHERENCE_SCALE", "1"))
# Seconds, for the longest run. (It takes five.)
SECONDS = 120 * max(1.0, SCALE)
SEED = int(os.environ.get("FALLBACK_COHERENCE_SEED", "1"))

UPPER = ["one.txt", "two/three.txt", "two/four.txt"]
BOTH = ["five.txt", "six/seven.txt"]


class Crew:
    """Workers over two directories in ``directory`` and one cache."""

    def __init__(self, directory, cache, workers=4, operations=150, **more):
        self.directory = directory
        self.cache = cache
        self.count = workers
        self.operations = int(operations * SCALE)
        self.more = {"threads": 1, "interrupts": False, "nested": False, **more}

    def run(self, disturb=None):
        """Let them work; call ``disturb`` again and again meanwhile."""
        roots = [self.directory / name for name in ("upper", "lower")]
        # (FileSystemStorage makes directories in save(), not in open().)
        for root, name in itertools.product(roots, UPPER + BOTH):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
        for name in BOTH:
            (roots[1] / name).write_bytes(b"lower")
        logs = [self.directory / f"log-{number}.json" for number in range(self.count)]
        config = {
            "cache": self.cache,
            "roots": [str(root) for root in roots],
            "upper": UPPER,
            "both": BOTH,
            "operations": self.operations,
            "seconds": SECONDS,
            "seed": SEED,
            **self.more,
            "logs": [str(log) for log in logs],
        }
        with start_process(WORKER, self.directory, config) as process:
            for _ in logs:
                assert process.stdout.readline() == "ready\n"
            process.stdin.write("go!" * self.count)
            process.stdin.flush()
            deadline = time.monotonic() + SECONDS
            while process.poll() is None:
                assert time.monotonic() < deadline
                if disturb:
                    disturb()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.02)
            assert process.returncode == 0
        return History.of_files(logs)


@contextlib.contextmanager
def start_process(script, directory, config):
    """Run a script with its configuration in a file; end it whatever happens."""
    path = directory / f"{script.stem}-{time.monotonic_ns()}.json"
    path.write_text(json.dumps(config))
    env = dict(os.environ)
    if config.get("interrupts"):
        # Measured by coverage 7.17.5 (sys.monitoring) such a worker can hang.
        env = {key: env[key] for key in env if not key.startswith("COVERAGE_")}
    process = subprocess.Popen(
        [sys.executable, str(script), str(path)],
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        # With the workers that it forked.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdin.close()
        process.stdout.close()
