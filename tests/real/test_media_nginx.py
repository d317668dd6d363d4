"""The media view and nginx, asked the same of the same file; what RFC 9110 says."""

from __future__ import annotations

import http.client
import os
import threading
from contextlib import contextmanager
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from django.http import Http404
from django.test import RequestFactory
from real.servers import NginxServer
from servers import HOST

from fallback_storage import views

pytestmark = pytest.mark.usefixtures("closing_ends_no_request")

CONTENT = b"0123456789"
STAMP = 1_764_244_800  # Thu, 27 Nov 2025 12:00:00 GMT
DATE = "Thu, 27 Nov 2025 12:00:00 GMT"
BEFORE, AFTER = "Thu, 27 Nov 2025 11:59:59 GMT", "Thu, 27 Nov 2025 12:00:01 GMT"
FUTURE = "Mon, 27 Nov 2090 12:00:00 GMT"

# Of a file of 10 bytes: what is asked, what RFC 9110 says and the view answers (a range:
# 206 and its Content-Range), what nginx answers if that is something else.
TABLE = [
    ({"Range": "bytes=0-0"}, "0-0", None),
    ({"Range": "bytes=2-"}, "2-9", None),
    ({"Range": "bytes=2-99"}, "2-9", None),
    ({"Range": "bytes=-3"}, "7-9", None),
    ({"Range": "bytes=-99"}, "0-9", None),
    ({"Range": "bytes=-0"}, 416, None),
    ({"Range": "bytes=10-"}, 416, None),
    ({"Range": "bytes=5-2"}, 200, 416),
    ({"Range": "bytes=a-b"}, 200, 416),
    ({"Range": "items=0-1"}, 200, None),
    ({"Range": "Bytes=0-1"}, "0-1", None),
    ({"Range": "bytes=0-1,4-5"}, 200, "several"),
    ({"Range": "bytes=0-1", "If-Range": "ETAG"}, "0-1", None),
    ({"Range": "bytes=0-1", "If-Range": DATE}, "0-1", None),
    ({"Range": "bytes=0-1", "If-Range": "W/ETAG"}, 200, None),
    ({"Range": "bytes=0-1", "If-Range": '"other"'}, 200, None),
    ({"Range": "bytes=0-1", "If-Range": AFTER}, 200, None),
    ({"Range": "bytes=99-", "If-Range": '"other"'}, 200, None),
    ({"If-None-Match": "ETAG"}, 304, None),
    ({"If-None-Match": "W/ETAG"}, 304, None),
    ({"If-None-Match": '"other", ETAG'}, 304, None),
    ({"If-None-Match": "*"}, 304, None),
    ({"If-None-Match": '"other"'}, 200, None),
    ({"If-None-Match": "ETAG", "If-Modified-Since": BEFORE}, 304, 200),
    ({"If-None-Match": '"other"', "If-Modified-Since": DATE}, 200, None),
    ({"If-Modified-Since": DATE}, 304, None),
    ({"If-Modified-Since": AFTER}, 304, 200),
    ({"If-Modified-Since": BEFORE}, 200, None),
    ({"If-Modified-Since": FUTURE}, 304, 200),
    ({"If-Modified-Since": "yesterday"}, 200, None),
    ({"If-Match": "ETAG"}, 200, None),
    ({"If-Match": "*"}, 200, None),
    ({"If-Match": '"other"'}, 412, None),
    ({"If-Match": "W/ETAG"}, 412, None),
    ({"If-Unmodified-Since": BEFORE}, 412, None),
    ({"If-Unmodified-Since": DATE}, 200, None),
    ({"If-Match": "ETAG", "If-Unmodified-Since": BEFORE}, 200, 412),
    ({"If-None-Match": "ETAG", "Range": "bytes=99-"}, 304, None),
]


