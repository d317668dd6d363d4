"""Files that are read in parts, as they arrive: for who passes them on.

``open`` of most storages of remote files fetches the whole file first. A *stream* asks
what the file is, and then for the bytes that are wanted, of that very file: what was
replaced meanwhile is an error, not a mixture. For files that are stored as what they are:
one that is encoded raises ``NotImplementedError``, and is to be opened.
"""

from __future__ import annotations

import sys
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fallback_storage.chain.dialects import s3storage_parameters
from fallback_storage.chain.headers import coding_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

# Bytes of a part; and of a part for which a request of its own is made.
PART: Final = 64 * 1024
REQUEST: Final = 4 * 1024 * 1024


class Streamed(NamedTuple):
    """A file: ``size`` in bytes, when it was ``modified``, its ``etag`` (or "").

    ``read(start, stop)`` returns an iterator over its bytes, which can be closed.
    """

    size: int
    modified: datetime | None
    etag: str
    read: Callable[[int, int], Iterator[bytes]]


def from_s3storage(storage: Any, name: str) -> Streamed:
    """Ask with the client and the parameters of django-storages' S3Storage."""
    key = storage._normalize_name(name)  # noqa: SLF001
    place = s3storage_parameters(storage.get_object_parameters(key)) | {
        "Bucket": storage.bucket_name,
        "Key": key,
    }
    client = storage.connection.meta.client
    head = client.head_object(**place)
    _refuse_encoded(name, head.get("ContentEncoding"))
    etag = head["ETag"]

    def read(start: int, stop: int) -> Iterator[bytes]:
        if stop <= start:
            return
        wanted = f"bytes={start}-{stop - 1}"
        body = client.get_object(**place, Range=wanted, IfMatch=etag)["Body"]
        try:
            yield from body.iter_chunks(PART)
        finally:
            body.close()

    return Streamed(head["ContentLength"], head.get("LastModified"), etag, read)


def from_google(storage: Any, name: str) -> Streamed:
    """Ask with the client of GoogleCloudStorage."""
    blob = storage.bucket.get_blob(storage._normalize_name(name))  # noqa: SLF001
    if blob is None:
        raise FileNotFoundError(name)
    _refuse_encoded(name, blob.content_encoding)

    def read(start: int, stop: int) -> Iterator[bytes]:
        for first in range(start, stop, REQUEST):
            yield blob.download_as_bytes(
                start=first,
                end=min(first + REQUEST, stop) - 1,
                raw_download=True,
                if_generation_match=blob.generation,
            )

    return Streamed(blob.size, blob.updated, f'"{blob.etag}"', read)


def from_azure(storage: Any, name: str) -> Streamed:
    """Ask with the client of AzureStorage."""
    path = storage._get_valid_path(name)  # noqa: SLF001
    blob = storage.client.get_blob_client(path)
    found = blob.get_blob_properties(timeout=storage.timeout)
    _refuse_encoded(name, found.content_settings.content_encoding)
    unchanged = sys.modules["azure.core"].MatchConditions.IfNotModified

    def read(start: int, stop: int) -> Iterator[bytes]:
        if stop > start:
            yield from blob.download_blob(
                offset=start,
                length=stop - start,
                etag=found.etag,
                match_condition=unchanged,
                timeout=storage.timeout,
            ).chunks()

    return Streamed(found.size, found.last_modified, found.etag, read)


def from_site(storage: Any, name: str) -> Streamed:
    """Ask a site over HTTP: by a HEAD, and by a GET when it is read."""
    about = size, modified, etag = storage.about(name)

    def read(start: int, stop: int) -> Iterator[bytes]:
        whole = (start, stop) == (0, size)
        if not whole:
            with suppress(NotImplementedError):
                yield from storage.stream(name, start, stop, about)
                return
        with closing(storage.stream(name, of=about)) as parts:
            yield from parts if whole else _cut(parts, start, stop)

    return Streamed(size, modified, etag, read)


def _cut(parts: Iterator[bytes], start: int, stop: int) -> Iterator[bytes]:
    """Yield a part of a file of which all of it is sent."""
    position = 0
    for part in parts:
        wanted = part[max(0, start - position) : stop - position]
        position += len(part)
        if wanted:
            yield wanted
        if position >= stop:
            return


def _refuse_encoded(name: str, encoding: str | None) -> None:
    if coding_of(name, encoding or ""):
        raise NotImplementedError(f"{name!r} is stored encoded.")
