"""Flat pages of keys, as S3 lists them: all that begins with something, in one order.

Asked only where that is certain to tell what ``exists`` and ``listdir`` of the storage
would (``lists_flat``).
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fallback_storage.chain.dialects import s3storage_parameters
from fallback_storage.chain.names import is_name, is_passed_over

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fallback_storage.chain.backend import Backend

    # What is told of files that are left out, by the names that they are listed under.
    PassedOver = Callable[[str], object]

MD5: Final = re.compile("[0-9a-f]{32}")

BEFORE_PARSE: Final = "before-parse.s3.ListObjectsV2"
DATE: Final = re.compile(rb"<LastModified>[^<]*</LastModified>")
_thread = threading.local()


class Listed(NamedTuple):
    """One file of a listing; ``size`` and ``md5`` where the listing tells them.

    Both are of what is stored, which can be a compressed form of the file. ``md5``: the
    hexadecimal digest, as S3 shows it for objects that were uploaded in one part. With
    keys of the customer's or of KMS, S3 shows something else that looks the same.
    """

    name: str
    size: int | None = None
    md5: str | None = None


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
    client.meta.events.register(BEFORE_PARSE, _leave_out_dates, BEFORE_PARSE)
    request = {"Bucket": storage.bucket_name, "Prefix": root + start}
    if after:
        request["StartAfter"] = root + after
    responses = iter(client.get_paginator("list_objects_v2").paginate(**request))
    while (response := _without_dates(responses)) is not None:
        page = []
        for item in response.get("Contents", ()):
            name = item["Key"].removeprefix(root)
            if is_name(name, own=own):
                page.append(Listed(name, item.get("Size"), _md5(item.get("ETag"))))
            elif passed_over and is_passed_over(name):
                passed_over(name)
        if page:
            yield page


def _without_dates(responses: Iterator[Any]) -> Any:
    _thread.needs_no_dates = True
    try:
        return next(responses, None)
    finally:
        _thread.needs_no_dates = False


def _leave_out_dates(response_dict: dict[str, Any], **kwargs: Any) -> None:
    """Take the dates out of an answer, which boto3 needs most of its time to parse.

    Told by boto3 of every listing that the client reads, which may be others' as well.
    """
    if getattr(_thread, "needs_no_dates", False):
        response_dict["body"] = DATE.sub(b"", response_dict["body"])


def _md5(etag: str | None) -> str | None:
    # Of an upload in several parts it is something else, with a "-" in it.
    digest = (etag or "").strip('"')
    return digest if MD5.fullmatch(digest) else None
