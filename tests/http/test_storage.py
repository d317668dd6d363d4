"""HTTPStorage over a site that says what a test has written."""

from __future__ import annotations

import copy
import gzip
import os
import pickle
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from django.core.exceptions import ImproperlyConfigured, SuspiciousFileOperation
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from origins import BODY, STAMP, origin, reply

from fallback_storage.exceptions import (
    BackendUnavailable,
    ContradictoryAnswerError,
    MissingPlaceError,
    OriginError,
    OriginUnreachableError,
)
from fallback_storage.http import HTTPStorage


@pytest.fixture
def site():
    with origin({"/media/a.jpg": BODY, "/media/empty.jpg": b""}) as site:
        yield site


@pytest.fixture
def storage(site):
    storage = HTTPStorage(site.base_url, timeout=5)
    yield storage
    storage._origin.close()


def read(storage, name):
    with storage.open(name) as file:
        return file.read()


def test_a_file_is_found_read_and_told_about(site, storage, settings):
    assert storage.exists("a.jpg")
    assert read(storage, "a.jpg") == BODY
    assert storage.size("a.jpg") == len(BODY)
    settings.USE_TZ = True
    assert storage.get_modified_time("a.jpg") == datetime.fromtimestamp(STAMP, UTC)
    settings.USE_TZ = False
    assert storage.get_modified_time("a.jpg").tzinfo is None
    assert [each.method for each in site.requests] == ["HEAD", "GET", *["HEAD"] * 3]
    assert {each.headers["accept-encoding"] for each in site.requests} == {"identity"}


def test_an_empty_file_is_a_file(storage):
    assert storage.exists("empty.jpg")
    assert read(storage, "empty.jpg") == b""
    assert storage.size("empty.jpg") == 0


@pytest.mark.parametrize("status", [404, 410])
def test_what_is_missing_is_no_file(site, storage, status):
    site.answer = lambda request: reply(status, b"gone", request=request)
    assert not storage.exists("b.jpg")
    for ask in (storage.open, storage.size, storage.get_modified_time):
        with pytest.raises(FileNotFoundError):
            ask("b.jpg")


@pytest.mark.parametrize("status", [401, 403, 400, 418, 204])
def test_an_answer_that_says_nothing_is_an_error(site, storage, status):
    site.answer = lambda request: reply(status, b"", request=request)
    for ask in (storage.exists, storage.open, storage.size):
        with pytest.raises(OriginError) as raised:
            ask("a.jpg")
        assert raised.value.code == status
        assert not isinstance(raised.value, OriginUnreachableError | FileNotFoundError)


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_site_in_trouble_is_not_reachable(site, storage, status):
    site.answer = lambda request: reply(
        status, b"", request=request, Retry_After="21600"
    )
    for ask in (storage.exists, storage.open, storage.size):
        with pytest.raises(OriginUnreachableError):
            ask("a.jpg")
    assert len(site.requests) == 3


def test_a_closed_port_is_not_reachable():
    with origin() as site:
        storage = HTTPStorage(site.base_url)
    with pytest.raises(OriginUnreachableError) as raised:
        storage.exists("a.jpg")
    assert "127.0.0.1" not in str(raised.value)
    assert "NewConnectionError" in str(raised.value)


def test_where_head_is_not_allowed_one_byte_is_asked_for(site, storage):
    def answer(request):
        if request.method == "HEAD":
            return reply(405, b"", request=request)
        return site.serve(request)

    site.answer = answer
    assert storage.exists("a.jpg")
    assert storage.size("a.jpg") == len(BODY)
    assert storage.exists("empty.jpg")
    assert storage.size("empty.jpg") == 0
    assert not storage.exists("b.jpg")
    assert [each.method for each in site.requests] == ["HEAD", *["GET"] * 5]
    assert {each.headers.get("range") for each in site.requests[1:]} == {"bytes=0-0"}


# Bodies: whole, or an error.


def cut(request):
    yield reply(200, BODY)[:-5]


def cut_in_chunks(request):
    yield reply(200, b"", Content_Length=None, Transfer_Encoding="chunked")
    yield b"5\r\nfirst\r\n"


@pytest.mark.parametrize("answer", [cut, cut_in_chunks, lambda request: None])
def test_half_a_body_is_an_error(site, storage, answer):
    site.answer = answer
    with pytest.raises(OriginUnreachableError):
        storage.open("a.jpg")


