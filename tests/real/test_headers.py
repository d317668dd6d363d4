"""What storages keep of a file beside its content, and what their clients decode."""

from __future__ import annotations

import gzip
import io
from datetime import UTC, datetime

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from overlay.parts import content_of, read_only, writable
from real.recipes import RECIPES, make_bucket

from fallback_storage.chain.headers import form_of
from fallback_storage.chain.kept import _spelled
from fallback_storage.jobs.sync import Result, sync
from fallback_storage.storage import FallbackStorage

TEXT = b"a { color: red } " * 100
PACKED = gzip.compress(TEXT)
HEADERS = {
    "content_type": "text/css",
    "content_language": "de",
    "content_disposition": "inline",
    "cache_control": "no-cache",
}
EXPIRES = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
KEEPERS = ("google", "azure", "django-s3", "minio")
OBJECTS = {
    "dir/a.css": (PACKED, {**HEADERS, "content_encoding": "gzip"}),
    "dir/a.tar.gz": (PACKED, {**HEADERS, "content_encoding": "gzip"}),
    "dir/avatar": (b"no extension", HEADERS),
    "dir/b.css": (b"brotli", {**HEADERS, "content_encoding": "br"}),
}


def stored(backend, name):
    with backend.storage._open(name) as opened:
        headers = form_of(backend, name, opened).headers
        return opened.read(), headers


def put(storage, name, data, headers):
    """Save with headers, as another program would."""
    where, boto = dict(headers), {_spelled(key): headers[key] for key in headers}
    if hasattr(storage, "s3_connection"):
        key = storage._object_params(name)
        storage.s3_connection.put_object(**key, **boto, Body=data)
    elif hasattr(storage, "presign_urls"):
        kind = where.pop("content_type")
        storage.client.put_object(
            bucket_name=storage.bucket_name,
            object_name=name,
            data=io.BytesIO(data),
            length=len(data),
            content_type=kind,
            metadata={key.replace("_", "-"): where[key] for key in where},
        )
    else:
        storage.object_parameters = headers
        storage._save(name, ContentFile(data))


@pytest.fixture
def old_and_new(place):
    """Two storages of a kind, with folders of their own; the first has the objects."""
    old, new = (place.recipe.raw(place.server, place.name) for _ in range(2))
    if hasattr(new, "location"):
        new.location += "/new"
    elif hasattr(new, "settings"):
        new.settings.AWS_S3_KEY_PREFIX += "/new"
    else:
        new.bucket_name += "-new"
        make_bucket(place.server, new.bucket_name)
    for name, (data, headers) in OBJECTS.items():
        put(old, name, data, headers)
    return old, new


@pytest.mark.parametrize("recipe", [RECIPES[name] for name in KEEPERS], ids=repr)
def test_copies_keep_it_or_are_decoded_or_refused(old_and_new, tmp_path):
    old, new = old_and_new
    chain = FallbackStorage([writable(new), read_only(old)])
    copied = dict.fromkeys(OBJECTS, Result.COPIED)
    assert {step.name: step.result for step in sync(chain, "dir")} == copied
    for name, expected in OBJECTS.items():
        assert [stored(backend, name) for backend in chain.backends] == [expected] * 2
    present = dict.fromkeys(OBJECTS, Result.PRESENT)
    steps = sync(chain, "dir", verify=True)
    assert {step.name: step.result for step in steps} == present
    home = FileSystemStorage(tmp_path / "home")
    chain = FallbackStorage([writable(home), read_only(old)])
    steps = {step.name: step.result for step in sync(chain, "dir")}
    assert steps == {**copied, "dir/b.css": Result.FAILED}
    assert content_of(home, "dir/a.css") == TEXT
    assert content_of(home, "dir/a.tar.gz") == PACKED


@pytest.mark.parametrize("recipe", [RECIPES["django-s3"]], ids=repr)
def test_what_it_compresses_itself_is_what_was_saved(old_and_new, tmp_path):
    """And what only S3 keeps is kept between buckets."""
    old, new = old_and_new
    old.save("dir/own.css", ContentFile(TEXT))
    put(old, "dir/dated", b"x", {"content_type": "text/plain", "expires": EXPIRES})
    home = FileSystemStorage(tmp_path / "home")
    for target in (new, home):
        chain = FallbackStorage([writable(target), read_only(old)])
        list(sync(chain, "dir"))
        assert content_of(target, "dir/own.css") == TEXT
        assert target.size("dir/own.css") == len(TEXT)
        steps = sync(chain, "dir/own.css", verify=True)
        assert {step.result for step in steps} <= {Result.PRESENT}
    assert new.meta("dir/own.css")["ContentEncoding"] == "gzip"
    assert new.meta("dir/dated")["Expires"] == EXPIRES
