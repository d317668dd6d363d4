"""What a bucket keeps of an object beside its content: copies keep it, or undo it."""

from __future__ import annotations

import gzip
import logging
from datetime import UTC, datetime

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from overlay.parts import InPlace, content_of, entry, read_only, writable

from fallback_storage.exceptions import EncodedFileError
from fallback_storage.jobs.sync import Result, sync
from fallback_storage.storage import FallbackStorage

pytest.importorskip("storages.backends.s3")

from storages.backends.s3 import S3Storage

TEXT = b"a { color: red } " * 100
PACKED = gzip.compress(TEXT)
HEADERS = {
    "ContentType": "image/webp",
    "ContentLanguage": "de",
    "ContentDisposition": 'attachment; filename="me.webp"',
    "CacheControl": "max-age=31536000, immutable",
    "Metadata": {"owner": "42"},
    "Expires": datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC),
}
CSS = {"ContentType": "text/css", "ContentEncoding": "gzip"}
OBJECTS = {
    "avatars/42": (b"no extension", HEADERS),
    "app.css": (PACKED, {**CSS, "CacheControl": "no-cache"}),
    "small.css": (gzip.compress(b"a"), CSS),  # larger than what it is read as
    "dump.tar.gz": (PACKED, {"ContentType": "application/x-tar", **CSS}),
    "utf8.txt": (b"text", {"ContentEncoding": "utf-8"}),
    "app.br": (b"\x0b\x02\x80br\x03", {"ContentEncoding": "br"}),
    "chunked": (b"plain", {"ContentEncoding": "aws-chunked"}),
}
PLAIN = {"app.css": TEXT, "small.css": b"a"}
BROTLI = {"app.js": (b"\x0b\x02\x80br\x03", {"ContentEncoding": "br"})}
ODD = {"odd.css": (b"not compressed at all", CSS), "torn.css": (PACKED[:-20], CSS)}


class Loud(S3Storage):
    """It decides for itself how files are saved."""

    def _save(self, name, content):
        return super()._save(name, content)


class Dated(S3Storage):
    """Settings by name, as many projects have them."""

    def get_object_parameters(self, name):
        return {"CacheControl": "max-age=60", "ContentLanguage": "en"}


@pytest.fixture
def put(s3):
    def put(objects):
        for name, (data, headers) in objects.items():
            s3.client.put_object(
                Bucket=s3.bucket, Key=f"old/{name}", Body=data, **headers
            )

    return put


@pytest.fixture
def open_s3(s3):
    made = []

    def build(klass=S3Storage, location="old", **overrides):
        made.append(klass(**s3.storage_options(location=location, **overrides)))
        return made[-1]

    yield build
    for storage in made:
        storage.connection.meta.client.close()


@pytest.fixture
def head(s3):
    """A function: the body and the headers of an object."""

    def head(key):
        found = s3.client.get_object(Bucket=s3.bucket, Key=key)
        with found["Body"] as body:
            names = (*HEADERS, "ContentEncoding")
            return body.read(), {name: found[name] for name in names if found.get(name)}

    return head


def found(steps):
    return {step.name: step.result for step in steps}


def is_there(chain, names):
    """A later run finds everything, by what listings show and by what is read."""
    for verify in (False, True):
        assert found(sync(chain, verify=verify)) == dict.fromkeys(names, Result.PRESENT)


@pytest.mark.parametrize("how", ["sync", "promotion"])
def test_from_bucket_to_bucket_all_is_kept(put, open_s3, head, how):
    put({**OBJECTS, **BROTLI, **ODD})
    names = {**OBJECTS, **BROTLI, **ODD}
    home, old = open_s3(location="new"), open_s3()
    chain = FallbackStorage([writable(home), read_only(old)], promote=True)
    if how == "sync":
        assert found(sync(chain)) == dict.fromkeys(names, Result.COPIED)
    else:
        for name in names:
            chain.open(name).close()
    for name in names:
        assert head(f"new/{name}") == head(f"old/{name}")
    is_there(chain, names)


