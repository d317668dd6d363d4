"""``sync`` out of a bucket: one request a file, and only where that is right."""

from __future__ import annotations

import gzip
import hashlib
import socket
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
from django.core.files.storage import FileSystemStorage
from overlay.parts import InPlace, content_of, read_only, staging_left, writable
from servers import CountingProxy

from fallback_storage.exceptions import CorruptCopyError
from fallback_storage.jobs.sync import Result, sync
from fallback_storage.storage import FallbackStorage

pytest.importorskip("storages.backends.s3")

from boto3.session import Session
from storages.backends.s3 import S3Storage

FILES = {f"d{number % 3}/{number}.bin": b"%d" % number * 1000 for number in range(12)}
ONE = {"a.bin": bytes(range(256)) * 4000}


class Meddler(CountingProxy):
    """Calls ``before`` with the key of an object that is asked for; cuts answers off.

    ``cuts``: how many of the next ones. ``heads``: of the requests for objects.
    """

    before = None
    cuts = 0

    def __init__(self, *upstream):
        super().__init__(*upstream)
        self.heads = []

    def _admits(self, method, head, client):
        path = urlsplit(head.split(b" ", 2)[1].decode()).path
        key = path.removeprefix("/media").removeprefix("/")
        if method != "GET" or not key:
            return True
        self.heads.append(head.decode())
        if self.before:
            self.before(key)
        if not self.cuts:
            return True
        self.cuts -= 1
        with socket.create_connection(self.upstream, timeout=10) as upstream:
            upstream.sendall(head)
            answer = b""
            while len(answer) < 50_000:
                answer += upstream.recv(10_000)
        client.sendall(answer)
        return False


class Own(S3Storage):
    """It opens in a way of its own."""

    def _open(self, name, mode="rb"):
        return super()._open(name, mode)


@pytest.fixture
def local(tmp_path):
    return FileSystemStorage(tmp_path / "local")


@pytest.fixture
def proxy(s3):
    with Meddler(s3.host, s3.port) as proxy:
        yield proxy


@pytest.fixture
def open_s3(s3, proxy):
    made = []

    def build(klass=S3Storage, **options):
        place = s3.storage_options(endpoint_url=proxy.endpoint_url, **options)
        made.append(klass(**place))
        return made[-1]

    yield build
    for storage in made:
        storage.connection.meta.client.close()


def put(s3, files, **headers):
    for name, data in files.items():
        s3.client.put_object(Bucket=s3.bucket, Key=name, Body=data, **headers)


def copy(local, source, **options):
    chain = FallbackStorage([writable(local), read_only(source)])
    return {step.name: step for step in sync(chain, **options)}


def results(steps):
    return {name: step.result for name, step in steps.items()}


@pytest.mark.parametrize("jobs", [1, 4, 12])
def test_one_request_a_file_and_the_listing(s3, proxy, open_s3, local, jobs):
    put(s3, FILES)
    steps = copy(local, open_s3(), jobs=jobs)
    assert results(steps) == dict.fromkeys(FILES, Result.COPIED)
    assert {name: step.size for name, step in steps.items()} == {
        name: len(data) for name, data in FILES.items()
    }
    assert (proxy.count(), proxy.count("GET")) == (len(FILES) + 1,) * 2
    for name, data in FILES.items():
        assert content_of(local, name) == data
        there = s3.client.head_object(Bucket=s3.bucket, Key=name)
        assert local.get_modified_time(name) == there["LastModified"]
        etag = hashlib.md5(data).hexdigest()
        (head,) = (head for head in proxy.heads if f"/{name} " in head)
        assert f'If-Match: "{etag}"' in head


@pytest.mark.parametrize(("jobs", "clients"), [(1, 1), (4, 1), (12, 13)])
def test_a_client_is_made_for_all_who_can_share_it(
    s3, open_s3, local, monkeypatch, jobs, clients
):
    """With the listing; it has connections for ten."""
    made, resource = [], Session.resource
    put(s3, FILES)
    source = open_s3()

    def count(session, *args, **options):
        made.append(session)
        return resource(session, *args, **options)

    monkeypatch.setattr(Session, "resource", count)
    assert results(copy(local, source, jobs=jobs)) == dict.fromkeys(
        FILES, Result.COPIED
    )
    assert min(clients, 2) <= len(made) <= clients


def test_into_a_home_that_is_written_in_place(s3, proxy, open_s3, tmp_path):
    put(s3, FILES)
    home = InPlace(tmp_path / "home")
    steps = copy(home, open_s3())
    assert results(steps) == dict.fromkeys(FILES, Result.COPIED)
    assert proxy.count() == len(FILES) + 1
    assert all(content_of(home, name) == data for name, data in FILES.items())


def test_a_class_that_opens_in_its_own_way_is_asked_to(s3, proxy, open_s3, local):
    put(s3, ONE)
    assert results(copy(local, open_s3(Own))) == {"a.bin": Result.COPIED}
    assert proxy.count("HEAD")
    assert "If-Match" not in "".join(proxy.heads)


def test_what_was_replaced_since_it_was_listed_is_listed_once_more(
    s3, proxy, open_s3, local
):
    put(s3, ONE)

    def replace(key):
        proxy.before = None
        s3.put(key, b"new")

    proxy.before = replace
    (step,) = copy(local, open_s3()).values()
    assert (step.result, step.size) == (Result.COPIED, 3)
    assert content_of(local, "a.bin") == b"new"
    # The listings, and what was refused.
    assert (proxy.count(), len(proxy.heads)) == (4, 2)


