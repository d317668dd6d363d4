"""``sync`` from bucket to bucket of one server: the server makes the copies."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime

import pytest
from overlay.parts import read_only, writable

from fallback_storage.jobs.sync import Result, sync
from fallback_storage.storage import FallbackStorage

pytest.importorskip("storages.backends.s3")

from storages.backends.s3 import S3Storage

HEADERS = {
    "ContentType": "image/webp",
    "ContentLanguage": "de",
    "ContentDisposition": 'attachment; filename="me.webp"',
    "CacheControl": "max-age=31536000, immutable",
    "Metadata": {"owner": "42"},
    "Expires": datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC),
}
FILES = {f"d{number % 2}/ü {number} +.bin": b"%d" % number * 999 for number in range(6)}


class Own(S3Storage):
    def _save(self, name, content):
        return super()._save(name, content)


@pytest.fixture
def open_s3(s3, s3_proxy):
    made = []

    def build(location, klass=S3Storage, **options):
        place = {"endpoint_url": s3_proxy.endpoint_url, "location": location}
        made.append(klass(**s3.storage_options(**place, **options)))
        return made[-1]

    yield build
    for storage in made:
        storage.connection.meta.client.close()


def put(s3, files, **headers):
    for name, data in files.items():
        key = f"old/{name}"
        s3.client.put_object(Bucket=s3.bucket, Key=key, Body=data, **headers)


def copy(home, source, **options):
    steps = sync(FallbackStorage([writable(home), read_only(source)]), **options)
    return {step.name: step.result for step in steps}


def downloads(proxy):
    return [
        path for method, path in proxy.requests if method == "GET" and "/old/" in path
    ]


def test_the_server_makes_the_copies(s3, s3_proxy, open_s3):
    put(s3, FILES, **HEADERS)
    home, source = open_s3("new"), open_s3("old")
    assert copy(home, source) == dict.fromkeys(FILES, Result.COPIED)
    assert downloads(s3_proxy) == []
    assert s3_proxy.count("PUT") == len(FILES)
    # The listing; nothing is looked at again.
    assert s3_proxy.count("GET") == 1
    for name, data in FILES.items():
        with (found := s3.client.get_object(Bucket=s3.bucket, Key=f"new/{name}"))[
            "Body"
        ] as body:
            assert body.read() == data
        assert {key: found[key] for key in HEADERS} == HEADERS
    assert copy(home, source, verify=True) == dict.fromkeys(FILES, Result.PRESENT)
    assert copy(home, source, repair=True) == dict.fromkeys(FILES, Result.PRESENT)


def test_settings_of_the_home_hold_where_the_file_says_nothing(s3, s3_proxy, open_s3):
    put(s3, {"a.css": gzip.compress(b"a")}, ContentEncoding="gzip")
    ours = {"CacheControl": "max-age=60", "ContentLanguage": "en"}
    home = open_s3("new", object_parameters=ours)
    assert copy(home, open_s3("old")) == {"a.css": Result.COPIED}
    assert downloads(s3_proxy) == []
    found = s3.client.head_object(Bucket=s3.bucket, Key="new/a.css")
    assert {key: found[key] for key in ours} == ours
    assert found["ContentEncoding"] == "gzip"


@pytest.mark.parametrize(
    ("options", "old_options"),
    [
        ({"gzip": True}, {}),
        ({"klass": Own}, {}),
        ({}, {"klass": Own}),
        ({"region_name": "eu-central-1"}, {}),
        ({}, {"object_parameters": {"RequestPayer": "requester"}}),
    ],
)
def test_where_that_might_not_be_the_same_the_content_comes_here(
    s3, s3_proxy, open_s3, options, old_options
):
    put(s3, {"a": b"a"})
    home, source = open_s3("new", **options), open_s3("old", **old_options)
    assert copy(home, source) == {"a": Result.COPIED}
    assert len(downloads(s3_proxy)) == 1
    assert s3.get("new/a") == b"a"


def refusing(proxy, monkeypatch, status, code="", of=b""):
    """Let the server refuse to copy what has ``of`` in its name; return its refusals."""
    refused = []
    body = f"<Error><Code>{code}</Code></Error>" if code else ""
    answer = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}"

    def admits(method, head, client):
        copies = method == "PUT" and b"x-amz-copy-source" in head.lower()
        if not copies or of not in head.split(b" ", 2)[1]:
            return True
        refused.append(head)
        client.sendall(answer.encode())
        return False

    monkeypatch.setattr(proxy, "_admits", admits)
    return refused


@pytest.mark.parametrize(
    ("status", "code", "asked"),
    [
        ("501 Not Implemented", "", 1),
        ("405 Method Not Allowed", "MethodNotAllowed", 1),
        ("403 Forbidden", "AccessDenied", 1),
        ("403 Forbidden", "InvalidObjectState", len(FILES)),
        ("400 Bad Request", "InvalidRequest", len(FILES)),
    ],
)
def test_a_server_that_lets_nobody_copy_is_not_asked_again(
    s3, s3_proxy, open_s3, monkeypatch, status, code, asked
):
    """One that refuses a file is asked for the others; and for none of them twice."""
    put(s3, FILES)
    refused = refusing(s3_proxy, monkeypatch, status, code)
    found = copy(open_s3("new"), open_s3("old"), jobs=1)
    assert found == dict.fromkeys(FILES, Result.COPIED)
    assert len(refused) == asked
    assert len(downloads(s3_proxy)) == len(FILES)
    assert all(s3.get(f"new/{name}") == data for name, data in FILES.items())


def test_a_file_that_is_refused_is_read_and_the_others_are_not(
    s3, s3_proxy, open_s3, monkeypatch
):
    put(s3, FILES)
    code = "400 Bad Request", "InvalidRequest"
    refused = refusing(s3_proxy, monkeypatch, *code, of=b"/d0/")
    found = copy(open_s3("new"), open_s3("old"), jobs=1)
    assert found == dict.fromkeys(FILES, Result.COPIED)
    assert len(refused) == len(downloads(s3_proxy)) == 3
    assert all(s3.get(f"new/{name}") == data for name, data in FILES.items())


def test_what_is_replaced_meanwhile_is_copied_as_it_is_now(
    s3, s3_proxy, open_s3, monkeypatch
):
    put(s3, {"a": b"old"})
    copies = []

    def admits(method, head, client):
        if method == "PUT" and b"x-amz-copy-source" in head.lower():
            copies.append(head)
            if len(copies) == 1:
                s3.put("old/a", b"new")
        return True

    monkeypatch.setattr(s3_proxy, "_admits", admits)
    assert copy(open_s3("new"), open_s3("old")) == {"a": Result.COPIED}
    assert len(copies) == 2
    assert s3.get("new/a") == b"new"
