"""Contenders taking turns, so that a slow moment of the machine hits all of them.

Runs in the original's environment too, hence imports nothing of this package.
"""

from __future__ import annotations

import gc
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from traffic import SENT


def _nothing():
    pass


@dataclass(frozen=True)
class Contender:
    """``call(name)`` is what is timed, ``before()`` what comes before each pass.

    ``at_once``: what is timed is one ``call(names)``.
    """

    label: str
    call: Callable[..., object]
    before: Callable[[], object] = _nothing
    at_once: bool = False


@dataclass
class Laps:
    """What one contender needed: one item per pass over all names."""

    seconds: list[float] = field(default_factory=list)
    requests: list[int] = field(default_factory=list)

    @property
    def best(self):
        # Noise only ever adds.
        return min(self.seconds)

    @property
    def median(self):
        return statistics.median(self.seconds)


def race(contenders, names, rounds, *, warm=True, clock=time.perf_counter):
    """Let each contender pass over all names, in turns; return label -> Laps.

    ``warm``: everyone makes a pass before that does not count. ``clock``: in seconds.
    """
    laps = {contender.label: Laps() for contender in contenders}
    if warm:
        for contender in contenders:
            _pass(contender, names, Laps(), clock)
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for turn in range(rounds):
            start = turn % len(contenders)
            for contender in (*contenders[start:], *contenders[:start]):
                _pass(contender, names, laps[contender.label], clock)
            gc.collect()
    finally:
        if enabled:
            gc.enable()
    return laps


def _pass(contender, names, laps, clock):
    contender.before()
    # A name comes from a database row: a string of its own, not yet hashed.
    fresh = [name.encode().decode() for name in names]
    call = contender.call
    SENT.clear()
    start = clock()
    if contender.at_once:
        call(fresh)
    else:
        for name in fresh:
            call(name)
    laps.seconds.append(clock() - start)
    laps.requests.append(len(SENT))


def stampede(call, name, threads):
    """Call ``call(name)`` from many threads at once; return Laps of one pass.

    Raises what the first failing thread raised.
    """
    barrier = threading.Barrier(threads + 1)
    errors = []

    def run():
        barrier.wait()
        try:
            call(name)
        except Exception as error:
            errors.append(error)

    crowd = [threading.Thread(target=run) for _ in range(threads)]
    for thread in crowd:
        thread.start()
    SENT.clear()
    barrier.wait()
    start = time.perf_counter()
    for thread in crowd:
        thread.join()
    seconds = time.perf_counter() - start
    if errors:
        raise errors[0]
    return Laps([seconds], [len(SENT)])
