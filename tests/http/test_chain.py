"""A mirror of a public site: a chain of a local directory and an HTTPStorage."""

from __future__ import annotations

import logging

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from origins import BODY, origin, reply

from fallback_storage.exceptions import FileNotInAnyBackendError, OriginUnreachableError
from fallback_storage.http import HTTPStorage
from fallback_storage.storage import FallbackStorage

HTTP = "fallback_storage.http.HTTPStorage"
LOCAL = "django.core.files.storage.FileSystemStorage"


@pytest.fixture
def site():
    with origin({f"/media/{n}.jpg": BODY for n in range(100)}) as site:
        yield site


@pytest.fixture
def make(site, media_root):
    chains = []

    def make(production=None, **options):
        entry = {"BACKEND": HTTP, "OPTIONS": {"base_url": site.base_url}}
        chains.append(FallbackStorage([LOCAL, entry | (production or {})], **options))
        return chains[-1]

    yield make
    for chain in chains:
        if "_origin" in vars(chain.backends[1].storage):
            chain.backends[1].storage._origin.close()


def test_a_page_of_pictures_makes_no_request(site, make):
    chain = make()
    urls = [chain.url(f"{n}.jpg") for n in range(100)]
    assert urls[7] == f"{site.base_url}7.jpg"
    assert site.requests == []


def test_what_is_there_is_asked_for_once(site, make):
    chain = make()
    for _ in range(3):
        assert chain.exists("1.jpg")
        assert not chain.exists("gone.jpg")
        assert chain.resolve("1.jpg").index == 1
    assert [str(each) for each in site.requests] == [
        "HEAD /media/1.jpg",
        "HEAD /media/gone.jpg",
    ]
    with chain.open("1.jpg") as file:
        assert file.read() == BODY
    assert chain.size("1.jpg") == len(BODY)
    with pytest.raises(FileNotInAnyBackendError):
        chain.open("gone.jpg")


def test_many_names_are_asked_for_side_by_side(site, make):
    chain = make()
    found = chain.resolve_many([f"{n}.jpg" for n in range(120)])
    assert [found[f"{n}.jpg"].held for n in range(120)] == [True] * 100 + [False] * 20
    assert len(site.requests) == 120


def test_nothing_is_written_to_the_site(site, make, media_root):
    chain = make()
    assert chain.backends[1].read_only
    name = chain.save("1.jpg", ContentFile(b"mine"))
    assert name != "1.jpg"  # production has one
    chain.delete("2.jpg")
    assert (media_root / name).read_bytes() == b"mine"
    assert {each.method for each in site.requests} == {"HEAD"}


def test_what_is_read_is_there_when_production_is_not(site, make, media_root):
    chain = make(promote=True)
    with chain.open("1.jpg") as file:
        assert file.read() == BODY
    assert (media_root / "1.jpg").read_bytes() == BODY
    site.answer = lambda request: reply(503, b"", request=request)
    with chain.open("1.jpg") as file:
        assert file.read() == BODY
    with pytest.raises(OriginUnreachableError):
        chain.open("2.jpg")
    assert not (media_root / "2.jpg").exists()


def test_a_broken_download_is_not_promoted(site, make, media_root):
    chain = make(promote=True)

    def cut(request):
        yield reply(200, BODY)[:-1]

    site.answer = cut
    with pytest.raises(OriginUnreachableError):
        chain.open("1.jpg")
    assert list(media_root.iterdir()) == []
    site.answer = site.serve
    with chain.open("1.jpg") as file:
        assert file.read() == BODY


def test_a_403_is_a_failure_unless_it_is_said_to_mean_absent(site, make, caplog):
    site.answer = lambda request: reply(403, b"", request=request)
    chain = make()
    with pytest.raises(OSError, match="ABSENT_ON_403"):
        chain.open("1.jpg")
    assert chain.resolve("1.jpg").held is None
    assert "ABSENT_ON_403" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        chain = make({"ABSENT_ON_403": True})
        assert chain.resolve("1.jpg").held is False
        with pytest.raises(FileNotFoundError):
            chain.open("1.jpg")


def test_it_is_read_only_however_it_is_written(site, settings, media_root):
    site_storage = {"BACKEND": HTTP, "OPTIONS": {"base_url": site.base_url}}
    settings.STORAGES = {
        "production": site_storage,
        "default": {"BACKEND": LOCAL},
        "staticfiles": {"BACKEND": LOCAL},
    }
    for entry in (
        site_storage,
        "production",
        {"ALIAS": "production"},
        HTTPStorage(site.base_url),
        {**site_storage, "READ_ONLY": True},
    ):
        assert FallbackStorage([LOCAL, entry]).backends[1].read_only


class Subclass(HTTPStorage):
    pass


def test_to_write_to_it_is_refused_at_once(site, media_root):
    options = {"base_url": site.base_url}
    for entry in (
        {"BACKEND": HTTP, "OPTIONS": options, "READ_ONLY": False},
        {"BACKEND": f"{__name__}.Subclass", "OPTIONS": options},
        lambda: HTTPStorage(site.base_url),
    ):
        with pytest.raises(ImproperlyConfigured, match="READ_ONLY: True"):
            FallbackStorage([LOCAL, entry]).exists("1.jpg")
    entry = {"BACKEND": f"{__name__}.Subclass", "OPTIONS": options, "READ_ONLY": True}
    chain = FallbackStorage([LOCAL, entry])
    assert chain.exists("1.jpg")
    chain.backends[1].storage._origin.close()