def test_chunks_are_put_together(site, storage):
    def answer(request):
        yield reply(200, b"", Content_Length=None, Transfer_Encoding="chunked")
        yield b"5\r\nfirst\r\n6\r\nsecond\r\n0\r\n\r\n"

    site.answer = answer
    assert read(storage, "a.jpg") == b"firstsecond"


def test_more_than_was_announced_is_not_read(site, storage):
    site.answer = lambda request: reply(200, BODY + b"more", Content_Length=len(BODY))
    assert read(storage, "a.jpg") == BODY


def zipped(body, **headers):
    return reply(200, gzip.compress(body), Content_Encoding="gzip", **headers)


def test_what_was_compressed_on_the_way_is_not_in_the_end(site, storage):
    content = os.urandom(5000) + bytes(500_000)
    site.answer = lambda request: zipped(content)
    assert read(storage, "a.jpg") == content


def test_compressed_parts_one_after_the_other(site, storage):
    body = gzip.compress(b"one") + gzip.compress(b"two")
    site.answer = lambda request: reply(200, body, Content_Encoding="x-gzip")
    assert read(storage, "a.jpg") == b"onetwo"


def test_a_file_that_is_compressed_stays_so(site, storage):
    content = gzip.compress(b"table")
    site.answer = lambda request: reply(
        200, content, request=request, Content_Encoding="gzip"
    )
    assert read(storage, "table.csv.gz") == content
    assert storage.size("table.csv.gz") == len(content)
    with pytest.raises(NotImplementedError):
        storage.size("table.csv")


@pytest.mark.parametrize("left_out", [1, 4, 20])
def test_compressed_content_that_breaks_off_is_an_error(site, storage, left_out):
    body = gzip.compress(os.urandom(1000))[:-left_out]
    site.answer = lambda request: reply(200, body, Content_Encoding="gzip")
    with pytest.raises(OriginUnreachableError):
        storage.open("a.jpg")


@pytest.mark.parametrize("encoding", ["br", "zstd", "deflate"])
def test_another_encoding_is_refused(site, storage, encoding):
    body = zlib.compress(BODY)
    site.answer = lambda request: reply(200, body, Content_Encoding=encoding)
    with pytest.raises(OriginError, match=encoding):
        storage.open("a.jpg")


def test_a_file_larger_than_allowed_is_an_error(site):
    storage = HTTPStorage(site.base_url, max_size=1000)

    def endless(request):
        yield reply(200, b"", Content_Length=None, Connection="close")
        while True:
            yield bytes(500)

    for answer in (
        lambda request: reply(200, bytes(1001)),
        lambda request: reply(200, b"", Content_Length="9999999999999"),
        lambda request: zipped(bytes(100_000)),
        endless,
    ):
        site.answer = answer
        with pytest.raises(OriginError, match="max_size"):
            storage.open("a.jpg")
    site.answer = lambda request: reply(200, bytes(1000))
    assert read(storage, "a.jpg") == bytes(1000)


@pytest.mark.parametrize("part", ["head", "body", "chunk"])
def test_a_trickle_ends_in_time(site, part):
    """A byte now and then, for ever: no client's time-out would end it."""
    storage = HTTPStorage(site.base_url, timeout=0.3)
    stopped = threading.Event()

    def answer(request):
        whole = reply(200, BODY, Content_Length="100000")
        if part == "chunk":
            whole = reply(200, b"", Content_Length=None, Transfer_Encoding="chunked")
        yield whole[:10] if part == "head" else whole
        for _ in range(100):
            if stopped.wait(0.05):
                return
            yield b"0"

    site.answer = answer
    try:
        with pytest.raises(OriginUnreachableError, match=r"in time|next to nothing"):
            storage.open("a.jpg")
    finally:
        stopped.set()


# Pages in the place of files.

PAGE = b"<html>welcome</html>"


def page(request, **headers):
    return reply(
        200, PAGE, request=request, Content_Type="text/html; charset=x", **headers
    )


def test_a_site_that_answers_everything_has_nothing(site, storage):
    site.answer = page
    assert not storage.exists("a.jpg")
    assert not storage.exists("page.html")
    assert not storage.exists("no-extension")
    with pytest.raises(FileNotFoundError):
        storage.open("b.jpg")
    # One question for a name that nobody has, for each kind of name.
    assert len(site.requests) == 4 + 3


