"""What this package costs a process: memory, and time to start."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import OrderedDict
from itertools import accumulate
from pathlib import Path

from registry import row
from result import DIRECT, ON, Claim, Figure, Result, Target
from timing import Contender, Laps, race

ENTRIES = 100_000
MILLION = 1_000_000
FOOTPRINT = Path(__file__).resolve().parent.parent / "footprint.py"

# The second import is timed over what Django had imported anyway.
IMPORTS = """
import json, os, sys, time
start = time.perf_counter()
import django.core.files.storage
middle = time.perf_counter()
import fallback_storage.storage
end = time.perf_counter()
optional = {"boto3", "botocore", "redis", "storages"} & set(sys.modules)
# What was compiled in here, and will be again.
specs = [getattr(module, "__spec__", None) for module in sys.modules.values()]
cached = [spec.cached for spec in specs if spec and spec.cached]
missing = sum(not os.path.exists(path) for path in cached)
print(json.dumps([middle - start, end - middle, len(optional), missing]))
"""


def _run(*arguments):
    command = [sys.executable, *map(str, arguments)]
    # Whoever runs it may not want .pyc files; users have them.
    environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    return json.loads(subprocess.check_output(command, text=True, env=environ))


@row("memory")
def memory(world):
    """The entries of a mirror's chain have facts; all others have none."""
    count = ENTRIES // 10 if world.quick else ENTRIES
    found = _run(FOOTPRINT, count)
    title = (
        f"memory of an entry, {count:,} names of 40 characters (directly: a plain dict)"
    )
    result = Result(title, unit="B", per="entry", target=Target(0.9))
    for label, value in zip(("plain dict", ON, "with facts"), found, strict=True):
        ratio = value / found[0]
        result.figures.append(Figure(label, value, value, ratio, ratio))
    return result


@row("memory-million")
def memory_million(world):
    """As the system sees it."""
    count = MILLION // 20 if world.quick else MILLION
    title = f"memory of {count:,} names in process (directly: a plain dict)"
    result = Result(title, unit="B", per="process")
    for label, what in (("plain dict", "dict"), (ON, "memo")):
        value = _run(FOOTPRINT, count, what)
        ratio = value / result.figures[0].value if result.figures else 1.0
        result.figures.append(Figure(label, value, value, ratio, ratio))
    result.target = Target(140 * count, absolute=True)
    return result


@row("import")
def importing(world):
    title = "import (directly: Django's own storages, before it)"
    runs = [_run("-c", IMPORTS) for _ in range(world.rounds(15))]
    if missing := runs[-1][3]:
        raise RuntimeError(f"{missing} modules have no .pyc file, so they are compiled")
    result = Result(title, per="process", target=Target(0.18, "this package"))
    for index, label in enumerate(("Django's storages", "this package")):
        result.add_laps(label, Laps([run[index] for run in runs], [0]))
        result.figures[-1].requests = None
    optional = max(run[2] for run in runs)
    result.claims.append(Claim("optional libraries imported", 0, optional))
    return result


#: Names, calls, and entries that the memo may have; a scan comes after so many calls.
NAMES, CALLS, BOUND, SCAN = 50_000, 50_000, 5_000, 5_000
LRU = "LRU"


def _trace(count):
    """Yield (name, whether it counts): Zipf 0.9, with scans of names in between."""
    chance = random.Random(7)
    weights = list(accumulate(1 / rank**0.9 for rank in range(1, NAMES + 1)))
    order = list(range(NAMES))
    chance.shuffle(order)
    asked = chance.choices(order, cum_weights=weights, k=count)
    for begin in range(0, count, SCAN):
        for number in asked[begin : begin + SCAN]:
            yield f"photos/{number:06d}.jpg", True
        first = chance.randrange(NAMES - SCAN)
        for number in range(first, first + SCAN):
            yield f"photos/{number:06d}.jpg", False


@row("hit-rate")
def hit_rate(world):
    """What a page's names are to crawlers, or a nightly job over all of them."""
    from django.core.files.storage import Storage

    from fallback_storage.storage import FallbackStorage

    class Asked(Storage):
        count = 0

        def exists(self, name):
            self.count += 1
            return True

    asked, lru = Asked(), OrderedDict()
    chain = FallbackStorage([asked, Asked()], cache={"MAX_ENTRIES": BOUND})
    count = CALLS // 5 if world.quick else CALLS
    hits = dict.fromkeys((LRU, ON), 0)
    for name, counts in _trace(count):
        before = asked.count
        chain.exists(name)
        hits[ON] += counts and asked.count == before
        hits[LRU] += counts and name in lru
        lru[name] = lru.pop(name, True)
        if len(lru) > BOUND:
            lru.popitem(last=False)
    title = f"calls for a hit, {BOUND:,} of {NAMES:,} names, Zipf 0.9 with scans"
    result = Result(f"{title} (directly: LRU)", unit="", per="hit")
    for label, found in hits.items():
        value, ratio = count / found, hits[LRU] / found
        result.figures.append(Figure(label, value, value, ratio, ratio))
    # A hit rate that is 1.08 of LRU's.
    result.target = Target(round(1 / 1.08, 3))
    return result


MEMOS = 100
#: 0.4 of what commit 4b664ac needed.
WRITE_TARGET = 8.0


@row("write")
def write(world):
    """What a save or a delete tells the memos of its process, each of one chain."""
    from fallback_storage.cache.invalidation import invalidate
    from fallback_storage.chain.names import affected

    chains = [world.chain() for _ in range(MEMOS)]
    for chain in chains:
        chain.exists(world.local_names[0])
    memos = [{} for _ in range(MEMOS)]

    def pop(name):
        for each in affected(name):
            for memo in memos:
                memo.pop(each, None)

    contenders = [
        Contender(DIRECT, pop),
        Contender(ON, lambda name: invalidate(affected(name))),
    ]
    laps = race(
        contenders, world.local_names, world.rounds(25, 5), clock=time.thread_time
    )
    title = f"one write, {MEMOS} memos alive (directly: popped from {MEMOS} dicts; CPU)"
    result = Result(title, per="write", target=Target(WRITE_TARGET))
    for contender in contenders:
        count = len(world.local_names)
        result.add_laps(contender.label, laps[contender.label], count)
        result.figures[-1].requests = None
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
