"""What does not hold, for which storage, and why.

The contract's test fails for what deviates and is not here, and for what is here and
does not deviate any more: who mends something removes its lines.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import NamedTuple

import django


class Row(NamedTuple):
    """``cells``: patterns of position/placement/memo, separated by blanks."""

    storages: str
    operations: str
    cells: str
    reason: str

    def covers(self, cell):
        return any(fnmatchcase(cell, pattern) for pattern in self.cells.split())


LISTING = "Its listing gives other names than files have: '/a', percent-encoded."

KNOWN = [
    Row("webdav", "listdir", "*", LISTING),
    Row("webdav", "syncing", "last/here/* last/both/*", LISTING),
    Row("webdav", "warming", "*/here/memo */both/memo", LISTING),
    Row("webdav", "whiteouts", "first/there/* first/both/* first/neither/*", LISTING),
    Row(
        "webdav",
        "special_names",
        "*/neither/*",
        f"{LISTING} And it takes what follows '#' or '?' for no part of a name.",
    ),
    Row("ftp", "special_names", "first/neither/*", "Names with blanks are cut off."),
    Row(
        "azure",
        "open_write",
        "first/here/* first/both/*",
        "It replaces no file, unless overwrite_files is set; close() says so.",
    ),
    Row(
        "webdav",
        "open_write",
        "first/there/* first/neither/*",
        "It opens for reading only, and says that there is no such file.",
    ),
    Row(
        "webdav",
        "open_read",
        "*/here/* first/both/*",
        "What it opens is the client's answer: no chunks().",
    ),
]

BYTES_ONLY = (
    "s3 s3-subclass s3-moto google azure sftp ftp libcloud minio webdav dbfiles "
    "db-file-storage"
)

# Of ways of giving content (``real.contents``) whose bytes do not come back: storages,
# ways, reason.
BYTES = [
    (
        BYTES_ONLY,
        "text",
        "It takes bytes only; some keep a part of a text, and say nothing.",
    ),
    (
        "django-s3",
        "text",
        "It looks at the file within, which is another one in a chain.",
    ),
    ("libcloud", "nothing|unnamed nothing", "It reads no empty file."),
    *(
        [
            (
                "webdav",
                "unnamed",
                "It writes 'data or nothing'; until 6.1 a File is false.",
            )
        ]
        if django.VERSION < (6, 1)
        else []
    ),
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