def test_what_is_replaced_again_and_again_is_a_failure(s3, proxy, open_s3, local):
    put(s3, ONE)
    proxy.before = lambda key: s3.put(key, b"%d" % len(proxy.heads))
    (step,) = copy(local, open_s3()).values()
    assert (step.result, step.backend) == (Result.FAILED, "production")
    assert type(step.error) is CorruptCopyError
    assert len(proxy.heads) == 2
    assert not local.exists("a.bin")
    assert staging_left(local.location) == []


def test_what_has_gone_is_looked_up_once(s3, proxy, open_s3, local):
    put(s3, ONE)
    proxy.before = lambda key: s3.client.delete_object(Bucket=s3.bucket, Key=key)
    assert results(copy(local, open_s3())) == {"a.bin": Result.GONE}
    assert proxy.count() == 3


@pytest.mark.parametrize("cuts", [1, 4])
def test_what_breaks_off_goes_on_from_there(s3, proxy, open_s3, local, cuts):
    put(s3, ONE)
    proxy.cuts = cuts
    assert results(copy(local, open_s3())) == {"a.bin": Result.COPIED}
    assert content_of(local, "a.bin") == ONE["a.bin"]
    assert len(proxy.heads) == cuts + 1
    starts = [int(head.split("bytes=")[1].split("-")[0]) for head in proxy.heads[1:]]
    assert starts == sorted(set(starts))
    assert starts[0] > 0


def test_what_breaks_off_each_time_is_a_failure(s3, proxy, open_s3, local):
    put(s3, ONE)
    proxy.cuts = 100
    (step,) = copy(local, open_s3()).values()
    assert (step.result, step.backend) == (Result.FAILED, "production")
    assert len(proxy.heads) == 5
    assert not local.exists("a.bin")
    assert staging_left(local.location) == []
    proxy.cuts = 0
    assert results(copy(local, open_s3())) == {"a.bin": Result.COPIED}


def test_what_is_replaced_while_it_is_sent_is_no_mixture(s3, proxy, open_s3, local):
    put(s3, ONE)
    new = b"new" * 100_000

    def replace(key):
        if len(proxy.heads) == 2:
            s3.put(key, new)

    proxy.before, proxy.cuts = replace, 1
    assert results(copy(local, open_s3())) == {"a.bin": Result.COPIED}
    assert content_of(local, "a.bin") == new


def test_what_was_uploaded_in_parts_is_as_long_as_it_says(s3, proxy, open_s3, local):
    place = {"Bucket": s3.bucket, "Key": "large.bin"}
    upload = s3.client.create_multipart_upload(**place)["UploadId"]
    parts = []
    for number, data in enumerate((b"x" * 5 * 1024 * 1024, b"yz"), start=1):
        sent = s3.client.upload_part(
            **place, UploadId=upload, PartNumber=number, Body=data
        )
        parts.append({"PartNumber": number, "ETag": sent["ETag"]})
    s3.client.complete_multipart_upload(
        **place, UploadId=upload, MultipartUpload={"Parts": parts}
    )
    assert results(copy(local, open_s3())) == {"large.bin": Result.COPIED}
    assert content_of(local, "large.bin") == b"x" * 5 * 1024 * 1024 + b"yz"
    assert "-2" in proxy.heads[0].split("If-Match")[1]
    assert proxy.count() == 2


@pytest.mark.parametrize("decodes", [False, True])
def test_what_is_stored_compressed_comes_as_it_is_stored(
    s3, proxy, open_s3, local, decodes
):
    text = b"a text that can be compressed " * 5000
    packed = {"a.css": gzip.compress(text), "a.tar.gz": gzip.compress(text)}
    put(s3, packed, ContentEncoding="gzip", ContentType="text/css")
    steps = copy(local, open_s3(gzip=decodes))
    assert results(steps) == dict.fromkeys(packed, Result.COPIED)
    assert content_of(local, "a.css") == text
    assert content_of(local, "a.tar.gz") == packed["a.tar.gz"]
    assert proxy.count() == 3
    assert {step.size for step in steps.values()} == {len(packed["a.css"])}


def test_from_bucket_to_bucket_headers_are_kept(s3, proxy, open_s3):
    """Of another server, say: what was sent tells of them."""
    expires = datetime(2030, 1, 2, tzinfo=UTC)
    headers = {"ContentType": "image/webp", "Metadata": {"owner": "42"}}
    put(s3, {"old/a": b"a"}, **headers, Expires=expires)
    home = S3Storage(**s3.storage_options(location="new"))
    assert results(copy(home, open_s3(location="old"))) == {"a": Result.COPIED}
    found = s3.client.get_object(Bucket=s3.bucket, Key="new/a")
    assert {key: found[key] for key in headers} == headers
    assert found["Expires"] == expires
    assert proxy.count() == 2
    home.connection.meta.client.close()


def test_a_dry_run_asks_for_the_listing_alone(s3, proxy, open_s3, local):
    put(s3, FILES)
    steps = copy(local, open_s3(), dry_run=True)
    assert results(steps) == dict.fromkeys(FILES, Result.COPIED)
    assert proxy.count() == 1


def test_a_source_that_may_be_written_to_is_asked_whether_it_was(
    s3, proxy, open_s3, local
):
    """A delete through it may be under way, which a copy must not undo."""
    put(s3, ONE)
    chain = FallbackStorage([writable(local), writable(open_s3(), "other")])
    assert {step.result for step in sync(chain)} == {Result.COPIED}
    assert proxy.count("HEAD") == 1
