"""Judges what several processes saw by when they saw it, not by what was left over.

Every name is a register: it is in the upper backend, or it is not. An operation is
logged with its begin and end on the system's monotonic clock, which all processes
share. A read is **stale** if no order of the operations that overlap explains it: it
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


@dataclass(frozen=True)
class Read:
    name: str
    how: str
    begin: float
    end: float
    value: bool


@dataclass
class History:
    writes: dict[str, list[Write]] = field(default_factory=dict)
    reads: list[Read] = field(default_factory=list)
    stats: list[dict] = field(default_factory=list)

    @classmethod
    def of_files(cls, paths):
        """Collect what workers logged."""
        history = cls()
        for path in paths:
            log = json.loads(Path(path).read_text())
            history.stats.append(log["stats"])
            for how, name, begin, end, value in log["operations"]:
                if how == "write":
                    history.write(name, begin, end, value)
                else:
                    history.reads.append(Read(name, how, begin, end, value))
        return history

    def write(self, name, begin, end, value):
        self.writes.setdefault(name, []).append(Write(begin, end, value))

    def total(self, counter):
        """Add up a counter of all workers."""
        return sum(stats.get(counter, 0) for stats in self.stats)

    def stale(self, initially=False):
        """Return (age, read) of every stale read; the age in seconds, oldest first.

        The age is how long the value had been replaced, for everybody, when the read
        began.
        """
        registers = {
            name: _Register([Write(-FOREVER, -FOREVER, initially), *writes])
            for name, writes in self.writes.items()
        }
        found = []
        for read in self.reads:
            if read.name in registers:
                age = registers[read.name].age(read)
                if age > 0:
                    found.append((age, read))
        return sorted(found, key=lambda pair: -pair[0])


class _Register:
    def __init__(self, writes):
        self._writes = sorted(writes, key=lambda write: write.end)
        self._ends = [write.end for write in self._writes]
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
        end = max(
            write.end for write in self._writes[:first] if write.value == read.value
        )
        replaced = min(write.end for write in self._writes[:over] if write.begin > end)
        return read.begin - replaced


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
