"""A clock that a test moves."""

from __future__ import annotations


class ManualClock:
    """A monotonic clock that stands still until it is told to move."""

    def __init__(self, now=1000.0):
        self.now = now

    def __call__(self):
        return self.now

    def tick(self, seconds):
        if seconds < 0:
            raise ValueError(f"A monotonic clock cannot go back by {-seconds} s.")
        self.now += seconds
