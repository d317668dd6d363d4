"""Serving the files of a chain, wherever they are.

A page never shows an outage as a missing file: absent is 404, failed is 503. Files that a
browser runs (HTML, SVG, XML) come from who uploads them; so they are downloads, or run in
a sandbox.
"""

from __future__ import annotations

from functools import lru_cache, partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

from django.core.exceptions import SuspiciousOperation
from django.core.files.storage import storages
from django.core.handlers.asgi import ASGIRequest
from django.http import (
    FileResponse,
    Http404,
    HttpResponse,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.utils.cache import get_conditional_response
from django.utils.http import content_disposition_header, http_date
from django.views.decorators.http import require_safe

from fallback_storage.chain.names import clean_name, is_own
from fallback_storage.chain.streams import PART
from fallback_storage.conf.media_checks import ATTRIBUTE
from fallback_storage.exceptions import ConfigurationError, Mistake
from fallback_storage.operations.serving import TooManyDownloads
from fallback_storage.storage import FallbackStorage
from fallback_storage.utils.logs import warner
from fallback_storage.views.bodies import AsyncParts, Parts
from fallback_storage.views.kinds import PAGES, SVG, type_of
from fallback_storage.views.limits import limits_of
from fallback_storage.views.options import MediaOptions, mistakes_in_view, read_options
from fallback_storage.views.placeholder import placeholder
from fallback_storage.views.ranges import UnsatisfiableError, wanted_range

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

    from fallback_storage.operations.serving import Begin, Content, Server

# Seconds after which to ask again.
RETRY_AFTER: Final = 10

# Seconds that a download waits for others to end.
PATIENCE: Final = 5.0

# If-Range is another matter.
CONDITIONS: Final = frozenset(
    {
        "HTTP_IF_MATCH",
        "HTTP_IF_MODIFIED_SINCE",
        "HTTP_IF_NONE_MATCH",
        "HTTP_IF_UNMODIFIED_SINCE",
    }
)

SANDBOXED: Final = "Content-Security-Policy"
SANDBOX: Final = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"


@require_safe
def media(request: HttpRequest, name: str, **options: Any) -> HttpResponseBase:
    """Serve a file of a ``FallbackStorage``, by GET or HEAD.

    Options: ``storage``: the alias of ``STORAGES``. ``prefixes``: which names are public;
    needed unless ``DEBUG``. ``redirect``: what is not in a local directory is not passed
    on, but redirected to its URL. ``x_accel_redirect``: the internal location from which
    nginx serves local files; ``x_sendfile``: the same for Apache. ``placeholder``: a
    picture in place of one that nobody has: True, or a path. ``max_remote``: files that
    are passed on at a time, and ``unknown_per_second``: names that are asked of backends,
    for each process; more are told to come again.

    Raises ``ConfigurationError`` for options that cannot be right.
    """
    chosen = read_options(options)
    clean = _public_name(name, chosen)
    try:
        return _serve(request, clean, chosen)
    except SuspiciousOperation as error:
        raise Http404(clean) from error
    except (ConfigurationError, Http404):
        raise
    except Exception as error:  # noqa: BLE001 - whatever backends raise
        reason = type(error).__name__
        warner.warn(
            ("media", reason), "media view: %r is not served: %s", clean, reason
        )
        return _come_again()


# For the system check.
vars(media)[ATTRIBUTE] = mistakes_in_view


def _serve(request: HttpRequest, name: str, chosen: MediaOptions) -> HttpResponseBase:
    server = _server_of(chosen)
    limits = limits_of(chosen.storage, chosen.max_remote, chosen.unknown_per_second)
    if chosen.redirect:
        url = server.url(name, limits.may_ask)
        if url is not None and not _is_here(request, url):
            return HttpResponseRedirect(url)
    # (Under ASGI all views wait in one thread.)
    begin = partial(limits.begin, 0 if isinstance(request, ASGIRequest) else PATIENCE)
    content = server.content(name, limits.may_ask, begin)
    if content is None:
        return _nobodys(name, chosen)
    try:
        response = _respond(request, name, content, chosen, begin)
    except BaseException:
        content.close()
        raise
    if not response.streaming:
        content.close()
    return response


def _public_name(name: str, chosen: MediaOptions) -> str:
    """Return the clean name of what may be served. Raises ``Http404``."""
    try:
        clean = clean_name(name)
    except SuspiciousOperation as error:
        raise Http404(name) from error
    prefixes = tuple(chosen.prefixes) if chosen.prefixes is not None else ("",)
    if not clean or clean.endswith("/") or is_own(clean):
        raise Http404(name)
    if not clean.startswith(prefixes):
        raise Http404(name)
    return clean


def _server_of(chosen: MediaOptions) -> Server:
    storage = storages[chosen.storage]
    if not isinstance(storage, FallbackStorage):
        raise ConfigurationError(
            Mistake.WRONG_VALUE,
            "the media view['storage']",
            "names an alias of STORAGES that is no FallbackStorage.",
            "Write the alias of one.",
        )
    return storage._get_engine().server  # noqa: SLF001


def _is_here(request: HttpRequest, url: str) -> bool:
    """Whether a URL leads to this view again."""
    parts = urlsplit(url)
    return parts.path == quote(request.path, safe="/%") and (
        parts.netloc in {"", request.get_host()}
    )


def _come_again() -> HttpResponse:
    return HttpResponse(
        status=HTTPStatus.SERVICE_UNAVAILABLE,
        headers={"Retry-After": str(RETRY_AFTER), "Cache-Control": "no-store"},
    )


def _nobodys(name: str, chosen: MediaOptions) -> HttpResponse:
    if chosen.placeholder and type_of(name).startswith("image/"):
        content, kind = placeholder(chosen.placeholder)
        headers = {"Cache-Control": "no-store"}
        return HttpResponse(content, content_type=kind, headers=headers)
    raise Http404(name)


# What is said of a file


def _respond(
    request: HttpRequest,
    name: str,
    content: Content,
    chosen: MediaOptions,
    begin: Begin,
) -> HttpResponseBase:
    headers = _headers_of(name, content)
    if chosen.x_accel_redirect is not None and SANDBOXED in headers:
        # nginx does not hand on the sandbox.
        headers.setdefault("Content-Disposition", "attachment")
    etag, modified = content.etag, content.modified
    if not CONDITIONS.isdisjoint(request.META):
        told = HttpResponse(headers=headers)
        stamp = None if modified is None else int(modified.timestamp())
        conditional = get_conditional_response(request, etag or None, stamp, told)
        if conditional is not None and conditional is not told:
            return conditional
    offload = _offloaded(name, content, chosen)
    if offload is not None:
        return HttpResponse(headers=headers | offload)
    headers["Accept-Ranges"] = "bytes"
    if request.method == "HEAD":
        return HttpResponse(headers=headers | {"Content-Length": str(content.size)})
    try:
        wanted = wanted_range(request.headers, content.size, etag, modified)
    except UnsatisfiableError:
        headers["Content-Range"] = f"bytes */{content.size}"
        status = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
        return HttpResponse(status=status, headers=headers)
    return _stream(request, content, wanted, headers, begin)


def _headers_of(name: str, content: Content) -> dict[str, str]:
    kind = type_of(name)
    headers = {"Content-Type": kind, "X-Content-Type-Options": "nosniff"}
    if content.etag:
        headers["ETag"] = content.etag
    if content.modified is not None:
        headers["Last-Modified"] = _date(content.modified.timestamp() // 1)
    if kind in PAGES or kind.endswith("+xml"):
        headers[SANDBOXED] = SANDBOX
        if kind != SVG:
            filename = name.rpartition("/")[2]
            disposition = content_disposition_header(True, filename)
            headers["Content-Disposition"] = disposition or "attachment"
    return headers


# What is asked for is so often.
_date = lru_cache(1024)(http_date)


def _offloaded(
    name: str, content: Content, chosen: MediaOptions
) -> dict[str, str] | None:
    """Return the header by which the web server sends a local file itself."""
    if content.path is None:
        return None
    if chosen.x_accel_redirect is not None and content.is_first:
        place = f"{chosen.x_accel_redirect.rstrip('/')}/{quote(name)}"
        return {"X-Accel-Redirect": place}
    if chosen.x_sendfile:
        # The bytes of the path, as they are.
        return {"X-Sendfile": content.path.encode().decode("latin-1")}
    return None


# The bytes


class _Whole(FileResponse):
    """A local file, which a WSGI server can send without reading it."""

    block_size = PART

    def set_headers(self, filelike: Any) -> None:
        """Leave them as they are."""


def _stream(
    request: HttpRequest,
    content: Content,
    wanted: tuple[int, int] | None,
    headers: dict[str, str],
    begin: Begin,
) -> HttpResponseBase:
    start, stop = wanted or (0, content.size)
    headers["Content-Length"] = str(stop - start)
    status = HTTPStatus.OK
    if wanted is not None:
        status = HTTPStatus.PARTIAL_CONTENT
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{content.size}"
        # Else GZipMiddleware would compress a part, which then is none.
        headers["Content-Encoding"] = "identity"
    is_async = isinstance(request, ASGIRequest)
    if content.path is not None and wanted is None and not is_async:
        return _Whole(content.file, headers=headers)
    ends: list[Callable[[], object]] = [content.close]
    if content.file is None:
        end = begin()
        if end is None:
            raise TooManyDownloads
        ends.append(end)
    parts = Parts(content.parts(start, stop), *ends)
    body: Any = AsyncParts(parts) if is_async else parts
    return StreamingHttpResponse(body, status=status, headers=headers)
