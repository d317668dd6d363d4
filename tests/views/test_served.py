"""The media view over storages that only open files, and in trouble."""

from __future__ import annotations

import errno
import tempfile

import pytest
from django.core.files.storage import storages
from django.http import Http404
from django.test import RequestFactory
from fakes import RecordingStorage

from fallback_storage import views
from fallback_storage.views import serve

pytestmark = pytest.mark.usefixtures("closing_ends_no_request")

LOCAL = "django.core.files.storage.FileSystemStorage"
CONTENT = b"0123456789" * 10_000


@pytest.fixture
def production():
    return RecordingStorage("production", {"a.jpg": CONTENT, "empty.jpg": b""})


@pytest.fixture
def chain(settings, media_root, production):
    options = {"backends": [LOCAL, production], "promote": True}
    settings.STORAGES = {
        "default": {
            "BACKEND": "fallback_storage.storage.FallbackStorage",
            "OPTIONS": options,
        },
        "staticfiles": {"BACKEND": LOCAL},
    }
    return storages["default"]


def ask(name, method="get", headers=None, **options):
    request = getattr(RequestFactory(), method)(f"/media/{name}", headers=headers or {})
    return views.media(request, name, prefixes=[""], **options)


def body(response):
    try:
        return b"".join(response) if response.streaming else response.content
    finally:
        response.close()


@pytest.mark.parametrize(("name", "content"), [("a.jpg", CONTENT), ("empty.jpg", b"")])
def test_a_file_is_fetched_and_kept(chain, media_root, name, content):
    response = ask(name)
    assert response["Content-Length"] == str(len(content))
    assert body(response) == content
    assert (media_root / name).read_bytes() == content


def test_a_part_of_it(chain):
    assert body(ask("a.jpg", headers={"Range": "bytes=5-9"})) == b"56789"
    assert body(ask("a.jpg", "head")) == b""


def test_a_holder_that_has_lost_it_is_no_outage(chain, production):
    assert chain.resolve("a.jpg").index == 1
    del production.files["a.jpg"]
    with pytest.raises(Http404):
        ask("a.jpg")


def test_a_holder_that_fails_is_one(chain, production):
    production.fail("_open", PermissionError())
    assert ask("a.jpg").status_code == 503


def test_without_room_for_a_copy_it_is_passed_on(chain, media_root, monkeypatch):
    response = ask("a.jpg")

    def full():
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    assert body(response) == CONTENT
    assert not (media_root / "a.jpg").exists()


def test_a_url_that_cannot_be_made_is_no_redirect(chain, production):
    production.fail("url", ValueError())
    assert body(ask("a.jpg", redirect=True)) == CONTENT


@pytest.mark.parametrize("method", ["get", "head"])
def test_a_file_is_fetched_in_its_turn(chain, production, monkeypatch, method):
    """Not before there is room for one more download; nor is one that waits in vain."""
    monkeypatch.setattr(serve, "PATIENCE", 0)
    production.files["b.jpg"] = b"b"
    first = ask("a.jpg", max_remote=1)
    assert ask("b.jpg", method, max_remote=1).status_code == 503
    assert production.count("_open") == 1
    # What is here already needs none.
    assert body(first) == CONTENT
    assert body(ask("a.jpg", max_remote=1)) == CONTENT
    for _ in range(3):
        assert ask("b.jpg", "head", max_remote=1)["Content-Length"] == "1"
    production.fail("_open", PermissionError())
    assert ask("b.jpg", max_remote=1).status_code == 503
    production.heal()
    assert body(ask("b.jpg", max_remote=1)) == b"b"
