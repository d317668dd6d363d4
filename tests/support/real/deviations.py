"""What does not hold, for which storage, and why.

The contract's test fails for what deviates and is not here, and for what is here and
does not deviate any more: who mends something removes its lines.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import NamedTuple


class Row(NamedTuple):
    """``cells``: patterns of position/placement/memo, separated by blanks."""

    storages: str
    operations: str
    cells: str
    reason: str

    def covers(self, cell):
        return any(fnmatchcase(cell, pattern) for pattern in self.cells.split())


KNOWN = [
    Row(
        "webdav",
        "special_names",
        "*/neither/*",
        "It takes what follows '#' or '?' for no part of a name.",
    ),
    Row("ftp", "special_names", "first/neither/*", "Names with blanks are cut off."),
    Row(
        "azure",
        "open_write",
        "first/here/* first/both/*",
        "It replaces no file, unless overwrite_files is set; close() says so.",
    ),
]

# Of ways of giving content (``real.contents``) whose bytes do not come back: storages,
# ways, reason.
BYTES = [
    ("libcloud", "nothing|unnamed nothing", "It reads no empty file."),
]


def lost(storage):
    """Return the ways of giving content to a storage that do not work."""
    return {
        way
        for storages, ways, _ in BYTES
        if storage in storages.split()
        for way in ways.split("|")
    }


def known(storage, operation, cell):
    """Return why an operation deviates there, or None."""
    for row in KNOWN:
        is_meant = (
            storage in row.storages.split() and operation in row.operations.split()
        )
        if is_meant and row.covers(cell):
            return row.reason
    return None
