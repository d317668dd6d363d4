"""Files that are read in parts, as they arrive: for who passes them on.

``open`` of most storages of remote files fetches the whole file first. A *stream* asks
what the file is, and then for the bytes that are wanted, of that very file: what was
replaced meanwhile is an error, not a mixture. For files that are stored as what they are:
one that is encoded raises ``NotImplementedError``, and is to be opened.

What is *arriving* is a whole file, as it is stored, of which one request told all.
"""

from __future__ import annotations

import re
import sys
import threading
from contextlib import closing, suppress
from email.utils import parsedate_to_datetime
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fallback_storage.chain.dialects import s3storage_parameters
from fallback_storage.chain.headers import Form, coding_of
from fallback_storage.chain.kept import boto3_headers, has_odd_etag
from fallback_storage.chain.reachability import is_unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

# Bytes of a part; and of a part for which a request of its own is made.
PART: Final = 64 * 1024
REQUEST: Final = 4 * 1024 * 1024
# (The star lets it be told before boto3's own.)
BEFORE_PARSE: Final = "before-parse.*.GetObject"
# As it is written in HTTP (RFC 9110).
DATE: Final = re.compile(
    r"[A-Z]\w\w, \d\d [A-Z]\w\w \d{4} \d\d:\d\d:\d\d GMT"
).fullmatch
_thread = threading.local()
# How often a file is asked for that breaks off each time; as often as boto3 does it.
REQUESTS: Final = 5


class Streamed(NamedTuple):
    """A file: ``size`` in bytes, when it was ``modified``, its ``etag`` (or "").

    ``read(start, stop)`` returns an iterator over its bytes, which can be closed.
    """

    size: int
    modified: datetime | None
    etag: str
    read: Callable[[int, int], Iterator[bytes]]


class Arriving:
    """A file that is read once, from its start to its end, as it is sent.

    ``form``, ``etag`` (without its quotes), ``size`` in bytes, if that was told. Where the
    sending breaks off, the rest of this very file is asked for. ``get`` makes a request of
    boto3's.
    """

    def __init__(self, get: Callable[..., Any], name: str, etag: str) -> None:
        self._get, self._left = get, REQUESTS - 1
        try:
            _thread.asks = True
            sent = get(**({"IfMatch": f'"{etag}"'} if etag else {}))
        finally:
            _thread.asks = False
        self._body, self._position = sent["Body"], 0
        self.etag: str = sent.get("ETag", "").strip('"')
        # (Some send what they compress without telling its length.)
        self.size: int | None = sent.get("ContentLength")
        headers = boto3_headers(sent)
        coding = coding_of(name, headers.get("content_encoding", ""))
        is_odd = has_odd_etag(
            sent.get("ServerSideEncryption"), sent.get("SSECustomerAlgorithm")
        )
        modified = sent.get("LastModified")
        self.form = Form(name, headers, coding, not is_odd, modified=modified)

    def read(self, size: int = -1, /) -> bytes:
        """Read on. Raises what the client raises."""
        if size < 0:
            return b"".join(iter(partial(self.read, PART), b""))
        while True:
            try:
                data: bytes = self._body.read(size)
            except Exception as error:  # noqa: BLE001 - raised there, if nothing helps
                self._go_on(error)
            else:
                self._position += len(data)
                return data

    def close(self) -> None:
        """Leave what has not been sent."""
        self._body.close()

    def _go_on(self, error: Exception) -> None:
        """Ask for the rest, if that helps; else raise ``error``."""
        self.close()
        if not (self._left and self.etag and is_unreachable(error)):
            raise error
        self._left -= 1
        wanted = f"bytes={self._position}-"
        rest = self._get(Range=wanted, IfMatch=f'"{self.etag}"')
        self._body = rest["Body"]
        _refuse_another(rest, self.etag)
        if not rest.get("ContentRange", "").startswith(f"bytes {self._position}-"):
            self.close()
            raise error


def _refuse_another(answer: Any, etag: str) -> None:
    """Raise what S3 answers to If-Match if an answer is of another file.

    Not every server knows the header: then what it sent tells.
    """
    told = answer.get("ETag", "")
    if told and _bare(told) != _bare(etag):
        answer["Body"].close()
        status = {"HTTPStatusCode": HTTPStatus.PRECONDITION_FAILED}
        code = {"Code": "PreconditionFailed", "Message": "it was replaced meanwhile"}
        said: Any = {"Error": code, "ResponseMetadata": status}
        raise sys.modules["botocore.exceptions"].ClientError(said, "GetObject")


def _bare(etag: str) -> str:
    return etag.removeprefix("W/").strip('"')


def get_from_s3storage(storage: Any, lent: Any, name: str, etag: str) -> Arriving:
    """Ask for an object with the parameters of S3Storage, if it still has this ETag.

    ``lent``: a ``connection`` of it; ``etag``: without its quotes, "" for any.
    """
    client = lent.meta.client
    client.meta.events.register(BEFORE_PARSE, _parse_date, BEFORE_PARSE)
    place = _place_in_s3storage(storage, name)
    return Arriving(partial(client.get_object, **place), name, etag)


def _parse_date(response_dict: dict[str, Any], **kwargs: Any) -> None:
    """Parse the date of an answer, which boto3 needs a tenth of all its time for.

    Told by boto3 of every GET of the client, which may be another's as well. What is not
    as expected it parses itself.
    """
    parsed = kwargs.get("customized_response_dict")
    if parsed is None or not getattr(_thread, "asks", False):
        return
    headers = response_dict["headers"]
    written = headers.get("Last-Modified", "")
    if DATE(written):
        parsed["LastModified"] = parsedate_to_datetime(written)
        del headers["Last-Modified"]


def _place_in_s3storage(storage: Any, name: str) -> dict[str, Any]:
    return s3storage_parameters(storage.get_object_parameters(name)) | {
        "Bucket": storage.bucket_name,
        "Key": storage._normalize_name(name),  # noqa: SLF001
    }


def from_s3storage(storage: Any, name: str) -> Streamed:
    """Ask with the client and the parameters of django-storages' S3Storage."""
    place = _place_in_s3storage(storage, name)
    client = storage.connection.meta.client
    head = client.head_object(**place)
    _refuse_encoded(name, head.get("ContentEncoding"))
    etag = head["ETag"]

    def read(start: int, stop: int) -> Iterator[bytes]:
        if stop <= start:
            return
        wanted = f"bytes={start}-{stop - 1}"
        answer = client.get_object(**place, Range=wanted, IfMatch=etag)
        _refuse_another(answer, etag)
        body = answer["Body"]
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
