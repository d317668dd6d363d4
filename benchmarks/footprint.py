"""Prints the bytes of memory per memo entry, counted in a process of its own.

All of it: the name, the store's tables, the entry. Filled the way a page fills it.
"""

from __future__ import annotations

import gc
import json
import sys
import tracemalloc

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
    from django.core.files.storage import Storage

    from fallback_storage.storage import FallbackStorage

    class Everything(Storage):
        def exists(self, name):
            return True

    storage = FallbackStorage(backends=[Everything(), Everything()])
    for number in range(count):
        storage.exists(name_of(number))
    assert storage.stats()["entries"] == count
    return storage


def main():
    from django.conf import settings

    settings.configure()
    # What is imported and built once is no part of an entry.
    fill_memo(10)
    count = int(sys.argv[1])
    print(
        json.dumps({"dict": grown(fill_dict, count), "memo": grown(fill_memo, count)})
    )


if __name__ == "__main__":
    main()
