"""``sync`` from, and to, a real S3 server."""

from __future__ import annotations

import gc
import gzip
import hashlib

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from overlay.parts import content_of, entry, read_only, staging_left, writable

from fallback_storage.exceptions import CorruptCopyError
from fallback_storage.jobs.sync import Result, sync
from fallback_storage.storage import FallbackStorage

pytest.importorskip("storages.backends.s3")

from storages.backends.s3 import S3Storage

FILES = {
    f"d{number % 3}/ünïcödé {number} + %.bin": b"%d" % number * 1000
    for number in range(20)
}


class FlippingDown(S3Storage):
    """A line, or a cache on the way, that changes a bit of what is sent."""

    def _open(self, name, mode="rb"):
        with super()._open(name, mode) as file:
            return _flipped(file)


class FlippingUp(S3Storage):
    """A library that changes a bit before it counts."""

    def _save(self, name, content):
        return super()._save(name, _flipped(content))


def _flipped(file):
    data = file.read()
    return ContentFile(bytes([data[0] ^ 1]) + data[1:])


@pytest.fixture
def local(tmp_path):
    return FileSystemStorage(tmp_path / "local")


@pytest.fixture
def open_s3(s3, s3_proxy):
    def build(klass=S3Storage, **overrides):
        return klass(
            **s3.storage_options(endpoint_url=s3_proxy.endpoint_url, **overrides)
        )

    return build


@pytest.fixture
def bucket(s3):
    for name, data in FILES.items():
        s3.put(name, data)
    return s3


def found(steps):
    return {step.name: step.result for step in steps}


def read(storage):
    return {name: content_of(storage, name) for name in FILES if storage.exists(name)}


def test_a_bucket_comes_home(bucket, local, open_s3, s3_proxy):
    """The second run costs one request: the listing."""
    before = bucket.digest()
    chain = FallbackStorage([writable(local), read_only(open_s3())])
    assert found(sync(chain)) == dict.fromkeys(FILES, Result.COPIED)
    assert read(local) == FILES
    assert bucket.digest() == before
    s3_proxy.clear()
    assert found(sync(chain)) == dict.fromkeys(FILES, Result.PRESENT)
    assert s3_proxy.count() == 1
    assert found(sync(chain, verify=True)) == dict.fromkeys(FILES, Result.PRESENT)
    # And what it compares by is right there in the listing.
    assert s3_proxy.count() == 2


def test_a_corrupted_copy_is_never_seen(bucket, local, open_s3):
    """Its size is right; the MD5 of the listing is not that of what has come."""
    chain = FallbackStorage([writable(local), read_only(open_s3(FlippingDown))])
    steps = list(sync(chain, jobs=3))
    assert {step.name for step in steps} == set(FILES)
    assert {(step.result, step.backend, type(step.error)) for step in steps} == {
        (Result.FAILED, "production", CorruptCopyError)
    }
    assert read(local) == {}
    assert staging_left(local.location) == []
    healed = FallbackStorage([writable(local), read_only(open_s3())])
    assert found(sync(healed)) == dict.fromkeys(FILES, Result.COPIED)
    assert read(local) == FILES


def test_a_corrupted_copy_that_is_there_is_told(bucket, local, open_s3):
    """A disk that forgets bits keeps the size."""
    chain = FallbackStorage([writable(local), read_only(open_s3())])
    list(sync(chain))
    name = next(iter(FILES))
    with local.open(name, "r+b") as file:
        file.write(b"X")
    assert set(found(sync(chain)).values()) == {Result.PRESENT}
    expected = {**dict.fromkeys(FILES, Result.PRESENT), name: Result.DIFFERENT}
    assert found(sync(chain, verify=True)) == expected


# django-storages leaves the compressed form open, for the garbage collector.
leaves_open = pytest.mark.filterwarnings(
    "ignore:.*SpooledTemporaryFile:pytest.PytestUnraisableExceptionWarning"
)


@leaves_open
def test_what_is_stored_compressed_is_compared_as_it_is_read(s3, local, open_s3):
    """Its listed size and MD5 are those of the compressed form."""
    text = b"a text that can be compressed " * 100
    s3.client.put_object(
        Bucket=s3.bucket,
        Key="a.css",
        Body=gzip.compress(text),
        ContentEncoding="gzip",
        ContentType="text/css",
    )
    for decodes in (True, False):
        lower = open_s3(gzip=decodes)
        chain = FallbackStorage([writable(local), read_only(lower)])
        assert found(sync(chain)) == {"a.css": Result.COPIED}
        assert content_of(local, "a.css") == text
        for verify in (False, True):
            assert found(sync(chain, verify=verify)) == {"a.css": Result.PRESENT}
        with local.open("a.css", "r+b") as file:
            file.write(b"X")
        assert found(sync(chain, verify=True)) == {"a.css": Result.DIFFERENT}
        local.delete("a.css")
    gc.collect()