def test_settings_of_the_target_hold_where_the_file_says_nothing(put, open_s3, head):
    put(OBJECTS)
    home = open_s3(Dated, "new", object_parameters={"StorageClass": "STANDARD"})
    chain = FallbackStorage([writable(home), read_only(open_s3())])
    list(sync(chain))
    _, headers = head("new/avatars/42")
    assert headers == HEADERS
    _, headers = head("new/small.css")
    assert headers == {**CSS, "CacheControl": "max-age=60", "ContentLanguage": "en"}
    # And for other files as before.
    chain.save("b.css", ContentFile(TEXT))
    assert head("new/b.css")[1]["CacheControl"] == "max-age=60"


@pytest.mark.parametrize("klass", [FileSystemStorage, InPlace])
@pytest.mark.parametrize("how", ["sync", "promotion"])
def test_in_a_directory_it_is_decoded(put, open_s3, tmp_path, klass, how):
    """A web server would send the compressed bytes, and say nothing."""
    put(OBJECTS)
    home = klass(tmp_path / "home")
    chain = FallbackStorage([writable(home), read_only(open_s3())], promote=True)
    if how == "sync":
        assert found(sync(chain)) == dict.fromkeys(OBJECTS, Result.COPIED)
    for name, (data, _) in OBJECTS.items():
        assert content_of(chain, name) == PLAIN.get(name, data)
        assert content_of(home, name) == PLAIN.get(name, data)
    is_there(chain, OBJECTS)
    with home.open("app.css", "r+b") as file:
        file.write(b"X")
    assert found(sync(chain, verify=True))["app.css"] is Result.DIFFERENT


@pytest.mark.parametrize("klass", [FileSystemStorage, InPlace])
def test_what_cannot_be_decoded_is_not_copied(put, open_s3, tmp_path, klass, caplog):
    put({**BROTLI, **ODD})
    home = klass(tmp_path / "home")
    chain = FallbackStorage([writable(home), read_only(open_s3())], promote=True)
    steps = list(sync(chain))
    assert {(step.name, type(step.error)) for step in steps} == {
        (name, EncodedFileError) for name in (*BROTLI, *ODD)
    }
    with caplog.at_level(logging.DEBUG, "fallback_storage"):
        for name, (data, _) in {**BROTLI, **ODD}.items():
            assert content_of(chain, name) == data
            assert not home.exists(name)
    assert caplog.text.count("EncodedFileError") == 3


def test_who_saves_in_a_way_of_its_own_gets_the_type(put, open_s3, head):
    """It is not known what becomes of a coding there."""
    put({**OBJECTS, **BROTLI})
    home = open_s3(Loud, "new")
    chain = FallbackStorage([writable(home), read_only(open_s3())])
    results = found(sync(chain))
    assert results.pop("app.js") is Result.FAILED
    assert results == dict.fromkeys(OBJECTS, Result.COPIED)
    assert head("new/avatars/42") == (b"no extension", {"ContentType": "image/webp"})
    assert head("new/app.css") == (TEXT, {"ContentType": "text/css"})
    assert head("new/dump.tar.gz")[0] == PACKED
    assert head("new/dump.tar.gz")[1]["ContentEncoding"] == "gzip"


@pytest.mark.parametrize("home_packs", [False, True])
def test_what_is_decoded_when_it_is_read_is_copied_as_it_is_stored(
    put, open_s3, head, tmp_path, home_packs
):
    """Else a compressed archive would not be what its name says."""
    put(OBJECTS)
    home, old = open_s3(location="new", gzip=home_packs), open_s3(gzip=True)
    chain = FallbackStorage([writable(home), entry(old, "old", READ_ONLY=True)])
    assert found(sync(chain)) == dict.fromkeys(OBJECTS, Result.COPIED)
    for name in OBJECTS:
        assert head(f"new/{name}") == head(f"old/{name}")
    is_there(chain, OBJECTS)
    local = FileSystemStorage(tmp_path / "home")
    chain = FallbackStorage([writable(local), entry(old, "old", READ_ONLY=True)])
    assert found(sync(chain)) == dict.fromkeys(OBJECTS, Result.COPIED)
    for name, (data, _) in OBJECTS.items():
        assert content_of(local, name) == PLAIN.get(name, data)
    is_there(chain, OBJECTS)
