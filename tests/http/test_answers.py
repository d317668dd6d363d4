"""Answers that are not what they should be: an error, and never another file's bytes."""

from __future__ import annotations

import gzip
import itertools
import socket
import threading
from contextlib import closing

import pytest
from origins import BODY, origin, reply

from fallback_storage.exceptions import OriginError, OriginUnreachableError
from fallback_storage.http import HTTPStorage


@pytest.fixture
def site():
    with origin({"/media/a.jpg": BODY, "/media/b.jpg": b"another"}) as site:
        yield site


@pytest.fixture
def storage(site):
    storage = HTTPStorage(site.base_url, timeout=5)
    yield storage
    storage._origin.close()


def read(storage, name):
    with storage.open(name) as file:
        return file.read()


# Heads.


@pytest.mark.parametrize("method", ["exists", "open"])
def test_an_early_hint_is_not_taken_for_the_answer(site, storage, method):
    """What comes after it would be taken for that to the next request."""

    def answer(request):
        if request.target == "/media/a.jpg":
            return b"HTTP/1.1 103 Early Hints\r\nLink: </x.css>\r\n\r\n"
        late = reply(404, b"", request=request) if site.connections == 1 else b""
        return late + site.serve(request)

    site.answer = answer
    with pytest.raises(OriginError):
        getattr(storage, method)("a.jpg")
    assert storage.exists("b.jpg")
    assert read(storage, "b.jpg") == b"another"


def test_a_body_that_comes_with_a_head_is_nobodys(site, storage):
    site.answer = lambda request: reply(200, bytes(20_000))
    assert storage.exists("a.jpg")
    site.answer = site.serve
    assert read(storage, "b.jpg") == b"another"


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\r\n\r\n",
        b"SSH-2.0-OpenSSH_9\r\n",
        b"HTTP/1.1 two hundred\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nabcdefgh",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 100_000,
        b"HTTP/1.1 302 -\r\nLocation: http://\xff\xfe/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 -\r\nLocation: http://h:port/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 -\r\nLocation: //[\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 -\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 304 -\r\n\r\n",
        b"HTTP/1.1 101 -\r\nUpgrade: h2c\r\n\r\n",
    ],
)
def test_what_is_no_answer_is_an_error_of_ours(site, storage, head):
    def answer(request):
        yield head

    site.answer = answer
    with pytest.raises(OriginError):
        storage.open("a.jpg")


