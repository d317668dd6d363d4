"""The rows, by name, in the order of the table."""

from __future__ import annotations

ROWS = {}


def row(name):
    """Register a function ``(world) -> Result`` as a row of the table."""

    def register(function):
        if name in ROWS:
            raise ValueError(f"two rows are named {name!r}")
        ROWS[name] = function
        return function

    return register
