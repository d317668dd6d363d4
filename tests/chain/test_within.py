"""Copies within one server, and a home within its source. No server is asked."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from django.core.files.storage import FileSystemStorage

from fallback_storage.chain.flat_listing import Listed
from fallback_storage.chain.within import originals, send_in_s3storage
from fallback_storage.storage import FallbackStorage

pytest.importorskip("storages.backends.s3")

from storages.backends.s3 import S3Storage

PAGE = [Listed(name) for name in ("a", "new/a", "newer/b", "x/new/c")]


def bucket(location="", **options):
    return S3Storage(**{"bucket_name": "media", "location": location, **options})


def names(source, home):
    home, source = FallbackStorage([home, source], cache=False).backends
    return [listed.name for listed in originals(source, home, PAGE)]


@pytest.mark.parametrize("is_local", [True, False])
def test_what_lies_in_a_home_within_its_source_is_no_original(tmp_path, is_local):
    def at(place):
        return FileSystemStorage(tmp_path / place) if is_local else bucket(place)

    assert names(at(""), at("new")) == ["a", "newer/b", "x/new/c"]
    everything = [listed.name for listed in PAGE]
    for source, home in (("", ""), ("new", ""), ("new", "old"), ("ne", "new")):
        assert names(at(source), at(home)) == everything


def test_another_place_is_not_within(tmp_path):
    everything = [listed.name for listed in PAGE]
    homes = (
        bucket("new", bucket_name="other"),
        bucket("new", endpoint_url="http://127.0.0.1:9"),
        FileSystemStorage(tmp_path / "new"),
    )
    for home in homes:
        assert names(bucket(), home) == everything
    # (Who may read a bucket, and who may write there, need not be the same.)
    home = bucket("new", access_key="a", secret_key="b")
    assert names(bucket(), home) == ["a", "newer/b", "x/new/c"]


class ByName(S3Storage):
    """What files of some names are stored with, as django-storages documents it."""

    def get_object_parameters(self, name):
        private = name.startswith("media/private/")
        return {"ACL": "private" if private else "public-read"}

    @property
    def connection(self):
        return SimpleNamespace(meta=SimpleNamespace(client=Client()))


class Client:
    def copy_object(self, **wanted):
        return {"CopyObjectResult": {"ETag": f'"{wanted["ACL"]}"'}}


def test_a_copy_has_the_parameters_that_a_save_has():
    """By its key, of which the home's location is a part."""
    source, home = bucket(), ByName(bucket_name="new", location="media")
    send = send_in_s3storage(source, home)
    obj = SimpleNamespace(key="private/a.txt", content_length=1, e_tag='"1"')
    file = SimpleNamespace(obj=obj, file=io.BytesIO())
    assert send("private/a.txt", {}, file, "1") == "private"
    assert send("b.txt", {}, file, "1") == "public-read"