def test_pages_are_files_where_missing_names_are_told(site, storage):
    site.files["/media/page.html"] = PAGE
    site.answer = lambda request: (
        page(request) if request.target in site.files else site.serve(request)
    )
    assert storage.exists("page.html")
    assert read(storage, "page.html") == PAGE
    with pytest.raises(OriginError, match="page"):
        storage.exists("a.jpg")


def test_a_page_that_differs_from_nobodys_is_a_file(site, storage):
    def answer(request):
        if request.target == "/media/page.html":
            return page(request, ETag='"mine"')
        return page(request, ETag='"everybody"')

    site.answer = answer
    assert storage.exists("page.html")
    assert not storage.exists("other.html")


def test_a_log_in_is_no_file_and_no_missing_one(site, storage):
    def answer(request):
        if request.target.startswith("/login"):
            return page(request)
        return reply(302, b"", request=request, Location="/login?next=x")

    site.answer = answer
    for ask in (storage.exists, storage.open):
        with pytest.raises(OriginError, match="log-in"):
            ask("a.jpg")


# Redirects.


def redirecting(site, location, then=None):
    def answer(request):
        if request.target == "/media/a.jpg":
            return reply(301, b"", request=request, Location=location)
        return (then or site.serve)(request)

    site.answer = answer


def test_a_redirect_within_the_site_is_followed(site, storage):
    site.files["/other/b.jpg"] = b"moved"
    redirecting(site, "/other/b.jpg#top")
    assert storage.exists("a.jpg")
    assert read(storage, "a.jpg") == b"moved"


@pytest.mark.parametrize(
    ("location", "found"),
    [
        ("http://127.0.0.1:9/a.jpg", "127.0.0.1:9"),
        ("http://localhost/a.jpg", "localhost:80"),
        ("//elsewhere.example/a.jpg", "elsewhere.example"),
        ("file:///etc/hostname", "another scheme"),
        ("ftp://127.0.0.1/a.jpg", "another scheme"),
        ("http://[::1/", "no URL"),
        ("/media/a.jpg", "again and again"),
    ],
)
def test_a_redirect_elsewhere_is_not(site, storage, location, found):
    redirecting(site, location)
    with pytest.raises(OriginError, match=found.replace(".", r"\.")):
        storage.exists("a.jpg")
    assert {each.target for each in site.requests} == {"/media/a.jpg"}


def test_a_redirect_with_a_user_is_not(site, storage):
    redirecting(site, f"http://somebody@127.0.0.1:{site.port}/media/b.jpg")
    with pytest.raises(OriginError, match="redirects"):
        storage.exists("a.jpg")


def test_a_directory_has_no_content(site, storage):
    redirecting(site, "http://elsewhere.example/media/a.jpg/")
    assert not storage.exists("a.jpg")


def test_what_protects_the_site_is_told_to_nobody_else(site):
    with origin({"/b.jpg": b"elsewhere"}) as other:
        storage = HTTPStorage(
            site.base_url,
            auth=("somebody", "secret:word"),
            headers={"X-Api-Key": "k"},
            user_agent="mirror",
            redirects=[f"http://127.0.0.1:{other.port}"],
        )
        redirecting(site, f"http://127.0.0.1:{other.port}/b.jpg")
        assert read(storage, "a.jpg") == b"elsewhere"
        storage._origin.close()
        (asked,) = site.requests
        assert asked.headers["authorization"] == "Basic c29tZWJvZHk6c2VjcmV0OndvcmQ="
        assert asked.headers["x-api-key"] == "k"
        (asked,) = other.requests
        assert not {"authorization", "x-api-key"} & set(asked.headers)
        assert asked.headers["user-agent"] == "mirror"


# Names.


@pytest.mark.parametrize(
    "name",
    ["../a.jpg", "x/../../a.jpg", "/a.jpg", "//host/a.jpg", "a\0.jpg", "\\a.jpg"],
)
def test_names_that_leave_the_site_are_refused(site, storage, name):
    for ask in (storage.exists, storage.open, storage.size, storage.url):
        with pytest.raises(SuspiciousFileOperation):
            ask(name)
    assert site.requests == []