@pytest.fixture
def file(running, settings):
    server = running(NginxServer)
    folder = server.folder / "ranges"
    folder.mkdir(exist_ok=True)
    path = folder / "ten.bin"
    path.write_bytes(CONTENT)
    os.utime(path, (STAMP, STAMP))
    settings.MEDIA_ROOT = str(folder)
    settings.STORAGES = {
        "default": {
            "BACKEND": "fallback_storage.storage.FallbackStorage",
            "OPTIONS": {"backends": ["django.core.files.storage.FileSystemStorage"]},
        },
        "staticfiles": settings.STORAGES["staticfiles"],
    }
    return server


def by_nginx(server, headers, method="GET"):
    connection = http.client.HTTPConnection(HOST, server.port, timeout=10)
    try:
        connection.request(method, "/media/ranges/ten.bin", headers=headers)
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def by_view(server, headers, method="GET"):
    request = getattr(RequestFactory(), method.lower())("/ten.bin", headers=headers)
    response = views.media(request, "ten.bin", prefixes=[""])
    try:
        body = b"".join(response) if response.streaming else response.content
    finally:
        response.close()
    return response.status_code, response.headers, body


def told(answer):
    """An answer as the table has it; its parts must fit together."""
    status, headers, body = answer
    if status == 206 and "multipart" in headers["Content-Type"]:
        return "several"
    if status == 206:
        shown = headers["Content-Range"].removeprefix("bytes ").removesuffix("/10")
        first, last = map(int, shown.split("-"))
        assert body == CONTENT[first : last + 1]
        assert headers["Content-Length"] == str(len(body))
        return shown
    if status == 416:
        assert headers["Content-Range"] == "bytes */10"
    if status == 200:
        assert body == CONTENT
    return status


@pytest.mark.parametrize(("headers", "by_rfc", "else_by_nginx"), TABLE, ids=repr)
def test_the_same_request(file, headers, by_rfc, else_by_nginx):
    for ask, expected in (
        (by_view, by_rfc),
        (by_nginx, by_rfc if else_by_nginx is None else else_by_nginx),
    ):
        etag = ask(file, {})[1]["ETag"]
        sent = {key: value.replace("ETAG", etag) for key, value in headers.items()}
        assert told(ask(file, sent)) == expected, ask.__name__


def test_head_has_no_range_and_no_body(file):
    status, headers, body = by_view(file, {"Range": "bytes=0-1"}, "HEAD")
    assert (status, headers["Content-Length"], body) == (200, "10", b"")
    assert by_nginx(file, {"Range": "bytes=0-1"}, "HEAD")[0] == 206


def test_what_is_missing_is_so_for_both(file):
    with pytest.raises(Http404):
        views.media(RequestFactory().get("/x"), "x", prefixes=[""])


@contextmanager
def app(port, asked):
    """The view, over HTTP, as a process behind nginx."""

    class Quiet(WSGIRequestHandler):
        def log_message(self, *args):
            pass

    def answer(environ, start_response):
        asked.append(environ["HTTP_HOST"])
        name = environ["PATH_INFO"].removeprefix("/media/")
        response = views.media(
            RequestFactory().get(name),
            name,
            prefixes=[""],
            x_accel_redirect="/protected/",
        )
        start_response(f"{response.status_code} OK", list(response.headers.items()))
        return [response.content]

    with make_server(HOST, port, answer, handler_class=Quiet) as server:
        thread = threading.Thread(
            target=server.serve_forever, args=(0.01,), daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def test_the_lines_of_the_manual_for_nginx(file, settings):
    """nginx sends what the view names, and shows it to nobody who asks by himself."""
    settings.MEDIA_ROOT = str(file.folder)
    asked = []
    with app(file.ports["app_port"], asked):
        found = {}
        for path in ("/media/ranges/ten.bin", "/protected/ranges/ten.bin"):
            connection = http.client.HTTPConnection(
                HOST, file.ports["front_port"], timeout=10
            )
            connection.request("GET", path, headers={"Host": "mysite"})
            response = connection.getresponse()
            found[path] = (response.status, response.headers, response.read())
            connection.close()
    (status, headers, body), (by_himself, *_) = found.values()
    assert (status, body, by_himself) == (200, CONTENT, 404)
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Type"] == "application/octet-stream"
    assert asked == ["mysite"]
