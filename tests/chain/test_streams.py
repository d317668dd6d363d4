"""What is asked of the clients that stream; over their servers: tests/real/test_streams.py."""

from __future__ import annotations

import io
import sys
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from fallback_storage.chain import streams
from fallback_storage.chain.outcomes import http_status

CONTENT = bytes(range(256)) * 40_000
MODIFIED = "LastModified"


class Client:
    """One object, for each of the three ways of asking."""

    etag, encoding, closed = '"1"', None, 0

    def head_object(self, **place):
        assert place == {"Bucket": "b", "Key": "p/a"}
        head = {"ContentLength": len(CONTENT), "LastModified": 1, "ETag": self.etag}
        return head | ({"ContentEncoding": self.encoding} if self.encoding else {})

    def get_object(self, **place):
        assert place.pop("IfMatch") == self.etag
        first, _, last = place.pop("Range").removeprefix("bytes=").partition("-")
        part = CONTENT[int(first) : int(last) + 1]

        def chunks(size):
            return (part[at : at + size] for at in range(0, len(part), size))

        body = SimpleNamespace(iter_chunks=chunks, close=self.close)
        return {"Body": body}

    def close(self):
        self.closed += 1

    # Google
    content_encoding, size, updated, generation = None, len(CONTENT), 1, 7

    def get_blob(self, name):
        return None if name == "p/gone" else self

    def download_as_bytes(self, *, start, end, raw_download, if_generation_match):
        assert (raw_download, if_generation_match) == (True, self.generation)
        return CONTENT[start : end + 1]

    # Azure
    def get_blob_client(self, path):
        assert path == "p/a"
        return self

    def get_blob_properties(self, timeout):
        settings = SimpleNamespace(content_encoding=self.encoding)
        return SimpleNamespace(
            size=len(CONTENT),
            last_modified=1,
            etag=self.etag,
            content_settings=settings,
        )

    def download_blob(self, *, offset, length, etag, match_condition, timeout):
        assert (etag, match_condition) == (self.etag, "unchanged")
        part = CONTENT[offset : offset + length]
        return SimpleNamespace(chunks=lambda: iter([part[:10], part[10:]]))


@pytest.fixture
def client(monkeypatch):
    azure = SimpleNamespace(MatchConditions=SimpleNamespace(IfNotModified="unchanged"))
    monkeypatch.setitem(sys.modules, "azure.core", azure)
    return Client()


@pytest.fixture
def storage(client):
    meta = SimpleNamespace(client=client)
    client.meta = SimpleNamespace(events=SimpleNamespace(register=lambda *_: None))
    return SimpleNamespace(
        bucket=client,
        bucket_name="b",
        client=client,
        connection=SimpleNamespace(meta=SimpleNamespace(client=meta.client)),
        get_object_parameters=lambda name: {},
        timeout=5,
        _get_valid_path=lambda name: f"p/{name}",
        _normalize_name=lambda name: f"p/{name}",
    )


ALL = [streams.from_s3storage, streams.from_google, streams.from_azure]


@pytest.mark.parametrize("stream", ALL)
def test_whole_and_in_parts(storage, stream):
    found = stream(storage, "a")
    assert (found.size, found.modified) == (len(CONTENT), 1)
    assert found.etag.startswith('"')
    for start, stop in ((0, len(CONTENT)), (5, 6), (100, 5_000_000), (7, 7)):
        assert b"".join(found.read(start, stop)) == CONTENT[start:stop]


def test_what_was_not_read_to_its_end_is_closed(storage, client):
    parts = streams.from_s3storage(storage, "a").read(0, len(CONTENT))
    next(parts)
    parts.close()
    assert client.closed == 1


@pytest.mark.parametrize("stream", ALL)
def test_what_is_stored_encoded_is_to_be_opened(storage, client, stream):
    client.encoding = client.content_encoding = "gzip"
    with pytest.raises(NotImplementedError):
        stream(storage, "a")


def test_a_blob_that_is_not_there(storage):
    with pytest.raises(FileNotFoundError):
        streams.from_google(storage, "gone")


# One request for all of a file


