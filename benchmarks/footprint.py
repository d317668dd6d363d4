"""Prints the bytes of memory per memo entry, counted in a process of its own.

All of it: the name, the store's tables, the entry. Filled the way a page fills it. With
``dict`` or ``memo``: of all entries of that together, as the system sees it.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import tracemalloc
from pathlib import Path

NAME_LENGTH = 40


def name_of(number):
    name = f"photos/{number:0{NAME_LENGTH - 11}d}.jpg"
    assert len(name) == NAME_LENGTH
    return name


def grown(fill, count):
    """Return how many bytes per entry are there after ``fill(count)``."""
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept = fill(count)
    gc.collect()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del kept
    return (after - before) / count


def fill_dict(count):
    return {name_of(number): (number << 20) for number in range(count)}


def fill_memo(count):
    """As pages do: name by name."""
    storage = chain(count)
    for number in range(count):
        storage.exists(name_of(number))
    assert storage.stats()["entries"] == count
    return storage


def fill_facts(count):
    """With who holds a file, its size and date."""
    everything = {"BACKEND": "everything.Everything", "READ_ONLY": True}
    storage = chain(count, everything | {"PROFILE": {"KEEPS_FACTS": True}})
    for number in range(count):
        name = name_of(number)
        storage.size(name)
        storage.get_modified_time(name)
    assert storage.stats()["entries"] == count
    return storage


def fill_at_once(count, step=1_000):
    storage = chain(count)
    for first in range(0, count, step):
        storage.resolve_many([name_of(n) for n in range(first, first + step)])
    assert storage.stats()["entries"] == count
    return storage


def chain(count, first=None):
    from everything import Everything

    from fallback_storage.storage import FallbackStorage

    backends = [first or Everything(), Everything()]
    return FallbackStorage(backends, cache={"MAX_ENTRIES": max(count, 100_000)})


def resident():
    """Return the bytes of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE")


def main():
    from django.conf import settings

    settings.configure(USE_TZ=True)
    count = int(sys.argv[1])
    # What is imported and built once is no part of an entry.
    for fill in (fill_memo, fill_facts, fill_at_once):
        fill(1_000)
    if sys.argv[2:]:  # to trace every allocation of so many takes minutes
        before = resident()
        kept = {"dict": fill_dict, "memo": fill_at_once}[sys.argv[2]](count)
        gc.collect()
        print(json.dumps(resident() - before))
        del kept
        return
    counts = {fill_dict: count, fill_memo: count, fill_facts: count // 10}
    print(json.dumps([grown(fill, number) for fill, number in counts.items()]))


if __name__ == "__main__":
    main()
