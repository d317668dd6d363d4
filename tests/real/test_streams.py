"""Files that are passed on as they arrive, from the servers that can do that."""

from __future__ import annotations

import contextlib
import gzip
import os
import secrets

import pytest
from django.core.files.base import ContentFile
from django.http import Http404
from django.test import RequestFactory
from real.recipes import RECIPES

from fallback_storage import views

STREAMING = [name for name in ("s3", "google", "azure") if name in RECIPES]
LARGE = 10_000_000

pytestmark = [
    pytest.mark.parametrize("recipe", STREAMING, indirect=True),
    pytest.mark.usefixtures("closing_ends_no_request"),
]


@pytest.fixture
def media(place, settings, tmp_path):
    """Ask the view, over a chain of a local directory and the storage."""
    local = tmp_path / "local"
    local.mkdir()
    settings.MEDIA_ROOT = str(local)
    chain = {
        "BACKEND": "fallback_storage.storage.FallbackStorage",
        "OPTIONS": {
            "backends": [
                "django.core.files.storage.FileSystemStorage",
                {"ALIAS": "real", "READ_ONLY": True},
            ],
            "promote": True,
        },
    }
    settings.STORAGES = {**settings.STORAGES, "chain": chain}

    def ask(name, **headers):
        request = RequestFactory().get(f"/{name}", headers=headers)
        return views.media(request, name, storage="chain", prefixes=[""])

    ask.local = local
    return ask


def body(response):
    try:
        return b"".join(response)
    finally:
        response.close()


def test_whole_and_in_parts(place, media):
    content = secrets.token_bytes(300_000)
    name = place.raw.save(place.file("a.bin"), ContentFile(content))
    response = media(name, Range="bytes=1000-200000")
    assert response.status_code == 206
    assert response["ETag"].strip('"')
    assert response["Last-Modified"]
    assert body(response) == content[1000:200001]
    assert body(media(name, Range="bytes=-10")) == content[-10:]
    assert not (media.local / name).exists()
    assert body(media(name)) == content
    assert (media.local / name).read_bytes() == content


def test_an_empty_file_and_none(place, media):
    name = place.raw.save(place.file("empty.bin"), ContentFile(b""))
    assert body(media(name)) == b""
    assert (media.local / name).read_bytes() == b""
    with pytest.raises(Http404):
        media(place.file("gone.bin"))


def test_the_first_bytes_come_before_the_last_are_fetched(place, media):
    name = place.raw.save(place.file("large.bin"), ContentFile(os.urandom(LARGE)))
    response = media(name)
    first = next(iter(response))
    assert 0 < len(first) <= LARGE / 2
    response.close()
    assert not (media.local / name).exists()


def test_what_is_replaced_meanwhile_is_an_error_and_no_mixture(place, media):
    old, new = secrets.token_bytes(LARGE), secrets.token_bytes(LARGE)
    name = place.raw.save(place.file("large.bin"), ContentFile(old))
    response = media(name)
    parts = iter(response)
    place.raw.delete(name)
    assert place.raw.save(name, ContentFile(new)) == name
    # (Of whatever class the client has for it. What was under way may still arrive.)
    received = old
    with contextlib.suppress(Exception):
        received = b"".join(parts)
    assert received in {old, new}
    response.close()
    copy = media.local / name
    assert not copy.exists() or copy.read_bytes() in {old, new}


def test_what_is_stored_compressed_is_opened(place, media):
    """Its bytes are not the file; so they are not passed on as they are."""
    packed = gzip.compress(b"a" * 1000)
    content = ContentFile(packed)
    content.content_encoding = "gzip"
    name = place.file("styles.css")
    place.raw.save(name, content)
    assert body(media(name)) in {packed, b"a" * 1000}