class Cut:
    """A body that breaks off after so many bytes."""

    def __init__(self, data, after, error=None):
        self.file, self.after, self.error = io.BytesIO(data), after, error
        self.closed = False

    def read(self, size=None):
        left = self.after - self.file.tell()
        if self.error and left <= 0:
            raise self.error
        return self.file.read(min(size, left) if self.error else size)

    def close(self):
        self.closed = True


class Sender:
    """boto3's ``get_object`` of one object; each answer breaks off after ``after`` bytes."""

    def __init__(self, after=None, error=None, **told):
        self.after, self.error, self.told = after, error, told
        self.asked, self.bodies, self.ranges = [], [], True

    def __call__(self, **wanted):
        self.asked.append(wanted)
        start = int(wanted.get("Range", "bytes=0-")[6:-1])
        told = {"ContentLength": len(CONTENT) - start, "ETag": '"1"', **self.told}
        if start and self.ranges:
            told["ContentRange"] = f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
        self.bodies.append(Cut(CONTENT[start:], self.after, self.error))
        return {**told, "Body": self.bodies[-1]}


def test_what_breaks_off_is_asked_for_from_there_as_it_was():
    sender = Sender(len(CONTENT) // 3, ConnectionError())
    arriving = streams.Arriving(sender, "a", "listed")
    assert (arriving.size, arriving.etag) == (len(CONTENT), "1")
    assert arriving.read() == CONTENT
    starts = [len(CONTENT) // 3 * n for n in (1, 2, 3)]
    assert sender.asked == [
        {"IfMatch": '"listed"'},
        *({"Range": f"bytes={start}-", "IfMatch": '"1"'} for start in starts),
    ]
    arriving.close()
    assert all(body.closed for body in sender.bodies)


def test_what_was_replaced_is_no_mixture_where_the_server_forgets_to_look():
    """Of several servers If-Match gets what is there by then."""
    botocore = pytest.importorskip("botocore.exceptions")
    sender = Sender(1000, ConnectionError())
    arriving = streams.Arriving(sender, "a", "")
    assert len(arriving.read(1000)) == 1000
    sender.told = {"ETag": 'W/"1"'}  # the same
    assert len(arriving.read(500)) == 500
    sender.told = {"ETag": '"2"'}
    arriving.read(500)
    with pytest.raises(botocore.ClientError, match="PreconditionFailed") as caught:
        arriving.read()
    assert http_status(caught.value) == 412
    assert all(body.closed for body in sender.bodies)


def test_nor_is_a_part_of_it(storage, client, monkeypatch):
    botocore = pytest.importorskip("botocore.exceptions")
    streamed = streams.from_s3storage(storage, "a")
    get = client.get_object
    monkeypatch.setattr(client, "get_object", lambda **p: get(**p) | {"ETag": '"1"'})
    assert b"".join(streamed.read(0, 10)) == CONTENT[:10]
    monkeypatch.setattr(client, "get_object", lambda **p: get(**p) | {"ETag": '"2"'})
    closed = client.closed
    with pytest.raises(botocore.ClientError, match="PreconditionFailed"):
        next(streamed.read(0, 10))
    assert client.closed == closed + 1


@pytest.mark.parametrize(
    ("change", "requests"),
    [
        ({}, 5),
        ({"error": ValueError("not the line's fault")}, 1),
        ({"told": {"ETag": ""}}, 1),  # it might be another file
        ({"ranges": False}, 2),
    ],
)
def test_what_cannot_go_on_raises_what_broke_it_off(change, requests):
    sender = Sender(1000, ConnectionError())
    vars(sender).update(change)
    arriving = streams.Arriving(sender, "a", "")
    with pytest.raises(type(sender.error)) as caught:
        arriving.read()
    assert caught.value is sender.error
    assert len(sender.asked) == requests
    assert sender.asked[0] == {}


@pytest.mark.parametrize(
    ("told", "as_stored"),
    [
        ({}, True),
        ({"ServerSideEncryption": "AES256"}, True),
        ({"ServerSideEncryption": "aws:kms"}, False),
        ({"ServerSideEncryption": "aws:kms:dsse"}, False),
        ({"SSECustomerAlgorithm": "AES256"}, False),
    ],
)
def test_an_etag_under_other_keys_is_no_md5(told, as_stored):
    """Its length counts."""
    arriving = streams.Arriving(Sender(**told), "a", "")
    assert (arriving.form.as_stored, arriving.form.has_size) == (as_stored, True)


def test_what_is_sent_tells_how_it_is_stored():
    told = {"ContentEncoding": "gzip", "Metadata": {"a": "b"}, "LastModified": 7}
    form = streams.Arriving(Sender(**told), "a.css", "").form
    assert (form.name, form.coding, form.modified) == ("a.css", "gzip", 7)
    assert form.headers == {"content_encoding": "gzip", "metadata": {"a": "b"}}


def test_keys_of_the_customers_are_sent(storage, client):
    """And whatever else of the object's parameters a GET takes."""
    key = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k"}
    sender = client.get_object = Sender()
    storage.get_object_parameters = lambda name: key if name == "a" else {}
    streams.get_from_s3storage(storage, storage.connection, "a", "1")
    place = {"Bucket": "b", "Key": "p/a"}
    assert sender.asked == [{**key, **place, "IfMatch": '"1"'}]


# Dates


@pytest.fixture
def boto3_client():
    """A client that is answered by nobody: ``told`` are the headers that it gets."""
    boto3 = pytest.importorskip("boto3")
    awsrequest = pytest.importorskip("botocore.awsrequest")
    from urllib3 import HTTPResponse

    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
    place = {"endpoint_url": "http://127.0.0.1:9", "region_name": "us-east-1"}
    client = boto3.client("s3", **keys, **place)
    client.told = {"Content-Length": "4", "ETag": '"1"'}

    def answer(request, **kwargs):
        raw = HTTPResponse(io.BytesIO(b"data"), preload_content=False)
        return awsrequest.AWSResponse(request.url, 200, dict(client.told), raw)

    client.meta.events.register("before-send.s3.GetObject", answer)
    yield client
    client.close()


def sent_to(client, storage):
    lent = SimpleNamespace(meta=SimpleNamespace(client=client))
    return streams.get_from_s3storage(storage, lent, "a", "")


@pytest.mark.parametrize(
    "written",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Thu, 29 Feb 2024 23:59:59 GMT",
        "Fri, 01 Jan 1971 00:00:00 GMT",
        "Mon, 31 Dec 9999 23:59:60 GMT",
        "Sun, 06 Nov 1994 08:49:37 +0200",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "1994-11-06T08:49:37.000Z",
        "Sun, 99 Nov 1994 08:49:37 GMT",
        "Sun, 06 Foo 1994 08:49:37 GMT",
        None,
    ],
)
def test_a_date_is_what_boto3_takes_it_for(storage, boto3_client, written):
    """Whatever is no date of HTTP it parses itself."""
    boto3_client.told |= {"Last-Modified": written} if written else {}

    def told(ask):
        try:
            return ask()
        except Exception as error:
            return type(error)

    wanted = told(lambda: boto3_client.get_object(Bucket="b", Key="a").get(MODIFIED))
    assert told(lambda: sent_to(boto3_client, storage).form.modified) == wanted
    assert told(lambda: sent_to(boto3_client, storage).form.modified) == wanted


def test_a_date_is_parsed_sooner(storage, boto3_client, monkeypatch):
    """But for others, who ask with the same client: they are told what was sent."""
    boto3_client.told["Last-Modified"] = "Sun, 06 Nov 1994 08:49:37 GMT"
    parser = pytest.importorskip("dateutil.parser")
    with monkeypatch.context() as patch:
        patch.setattr(parser, "parse", pytest.fail)
        arriving = sent_to(boto3_client, storage)
        assert arriving.read() == b"data"
        assert arriving.form.modified == datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)
    found = boto3_client.get_object(Bucket="b", Key="a")
    assert found[MODIFIED] == arriving.form.modified
    headers = found["ResponseMetadata"]["HTTPHeaders"]
    assert headers["last-modified"] == boto3_client.told["Last-Modified"]


def test_of_a_client_that_takes_no_answers_boto3_parses_all(storage, boto3_client):
    """Of an older botocore, which tells of an answer and takes none."""
    answer = {"headers": {"Last-Modified": "Sun, 06 Nov 1994 08:49:37 GMT"}}
    streams._thread.asks = True
    try:
        streams._parse_date(response_dict=answer)
    finally:
        streams._thread.asks = False
    assert "Last-Modified" in answer["headers"]
