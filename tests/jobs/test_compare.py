"""What listings show of a file, and when that is not what is read of it."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace

import pytest
from django.core.files.base import ContentFile
from fakes import RecordingStorage

from fallback_storage.chain.flat_listing import Listed
from fallback_storage.chain.headers import form_of
from fallback_storage.jobs.compare import content_of, differ, shown, size_in
from fallback_storage.storage import FallbackStorage

MD5 = hashlib.md5(b"content").hexdigest()


def backend(storage=None, content=b"content"):
    return FallbackStorage(
        [storage or RecordingStorage(files={"a": content})]
    ).backends[0]


@pytest.mark.parametrize("size", [None, 0, 1, 200_000])
def test_a_beginning_of_a_file(size):
    data = b"0123456789" * 20_000
    found = content_of(ContentFile(data), size)
    assert found == (len(data[:size]), hashlib.md5(data[:size]).hexdigest())


def test_a_storage_that_has_no_sizes():
    assert size_in(backend(RecordingStorage(unsupported=["size"])), "a") is None
    assert shown(backend(), "a") == Listed("a", 7)


@pytest.mark.parametrize(
    ("shows", "other_shows", "read", "differs"),
    [
        (Listed("a", 7), Listed("a", 7), 0, False),
        (Listed("a", 7), Listed("a"), 0, False),
        (Listed("a"), Listed("a"), 0, False),
        (Listed("a", 7), Listed("a", 8), 2, True),
        (Listed("a", 7, MD5), Listed("a", 7, MD5), 0, False),
        (Listed("a", 7, "0" * 32), Listed("a", 7, MD5), 2, True),
        (Listed("a", 7, MD5), Listed("a", 7), 1, False),
        (Listed("a", 7), Listed("a", 7, MD5), 1, False),
        (Listed("a", 7, MD5), Listed("a", 8, MD5), 2, True),
    ],
)
def test_what_is_shown_is_compared_first(shows, other_shows, read, differs):
    one, other = backend(), backend()
    assert differ(one, shows, other, other_shows) is differs
    opened = [each.storage.count("_open") for each in (one, other)]
    assert sum(opened) == read


@pytest.mark.parametrize(
    ("shows", "content", "read", "differs"),
    [
        (Listed("a", 7), b"content", 2, False),
        (Listed("a", 7), b"CONTENT", 2, True),
        (Listed("a", 7, MD5), b"content", 1, False),
    ],
)
def test_to_be_sure_what_shows_no_checksum_is_read(shows, content, read, differs):
    """Only then: a checksum on one side is what the other's content is compared with."""
    one, other = backend(), backend(content=content)
    assert differ(one, shows, other, Listed("a", 7), surely=True) is differs
    opened = [each.storage.count("_open") for each in (one, other)]
    assert sum(opened) == read


def s3_file(encoding=None, encryption=None, customer=None):
    return SimpleNamespace(
        obj=SimpleNamespace(
            content_encoding=encoding,
            server_side_encryption=encryption,
            sse_customer_algorithm=customer,
        )
    )


class S3Storage(RecordingStorage):
    __module__ = "storages.backends.s3"
    gzip = True


class GoogleCloudStorage(RecordingStorage):
    __module__ = "storages.backends.gcloud"


class Own:
    """What it opens may be anything, so it is not asked for headers."""

    def _open(self, name, mode="rb"):
        return super()._open(name, mode)


class OwnS3(Own, S3Storage):
    pass


class OwnGoogle(Own, GoogleCloudStorage):
    pass


def google_file(encoding=None):
    return SimpleNamespace(blob=SimpleNamespace(content_encoding=encoding))


@pytest.mark.parametrize(
    ("klass", "opened", "expected"),
    [
        (OwnS3, ContentFile(b"x"), True),
        (OwnS3, s3_file(), True),
        (OwnS3, s3_file("gzip"), False),
        (OwnS3, s3_file("br"), True),
        (OwnS3, s3_file(encryption="AES256"), True),
        (OwnS3, s3_file(encryption="aws:kms"), False),
        (OwnS3, s3_file(encryption="aws:kms:dsse"), False),
        (OwnS3, s3_file(customer="AES256"), False),
        (OwnGoogle, ContentFile(b"x"), True),
        (OwnGoogle, google_file(), True),
        (OwnGoogle, google_file("gzip"), False),
        # Of a class that is in no row nothing is known.
        (RecordingStorage, google_file("gzip"), True),
    ],
)
def test_what_is_stored_in_another_form(klass, opened, expected):
    form = form_of(backend(klass()), "x", opened)
    assert form.as_stored is expected
    # What is encrypted has another MD5, and its own size.
    is_encrypted = getattr(opened, "obj", None) and opened.obj.content_encoding is None
    assert form.has_size is (expected or bool(is_encrypted))