@pytest.fixture
def old(tmp_path):
    """The directory that a site moves away from."""
    storage = FileSystemStorage(tmp_path / "old")
    for name, data in FILES.items():
        storage._save(name, ContentFile(data))
    return storage


@pytest.mark.parametrize("gzipped", [False, True])
def test_a_directory_moves_to_a_bucket(s3, old, open_s3, s3_proxy, gzipped):
    """One look at each copy's MD5 in the bucket, none of it is read back."""
    home = open_s3(gzip=gzipped)
    chain = FallbackStorage([writable(home), read_only(old, "old")])
    assert found(sync(chain)) == dict.fromkeys(FILES, Result.COPIED)
    assert sorted(s3.keys()) == sorted(FILES)
    assert all(s3.get(name) == data for name, data in FILES.items())
    assert s3_proxy.count("PUT") == len(FILES)
    assert s3_proxy.count("GET") == len(FILES)
    assert found(sync(chain, verify=True)) == dict.fromkeys(FILES, Result.PRESENT)
    (old_name, *_) = FILES
    s3.put(old_name, b"X" + FILES[old_name][1:])
    assert found(sync(chain))[old_name] is Result.PRESENT
    assert found(sync(chain, verify=True))[old_name] is Result.DIFFERENT


def test_what_arrives_corrupted_in_a_bucket_is_removed(s3, old, open_s3):
    home = open_s3(FlippingUp)
    chain = FallbackStorage([writable(home), read_only(old, "old")])
    steps = list(sync(chain))
    assert {(step.backend, type(step.error)) for step in steps} == {
        ("home", CorruptCopyError)
    }
    assert s3.keys() == []


@leaves_open
def test_what_a_bucket_compresses_is_confirmed_by_reading_it(s3, tmp_path, open_s3):
    lower = FileSystemStorage(tmp_path / "old")
    lower._save("a.css", ContentFile(b"a text that can be compressed " * 100))
    chain = FallbackStorage([writable(open_s3(gzip=True)), read_only(lower)])
    assert found(sync(chain)) == {"a.css": Result.COPIED}
    assert len(s3.get("a.css")) < 1000
    assert found(sync(chain, verify=True)) == {"a.css": Result.PRESENT}
    gc.collect()


def test_a_large_file_has_no_md5_in_the_listing(s3, tmp_path, open_s3):
    """Uploaded in parts: its size counts, and what the server checked of each part."""
    data = hashlib.sha256(b"x").digest() * 400_000
    lower = FileSystemStorage(tmp_path / "old")
    lower._save("large.bin", ContentFile(data))
    chain = FallbackStorage([writable(open_s3()), read_only(lower)])
    assert found(sync(chain)) == {"large.bin": Result.COPIED}
    assert s3.get("large.bin") == data
    local = FileSystemStorage(tmp_path / "local")
    back = FallbackStorage([writable(local), read_only(open_s3())])
    assert found(sync(back)) == {"large.bin": Result.COPIED}
    with local.open("large.bin") as file:
        assert file.read() == data


def test_an_unreachable_bucket(bucket, local, open_s3, s3_proxy):
    s3_proxy.outage = True
    lower = entry(open_s3(), "production", READ_ONLY=True)
    (step,) = sync(FallbackStorage([writable(local), lower]))
    assert (step.name, step.backend, step.final) == ("", "production", True)
    assert type(step.error).__module__.startswith("botocore")


@leaves_open
def test_a_small_file_is_larger_compressed(open_s3, local):
    """The size that S3 tells is then more than what is read: no sign of a torn copy."""
    production = open_s3(gzip=True)
    production.save("css/a.css", ContentFile(b"a{}"))
    production.save("css/b.css", ContentFile(b"b{}"))
    chain = FallbackStorage([writable(local), read_only(production)], promote=True)
    assert content_of(chain, "css/a.css") == b"a{}"
    assert content_of(local, "css/a.css") == b"a{}"
    with chain.open("css/a.css", "ab") as file:
        file.write(b"c{}")
    assert content_of(local, "css/a.css") == b"a{}c{}"
    steps = {step.name: step.result for step in sync(chain)}
    assert steps["css/b.css"] is Result.COPIED
    assert content_of(local, "css/b.css") == b"b{}"
    gc.collect()
