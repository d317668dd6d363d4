"""What this package costs a process: memory, and time to start."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from registry import row
from result import DIRECT, ON, Claim, Figure, Result, Target
from timing import Laps

ENTRIES = 100_000

# The second import is timed over what Django had imported anyway.
IMPORTS = """
import json, sys, time
start = time.perf_counter()
import django.core.files.storage
middle = time.perf_counter()
import fallback_storage.storage
end = time.perf_counter()
optional = {"boto3", "botocore", "redis", "storages"} & set(sys.modules)
print(json.dumps([middle - start, end - middle, len(optional)]))
"""


def _run(*arguments):
    command = [sys.executable, *map(str, arguments)]
    return json.loads(subprocess.check_output(command, text=True))


@row("memory")
def memory(world):
    script = Path(__file__).resolve().parent.parent / "footprint.py"
    count = ENTRIES // 10 if world.quick else ENTRIES
    found = _run(script, count)
    title = (
        f"memory of an entry, {count:,} names of 40 characters (directly: a plain dict)"
    )
    result = Result(title, unit="B", per="entry")
    for label, key in (("plain dict", "dict"), (ON, "memo")):
        value = found[key]
        ratio = value / found["dict"]
        result.figures.append(Figure(label, value, value, ratio, ratio))
    result.target = Target(300, absolute=True)
    return result


@row("import")
def importing(world):
    title = "import (directly: Django's own storages, before it)"
    runs = [_run("-c", IMPORTS) for _ in range(world.rounds(15))]
    result = Result(title, per="process")
    for index, label in enumerate(("Django's storages", "this package")):
        result.add_laps(label, Laps([run[index] for run in runs], [0]))
        result.figures[-1].requests = None
    optional = max(run[2] for run in runs)
    result.claims.append(Claim("optional libraries imported", 0, optional))
    return result


INSTANCES = 3_000


@row("instances")
def instances(world):
    """Apps make instances of their own: one for each tenant, or field."""
    count = INSTANCES // 10 if world.quick else INSTANCES
    laps = {name: Laps() for name in (DIRECT, ON)}
    for _ in range(world.rounds(3, 1)):
        chains = [world.chain() for _ in range(count)]
        for name, storages in ((DIRECT, [world.local] * count), (ON, chains)):
            begin = time.process_time()
            for storage in storages:
                storage.exists(world.local_names[0])
            laps[name].seconds.append(time.process_time() - begin)
            laps[name].requests.append(0)
    result = Result(f"first use of {count:,} live instances (CPU)", per="all of them")
    for name, found in laps.items():
        result.add_laps(name, found)
        result.figures[-1].requests = None
    result.target = Target(3.0, absolute=True)
    return result