def test_what_is_no_tls_is_not_told_as_a_certificates_fault():
    """The server speaks first, and plain HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            with server.accept()[0] as connection:
                connection.sendall(reply(400, b""))
                connection.recv(65536)

        thread = threading.Thread(target=answer)
        thread.start()
        storage = HTTPStorage(
            f"https://127.0.0.1:{server.getsockname()[1]}/", timeout=30
        )
        with pytest.raises(OriginUnreachableError, match="SSLError"):
            storage.exists("a.jpg")
        thread.join(30)


@pytest.mark.parametrize("length", ["-1", "x", "7" * 5000, "34, 34"])
def test_a_length_that_is_none_is_not_told(site, storage, length):
    def answer(request):
        yield reply(200, b"", request=request, Content_Length=length)

    site.answer = answer
    assert storage.exists("a.jpg")
    with pytest.raises(NotImplementedError):
        storage.size("a.jpg")


def test_a_length_beside_chunks_is_not_that_of_the_file(site, storage):
    site.answer = lambda request: reply(
        200, b"", request=request, Content_Length="5", Transfer_Encoding="chunked"
    )
    with pytest.raises(NotImplementedError):
        storage.size("a.jpg")


# Bodies.


def test_content_of_nothing_for_ever_is_an_error(site):
    """What is compressed from nothing, again and again."""
    storage = HTTPStorage(site.base_url, max_size=100_000)
    nothing = gzip.compress(b"")

    def answer(request):
        yield reply(200, b"", Content_Length=None, Content_Encoding="gzip")
        for _ in range(100):
            yield nothing * 1000

    site.answer = answer
    with pytest.raises(OriginError, match="max_size"):
        storage.open("a.jpg")


# Parts.


def part(start, stop, total, body=None, **headers):
    body = BODY[start:stop] if body is None else body
    told = f"bytes {start}-{stop - 1}/{total}"
    return reply(206, body, Content_Range=told, **headers)


@pytest.mark.parametrize(
    "answer",
    [
        part(2, 5, len(BODY)),  # less than there is
        part(2, 12, len(BODY)),  # more than was asked for
        part(2, 9, len(BODY), BODY[2:7]),  # less than it says
        part(2, 9, len(BODY), BODY[2:11]),  # more than it says
        part(2, 5, "*"),
        part(3, 9, len(BODY)),
        reply(206, BODY[2:9]),
        reply(206, BODY[2:9], Content_Range="bytes 2-8/x"),
        reply(206, BODY[2:9], Content_Range=f"bytes 2-{'9' * 5000}/{'9' * 5000}"),
        reply(206, BODY[2:9], Content_Range="items 2-8/34"),
    ],
)
def test_another_part_than_was_asked_for_is_an_error(site, storage, answer):
    site.answer = lambda request: answer
    with pytest.raises(OriginError):
        b"".join(storage.stream("a.jpg", 2, 9))


def test_a_part_in_chunks_is_counted(site, storage):
    told = {"Content_Length": None, "Transfer_Encoding": "chunked"}
    whole, short = (
        part(2, 9, len(BODY), b"", **told)
        + b"%x\r\n%s\r\n0\r\n\r\n" % (n, BODY[2 : 2 + n])
        for n in (7, 5)
    )
    site.answer = lambda request: whole
    assert b"".join(storage.stream("a.jpg", 2, 9)) == BODY[2:9]
    site.answer = lambda request: short
    with pytest.raises(OriginUnreachableError):
        b"".join(storage.stream("a.jpg", 2, 9))


@pytest.mark.parametrize("total", [len(BODY), "*"])
def test_parts_up_to_the_end(site, storage, total):
    site.answer = lambda request: part(2, len(BODY), total)
    assert b"".join(storage.stream("a.jpg", 2)) == BODY[2:]
    site.answer = lambda request: part(2, 9, total)
    assert b"".join(storage.stream("a.jpg", 2, 9)) == BODY[2:9]


def test_a_part_that_ends_behind_the_file(storage):
    assert b"".join(storage.stream("a.jpg", 2, 1000)) == BODY[2:]


def test_parts_of_a_file_that_is_compressed(site, storage):
    site.answer = lambda request: part(2, 9, len(BODY), Content_Encoding="x-gzip")
    assert b"".join(storage.stream("table.csv.gz", 2, 9)) == BODY[2:9]
    with pytest.raises(NotImplementedError):
        storage.stream("table.csv", 2, 9)


def test_a_part_of_no_bytes_is_there_if_the_file_is(storage):
    with closing(storage.stream("a.jpg", 5, 5)) as parts:
        assert list(parts) == []
    assert list(storage.stream("a.jpg", 0, 0)) == []
    with pytest.raises(FileNotFoundError):
        storage.stream("gone.jpg", 5, 5)


# Pages in the place of files.


def page(request, body=b"<html>", **headers):
    return reply(200, body, request=request, Content_Type="text/html", **headers)


def test_an_app_whose_answers_to_head_tell_no_length_has_nothing(site, storage):
    def answer(request):
        if request.method == "HEAD":
            return page(request, Content_Length=None)
        return page(request)

    site.answer = answer
    assert not storage.exists("page.html")
    with pytest.raises(FileNotFoundError):
        storage.open("page.html")


def test_a_page_that_is_a_file_is_read_where_apps_answer_the_rest(site, storage):
    def answer(request):
        if request.target == "/media/page.html":
            return page(request, b"<html>mine", ETag='"mine"')
        return page(request)

    site.answer = answer
    assert read(storage, "page.html") == b"<html>mine"
    assert b"".join(storage.stream("page.html")) == b"<html>mine"


def test_a_page_that_comes_only_now_and_then_is_never_a_picture(site, storage):
    """Maintenance begins between two questions."""
    answers = itertools.cycle([page, site.serve])
    site.answer = lambda request: next(answers)(request)
    with pytest.raises(OriginError, match="page"):
        storage.open("a.jpg")


@pytest.mark.parametrize("name", ["a.jpg", "page.html", "no-extension"])
def test_a_log_in_hides_files_of_every_name(site, storage, name):
    def answer(request):
        if request.target.startswith("/login"):
            return page(request)
        return reply(302, b"", request=request, Location="/login?next=x")

    site.answer = answer
    for ask in (storage.exists, storage.open):
        with pytest.raises(OriginError, match="log-in"):
            ask(name)


# Redirects.


def redirecting(site, name, location):
    def answer(request):
        if request.target == f"/media/{name}":
            return reply(301, b"", request=request, Location=location)
        return site.serve(request)

    site.answer = answer


def test_a_location_in_raw_utf_8_is_understood(site, storage):
    site.files["/media/%C3%A4%20b.jpg"] = b"umlaut"
    redirecting(site, "a.jpg", "/media/ä b.jpg".encode().decode("latin-1"))
    assert read(storage, "a.jpg") == b"umlaut"


@pytest.mark.parametrize("name", ["a+b", "2024:05", "it's (1)", "ä @;&=,~$!*"])
def test_a_directory_is_known_however_the_server_quotes_it(site, storage, name):
    asked = storage.url(name).removeprefix(site.base_url)
    redirecting(
        site,
        asked,
        f"http://elsewhere.example/media/{name}/".encode().decode("latin-1"),
    )
    assert not storage.exists(name)


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:{port}\\@evil.example/a.jpg",
        "http://evil.example\\.127.0.0.1:{port}/",
        "http://evil.example#@127.0.0.1:{port}/a.jpg",
        "http:///evil.example/a.jpg",
        "http://127.0.0.1:{port}@evil.example/",
        "http://127。0。0。1:{port}/a.jpg",
        "http://127.1:{port}/a.jpg",
        "http://2130706433:{port}/a.jpg",
        "http://127.0.0.1:{port}0/a.jpg",
        "\\\\evil.example/a.jpg",
        "/\\evil.example/a.jpg",
        "https:a.jpg",
        "javascript:alert(1)",
        "data:,a",
    ],
)
def test_a_redirect_that_can_be_read_in_two_ways_leads_nowhere_else(
    site, storage, location
):
    redirecting(
        site, "a.jpg", location.format(port=site.port).encode().decode("latin-1")
    )
    try:
        found = storage.exists("a.jpg")  # a path of this site
    except OriginError as error:
        found = isinstance(error, OriginUnreachableError)  # it was tried
    assert not found


# What is sent.


def test_a_header_is_sent_once_however_it_is_written(site):
    storage = HTTPStorage(
        site.base_url,
        auth=("a", "b"),
        headers={"user-agent": "mine", "authorization": "Bearer t", "HOST": "www"},
    )
    assert storage.exists("a.jpg")
    storage._origin.close()
    (asked,) = site.requests
    for key, value in {
        "user-agent": ["mine"],
        "host": ["www"],
        "authorization": ["Basic YTpi"],
        "accept-encoding": ["identity"],
    }.items():
        assert asked.lines[key] == value


def test_a_name_that_is_no_text_is_nobodys(site, storage):
    """As ``os.listdir`` gives names of other encodings."""
    for name in ("\udcff.jpg", "%41\udcff.jpg"):
        assert not storage.exists(name)
        with pytest.raises(FileNotFoundError):
            storage.open(name)
    assert site.requests == []
