"""Judges what several processes saw by when they saw it, not by what was left over.

Every name is a register: it is in the upper backend, or it is not. An operation is
logged with its begin and end on the system's monotonic clock, which all processes
share, and a write with when the others were told: what the store could not be told when
it was due. A read is **stale** if no order of the operations that overlap explains it: it
returned a value that another write had replaced for good before the read began.
"""

from __future__ import annotations

import json
import sys
from bisect import bisect_left
from dataclasses import dataclass, field
from pathlib import Path

FOREVER = float("inf")


@dataclass(frozen=True)
class Write:
    begin: float
    end: float
    value: bool
    told: float
    worker: int = 0

    def over(self, reader):
        """Return from when on a worker has to see it."""
        return self.end if self.worker == reader else self.told


@dataclass(frozen=True)
class Read:
    name: str
    how: str
    begin: float
    end: float
    value: bool
    worker: int = 0


@dataclass
class History:
    writes: dict[str, list[Write]] = field(default_factory=dict)
    reads: list[Read] = field(default_factory=list)
    stats: list[dict] = field(default_factory=list)

    @classmethod
    def of_files(cls, paths):
        """Collect what workers logged."""
        history = cls()
        for worker, path in enumerate(paths):
            log = json.loads(Path(path).read_text())
            history.stats.append(log["stats"])
            for how, name, begin, end, value, told in log["operations"]:
                if how == "write":
                    history.write(name, begin, end, value, told, worker)
                else:
                    history.reads.append(Read(name, how, begin, end, value, worker))
        return history

    def write(self, name, begin, end, value, told=None, worker=0):
        told = end if told is None else told
        write = Write(begin, end, value, told, worker)
        self.writes.setdefault(name, []).append(write)

    def total(self, counter):
        """Add up a counter of all workers."""
        return sum(stats.get(counter, 0) for stats in self.stats)

    def stale(self, initially=False):
        """Return (age, read) of every stale read; the age in seconds, oldest first.

        The age is how long the value had been replaced, for everybody, when the read
        began.
        """
        first = Write(-FOREVER, -FOREVER, initially, -FOREVER)
        workers = {read.worker for read in self.reads}
        registers = {
            (name, worker): _Register([first, *writes], worker)
            for name, writes in self.writes.items()
            for worker in workers
        }
        found = []
        for read in self.reads:
            if read.name in self.writes:
                age = registers[read.name, read.worker].age(read)
                if age > 0:
                    found.append((age, read))
        return sorted(found, key=lambda pair: -pair[0])


class _Register:
    def __init__(self, writes, reader):
        self._writes = sorted(writes, key=lambda write: write.over(reader))
        self._ends = [write.over(reader) for write in self._writes]
        # The latest begin among the writes that ended first, second, ...
        self._latest = []
        latest = -FOREVER
        for write in self._writes:
            latest = max(latest, write.begin)
            self._latest.append(latest)

    def age(self, read):
        over = bisect_left(self._ends, read.begin)
        last_begin = self._latest[over - 1] if over else -FOREVER
        # Explained by a write that no finished one is wholly after?
        first = bisect_left(self._ends, last_begin)
        for write in self._writes[first:]:
            if write.value == read.value and write.begin <= read.end:
                return 0.0
        # The one that comes closest, and who replaced it first.
        ended = list(zip(self._ends, self._writes, strict=True))
        end = max(end for end, write in ended[:first] if write.value == read.value)
        return read.begin - min(e for e, write in ended[:over] if write.begin > end)


def show(capsys, line):
    """Print a figure also where the test passes."""
    with capsys.disabled():
        sys.stdout.write(f"\n    {line}\n")


def percentile(values, share):
    """Return the value below which that share of them lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def in_ms(values):
    """Describe a distribution of seconds."""
    if not values:
        return "none"
    return (
        f"p50 {percentile(values, 0.5) * 1000:.2f} ms, "
        f"p99 {percentile(values, 0.99) * 1000:.2f} ms, "
        f"max {max(values) * 1000:.2f} ms of {len(values)}"
    )