@pytest.mark.parametrize(
    "name",
    [
        "",
        "photos/",
        "%2e%2e/a.jpg",
        "x/%252E%252e/a.jpg",
        "x%2Fa.jpg",
        "x%5ca.jpg",
        "a%00.jpg",
        "a%0d%0aX-Header: 1.jpg",
        "a.jpg\r\nX-Header: 1",
        "a\x7f.jpg",
        f"%{'25' * 20_000}.jpg",
    ],
)
def test_names_that_a_server_may_take_for_others_are_nobodys(site, storage, name):
    assert not storage.exists(name)
    for ask in (storage.open, storage.size):
        with pytest.raises(FileNotFoundError):
            ask(name)
    assert site.requests == []


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("x?y=1.jpg", "x%3Fy%3D1.jpg"),
        ("x#y.jpg", "x%23y.jpg"),
        ("http://host/a.jpg", "http%3A/host/a.jpg"),
        ("host:80/a.jpg", "host%3A80/a.jpg"),
        ("user@host.jpg", "user%40host.jpg"),
        ("100%.jpg", "100%25.jpg"),
        ("50%41.jpg", "50%2541.jpg"),
        ("a b+c.jpg", "a%20b%2Bc.jpg"),
        ("ä'(1)!.jpg", "%C3%A4'(1)!.jpg"),
        (";x.jpg", "%3Bx.jpg"),
        ("./x//y.jpg", "x/y.jpg"),
        ("x\\y.jpg", "x/y.jpg"),
    ],
)
def test_whatever_is_in_a_name_is_in_the_path(site, storage, name, target):
    site.files[f"/media/{target}"] = b"this one"
    assert storage.exists(name)
    assert read(storage, name) == b"this one"
    assert storage.url(name) == f"{site.base_url}{target}"


def test_urls_are_those_of_the_sites_own_storage(storage, site):
    own = FileSystemStorage("/nowhere", site.base_url)
    for name in ("a.jpg", "ä b'(1)!*~.jpg", "x?y#z.jpg", "p/q/%41.jpg", ""):
        assert storage.url(name) == own.url(name)
    assert site.requests == []


def test_only_what_is_wanted_is_asked_for(site):
    storage = HTTPStorage(site.base_url, prefixes=["photos/"], exclude=["*.pdf"])
    site.files |= {"/media/photos/a.jpg": b"", "/media/photos/a.pdf": b""}
    assert storage.exists("photos/a.jpg")
    asked = len(site.requests)
    assert not storage.exists("a.jpg")
    assert not storage.exists("photos/a.pdf")
    assert len(site.requests) == asked


# Parts.


def test_a_part_of_a_file_is_streamed(storage):
    assert b"".join(storage.stream("a.jpg")) == BODY
    assert b"".join(storage.stream("a.jpg", 2, 9)) == BODY[2:9]
    assert b"".join(storage.stream("a.jpg", 5)) == BODY[5:]
    with pytest.raises(FileNotFoundError):
        storage.stream("b.jpg", 5)


def test_a_site_that_sends_no_parts_says_so_before_it_sends_all(site, storage):
    site.answer = lambda request: reply(200, BODY)
    with pytest.raises(NotImplementedError):
        storage.stream("a.jpg", 5)
    site.answer = lambda request: reply(206, BODY, Content_Range="bytes 0-9/10")
    with pytest.raises(OriginError, match="another part"):
        storage.stream("a.jpg", 5)
    with pytest.raises(OriginError, match="unasked"):
        storage.open("a.jpg")


# Requests at the same time.


def test_so_many_requests_at_a_time_and_no_more(site):
    storage = HTTPStorage(site.base_url, max_requests=2, timeout=5)
    arrived, go_on = threading.Semaphore(0), threading.Event()

    def answer(request):
        arrived.release()
        go_on.wait(10)
        return site.serve(request)

    site.answer = answer
    with ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(storage.exists, "a.jpg") for _ in range(6)]
        assert arrived.acquire(timeout=10)
        assert arrived.acquire(timeout=10)
        assert not arrived.acquire(timeout=0.05)
        go_on.set()
        assert all(each.result(10) for each in asked)


def test_a_download_that_was_dropped_makes_room(site):
    storage = HTTPStorage(site.base_url, max_requests=1, timeout=0.2)
    site.files["/media/big.jpg"] = bytes(1_000_000)
    stream = storage.stream("big.jpg")
    next(stream)
    with pytest.raises(OriginError, match="max_requests"):
        storage.exists("a.jpg")
    del stream
    assert storage.exists("a.jpg")
    for _ in range(3):
        assert not storage.exists("b.jpg")
        with pytest.raises(FileNotFoundError):
            storage.open("b.jpg")


