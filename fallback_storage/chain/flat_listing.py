"""Flat pages of keys, as S3 lists them: all that begins with something, in one order.

Asked only where that is certain to tell what ``exists`` and ``listdir`` of the storage
would (``lists_flat``).
"""

from __future__ import annotations

import re
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import unquote_plus

from fallback_storage.chain import facts
from fallback_storage.chain.dialects import s3storage_parameters
from fallback_storage.chain.listing_body import take_out
from fallback_storage.chain.names import is_name, is_passed_over

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fallback_storage.chain.backend import Backend

    # What is told of files that are left out, by the names that they are listed under.
    PassedOver = Callable[[str], object]

MD5: Final = re.compile("[0-9a-f]{32}")

# (The star lets it be told before boto3's own, which parses all of every answer.)
BEFORE_PARSE: Final = "before-parse.*.ListObjectsV2"
_thread = threading.local()


class Listed(NamedTuple):
    """One file of a listing; ``size``, ``etag`` and ``date`` where the listing tells them.

    Size and MD5 are of what is stored, which can be a compressed form of the file.
    ``etag``: what tells this content from another one, without its quotes.
    ``date``: of its modification, UTC, in the words of ISO 8601.
    """

    name: str
    size: int | None = None
    etag: str = ""
    date: str = ""

    @property
    def md5(self) -> str | None:
        """The hexadecimal digest, as S3 shows it for objects that were uploaded in one part.

        With keys of the customer's or of KMS, S3 shows something else that looks the
        same; of an upload in several parts, something with a "-" in it.
        """
        return self.etag if MD5.fullmatch(self.etag) else None

    @property
    def facts(self) -> str:
        """What ``size`` and ``get_modified_time`` would say of it (``chain.facts``)."""
        try:
            modified = datetime.fromisoformat(f"{self.date}+00:00")
        except ValueError:
            modified = None
        return facts.write(self.size, modified)


def lists_flat(backend: Backend) -> bool:
    """Whether the backend's keys and names are those of S3Storage, so that it can be asked.

    A subclass that spells names, asks or lists in a way of its own does not; neither
    does one that sends parameters along with its questions: they may change the answer.
    """
    if not backend.profile.lists_flat:
        return False
    parameters = getattr(backend.storage, "object_parameters", None)
    return not (parameters and s3storage_parameters(parameters))


def flat_pages(
    backend: Backend,
    start: str,
    after: str = "",
    *,
    own: bool = False,
    passed_over: PassedOver | None = None,
) -> Iterator[list[Listed]]:
    """Yield what is below names beginning with ``start``, of a backend that lists flat.

    ``start`` need not end where a directory does. ``own``: with this package's own
    files. Each page is one request, made when it is asked for, and one question. Raises
    what the client raises, and ``BackendUnavailable``.
    """
    found = bare_pages(backend, start, after, own=own, passed_over=passed_over)
    # The client is that of the thread that asks first.
    while (page := backend.ask_for_names(next, found, None)) is not None:
        yield page


def bare_pages(
    backend: Backend,
    start: str,
    after: str = "",
    *,
    own: bool = False,
    passed_over: PassedOver | None = None,
) -> Iterator[list[Listed]]:
    """Yield the same, past breaker and deadline."""
    storage: Any = backend.storage
    root = storage._normalize_name("")  # noqa: SLF001 - lists_flat() knows whose it is
    client = storage.connection.meta.client
    client.meta.events.register(BEFORE_PARSE, _take_out_objects, BEFORE_PARSE)
    request = {"Bucket": storage.bucket_name, "Prefix": root + start}
    if after:
        request["StartAfter"] = root + after
    responses = iter(client.get_paginator("list_objects_v2").paginate(**request))
    while (found := _next_page(responses)) is not None:
        page = []
        for each in found:
            name = each.name.removeprefix(root)
            if is_name(name, own=own):
                page.append(each._replace(name=name) if root else each)
            elif passed_over and is_passed_over(name):
                passed_over(name)
        if page:
            yield page


def _next_page(responses: Iterator[Any]) -> list[Listed] | None:
    """Return what the next response lists, under the keys; None: there is none."""
    _thread.written = None
    _thread.asks = True
    try:
        response = next(responses, None)
        written = _thread.written
    finally:
        _thread.asks = False
    if response is None:
        return None
    if written is None:
        return [_from_boto3(item) for item in response.get("Contents", ())]
    # boto3 asks for that, and decodes what it gets.
    is_encoded = response.get("EncodingType") == "url"
    return [_from_body(*each, is_encoded=is_encoded) for each in written]


def _take_out_objects(response_dict: dict[str, Any], **kwargs: Any) -> None:
    """Take the objects out of an answer, which boto3 needs most of its time to parse.

    Told by boto3 of every listing that the client reads, which may be others' as well;
    and again of an answer that had to be asked for again.
    """
    if getattr(_thread, "asks", False):
        response_dict["body"], _thread.written = take_out(response_dict["body"])


def _from_body(
    key: str,
    date: str | None,
    etag: str,
    size: str,
    last: str | None,
    *,
    is_encoded: bool,
) -> Listed:
    if is_encoded and ("%" in key or "+" in key):
        key = unquote_plus(key)
    return Listed(key, int(size), etag, date or last or "")


def _from_boto3(item: dict[str, Any]) -> Listed:
    modified = item.get("LastModified")
    date = modified.astimezone(UTC).isoformat()[:19] if modified else ""
    return Listed(item["Key"], item.get("Size"), item.get("ETag", "").strip('"'), date)
