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


LACKS = "The holder lacks the method, and the others' 'absent' is what is told."
LISTING = "Its listing gives other names than files have."
NOT_FOUND = "Its way of saying 'not found' is taken for a failure."
LAST_WRITE = "Its files keep the last write() only, or none."

KNOWN = [
    # The package's own
    Row(
        "s3 s3-subclass s3-moto google azure sftp ftp libcloud minio django-s3 webdav "
        "dbfiles db-file-storage",
        "path",
        "*/neither/* first/both/*",
        "A path is told of, or withheld, without regard to which backends have paths.",
    ),
    # Methods that the holder lacks
    Row(
        "s3 s3-subclass s3-moto azure sftp ftp libcloud minio django-s3 dbfiles "
        "db-file-storage",
        "get_created_time",
        "*/here/* first/both/*",
        LACKS,
    ),
    Row(
        "s3 s3-subclass s3-moto google azure ftp libcloud minio django-s3 webdav dbfiles "
        "db-file-storage",
        "get_accessed_time",
        "*/here/* first/both/*",
        LACKS,
    ),
    Row(
        "ftp libcloud dbfiles db-file-storage",
        "get_modified_time",
        "*/here/* first/both/*",
        LACKS,
    ),
    Row("db-file-storage", "size", "*/here/* first/both/*", LACKS),
    # Not found
    Row("dbfiles db-file-storage", "open_read promotion", "*/neither/*", NOT_FOUND),
    Row("dbfiles webdav minio django-s3", "size", "*/neither/*", NOT_FOUND),
    Row("minio django-s3", "get_modified_time", "*/neither/*", NOT_FOUND),
    Row("django-s3", "get_created_time get_accessed_time", "*/neither/*", NOT_FOUND),
    Row(
        "dbfiles db-file-storage",
        "whiteouts",
        "first/*/bare */neither/bare */there/bare",
        NOT_FOUND,
    ),
    Row(
        "minio",
        "open_read promotion",
        "*/neither/* first/there/*",
        "It opens lazily: what it says of a missing file comes with the first read.",
    ),
    Row("minio", "save open_write", "first/there/bare", "It opens lazily."),
    Row(
        "minio",
        "whiteouts",
        "first/*/bare */neither/bare */there/bare",
        "It opens lazily.",
    ),
    # Listings
    Row("azure libcloud webdav", "listdir", "*", LISTING),
    Row("azure libcloud webdav", "syncing", "last/here/* last/both/*", LISTING),
    Row("libcloud webdav", "warming", "*/here/memo */both/memo", LISTING),
    Row("azure", "warming", "*/here/memo", LISTING),
    Row("webdav", "special_names", "*/neither/*", LISTING),
    Row("azure", "special_names", "first/neither/*", LISTING),
    Row("ftp", "special_names", "first/neither/*", "Names with blanks are cut off."),
    Row(
        "ftp",
        "listdir_of_nothing",
        "*",
        "A folder that is not there is taken for a failure.",
    ),
    Row(
        "ftp",
        "warming",
        "*/there/memo */neither/memo",
        "A folder that is not there is taken for a failure.",
    ),
    Row(
        "ftp",
        "syncing",
        "last/there/* last/neither/*",
        "A folder that is not there is taken for a failure.",
    ),
    Row(
        "ftp",
        "whiteouts",
        "first/here/*",
        "The folder of whiteouts that is not there yet is taken for a failure.",
    ),
    Row(
        "azure libcloud dbfiles db-file-storage",
        "whiteouts",
        "first/there/* first/both/*",
        "It cannot keep whiteouts: they are not listed, or its names are of one form.",
    ),
    Row(
        "webdav",
        "whiteouts",
        "first/there/* first/both/* first/neither/*",
        "Its listing contains the folder itself, and is walked for ever.",
    ),
    # Files that are written to
    Row(
        "sftp ftp libcloud dbfiles db-file-storage", "open_write", "first/*", LAST_WRITE
    ),
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
    # Others
    Row(
        "libcloud",
        "url",
        "last/neither/*",
        "It asks its server for the URL, and raises for a missing file.",
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