def test_connections_are_kept_and_a_closed_one_is_made_anew(site, storage):
    for _ in range(5):
        assert storage.exists("a.jpg")
        assert not storage.exists("b.jpg")
        assert read(storage, "a.jpg") == BODY
    assert site.connections == 1
    closing = [True]
    site.answer = lambda request: (
        None if closing and closing.pop() else site.serve(request)
    )
    assert storage.exists("a.jpg")
    assert site.connections == 2


def test_it_is_a_value(site, storage):
    assert storage.exists("a.jpg")
    for other in (
        copy.copy(storage),
        copy.deepcopy(storage),
        pickle.loads(pickle.dumps(storage)),
    ):
        assert other.exists("a.jpg")
        assert other._origin is not storage._origin
        other._origin.close()
    path, args, kwargs = storage.deconstruct()
    assert path == "fallback_storage.http.HTTPStorage"
    assert (args, kwargs) == ((site.base_url,), {"timeout": 5})


def test_nothing_is_written(site, storage):
    for write in (
        lambda: storage.save("new.jpg", ContentFile(b"")),
        lambda: storage.delete("a.jpg"),
        lambda: storage.open("a.jpg", "wb"),
        lambda: storage.open("a.jpg", "r+b"),
        lambda: storage.listdir(""),
        lambda: storage.path("a.jpg"),
    ):
        with pytest.raises(NotImplementedError):
            write()
    assert {each.method for each in site.requests} <= {"HEAD"}


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({}, "base_url"),
        ({"base_url": "www.example.com"}, "base_url"),
        ({"base_url": "ftp://www.example.com"}, "base_url"),
        ({"base_url": "https://somebody:secret@www.example.com"}, "a user"),
        ({"base_url": "https://www.example.com/?token=secret"}, "a query"),
        ({"base_url": "https://www.example.com/ä"}, "base_url"),
        ({"base_url": "https://www.example.com:x/"}, "base_url"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": "4"}, "timeout"),
        ({"headers": {"X": "secret\r\n"}}, "headers"),
        ({"auth": "secret"}, "auth"),
        ({"auth": ("a:secret", "b")}, "auth"),
        ({"base_url": "https://www.example.com/100%/"}, "base_url"),
        ({"base_url": "https://a\\b/"}, "base_url"),
        ({"base_url": "https://www.example.com/?"}, "a query"),
        ({"base_url": b"https://www.example.com/"}, "base_url"),
        ({"timeout": float("inf")}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"verify": "/no/such/file"}, "verify"),
        ({"verify": "/"}, "verify"),
        ({"verify": __file__}, "verify"),
        ({"verify": None}, "verify"),
        ({"verify": 1}, "verify"),
        ({"max_size": 0}, "max_size"),
        ({"prefixes": "photos/"}, "prefixes"),
        ({"prefixes": ["/photos/"]}, "prefixes"),
        ({"exclude": [1]}, "exclude"),
        ({"exclude": ["/private/*"]}, "exclude"),
        ({"max_requests": 1.5}, "max_requests"),
        ({"redirects": ["cdn.example.com"]}, "redirects"),
        ({"redirects": ["https://cdn.example.com/path"]}, "redirects"),
    ],
)
def test_options_that_cannot_be_right_are_refused(options, found):
    given = (
        options
        if not options or "base_url" in options
        else {
            "base_url": "https://www.example.com/media/",
            **options,
        }
    )
    with pytest.raises(ImproperlyConfigured, match=found) as raised:
        HTTPStorage(**given)
    assert "secret" not in str(raised.value)


def test_another_urllib3_in_its_place_is_refused(monkeypatch):
    monkeypatch.setattr("urllib3.__version__", "2.25.904")
    with pytest.raises(ImproperlyConfigured, match="urllib3-future"):
        HTTPStorage("https://www.example.com/")


def test_without_urllib3_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "urllib3", None)
    with pytest.raises(ImproperlyConfigured, match=r"\[http\]"):
        HTTPStorage("https://www.example.com/")


@pytest.mark.parametrize(
    "error",
    [
        OriginError("why", 403),
        OriginUnreachableError("why"),
        BackendUnavailable("s3", "why", retry_in=3.0),
        ContradictoryAnswerError("open", "s3", "a"),
        MissingPlaceError("s3"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_can_be_sent_to_another_process(error):
    copied = pickle.loads(pickle.dumps(error))
    assert (type(copied), str(copied)) == (type(error), str(error))
