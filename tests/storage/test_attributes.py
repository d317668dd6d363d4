"""Attributes beyond Django's interface: of the storages, and of the files they open."""

from __future__ import annotations

import pytest
from django.core.files.base import ContentFile
from fakes import RecordingStorage, read_only

from fallback_storage.storage import FallbackStorage

ATTRIBUTES = ["bucket", "bucket_name", "client", "connection", "custom_domain"]


class Bucket(RecordingStorage):
    """What it has it opens a connection for."""

    @property
    def connection(self):
        raise AssertionError("contacted")

    bucket = bucket_name = client = custom_domain = connection


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_a_backends_attributes_are_not_the_chains(attribute):
    """Libraries choose a way by hasattr(); the error says where to look instead."""
    chain = FallbackStorage([Bucket()])
    for storage in (chain, FallbackStorage):
        assert not hasattr(storage, attribute)
    assert getattr(chain, attribute, None) is None
    assert chain._engine is None  # nothing was built for that
    with pytest.raises(AttributeError, match=rf"backends\[0\]\.storage\.{attribute}"):
        getattr(chain, attribute)


def test_a_subclass_may_have_them():
    """As a method of its own, or set on an instance."""

    class Sub(FallbackStorage):
        bucket = "mine"

        def __init__(self, **options):
            super().__init__(**options)
            self.connection = "open"

    chain = Sub(backends=[Bucket()])
    assert (chain.bucket, chain.connection) == ("mine", "open")


def test_an_opened_file_has_what_the_backends_has(settings):
    """S3File's ``obj``, say: read only or not, written, and through two chains."""

    class Tagging(RecordingStorage):
        def _open(self, name, mode="rb"):
            file = super()._open(name, mode)
            file.obj, file.content_type = {"etag": "e1"}, "text/plain"
            return file

    entry, production = read_only(settings, {"x": b"12"})
    production.__class__ = Tagging
    for backends in (
        [Tagging(files={"x": b"12"})],
        [entry],
        [RecordingStorage(), entry],
    ):
        chain = FallbackStorage([FallbackStorage(backends)])
        with chain.open("x") as file:
            assert (file.obj, file.content_type) == ({"etag": "e1"}, "text/plain")
            assert not hasattr(file, "blob")
            assert file.read() == b"12"
    chain = FallbackStorage([FallbackStorage([Tagging()])])
    with chain.open("y", "wb") as file:
        file.write(b"1")
        assert file.obj == {"etag": "e1"}
    chain.save("z", ContentFile(b"1"))
