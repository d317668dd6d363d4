"""``urls="home"``: every URL is the first writable backend's; nobody is asked."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured
from fakes import RecordingStorage

from fallback_storage.storage import FallbackStorage

LOCAL = {"BACKEND": "django.core.files.storage.FileSystemStorage", "NAME": "local"}


@pytest.fixture
def production():
    return RecordingStorage("production", {"far.jpg": b"1", "hidden.jpg": b"1"})


def chain_of(*backends, **options):
    return FallbackStorage([*backends], urls="home", **options)


@pytest.mark.parametrize("cache", [None, False])
def test_whoever_holds_the_file(production, media_root, cache):
    (media_root / "near.jpg").touch()
    chain = chain_of(LOCAL, production, cache=cache)
    for _ in range(2):
        for name in ("near.jpg", "far.jpg", "gone.jpg", "a b?.jpg"):
            assert chain.url(name) == chain.backends[0].storage.url(name)
    assert production.calls == []


def test_also_when_it_is_known_who_holds_it(production, media_root):
    chain = chain_of(LOCAL, production)
    assert chain.resolve("far.jpg").index == 1
    asked = list(production.calls)
    assert chain.url("far.jpg") == "/media/far.jpg"
    assert chain.url("far.jpg", parameters={"a": "b"}) == "/media/far.jpg"
    assert production.calls == asked


def test_the_home_is_the_first_that_is_writable(production, media_root):
    other = RecordingStorage("other")
    chain = FallbackStorage([LOCAL | {"READ_ONLY": True}, other], urls="home")
    assert chain.url("a.jpg") == other.url("a.jpg")
    chain = FallbackStorage([LOCAL | {"READ_ONLY": True}], urls="home")
    assert chain.url("a.jpg") == "/media/a.jpg"


def test_names_that_are_refused_fail_no_page(media_root):
    assert chain_of(LOCAL).url("../a.jpg") == "/media/a.jpg"


def test_a_home_without_urls_raises():
    chain = chain_of(RecordingStorage("a", unsupported={"url"}), RecordingStorage("b"))
    with pytest.raises(AttributeError, match="url"):
        chain.url("a.jpg")


def test_another_word_is_refused():
    with pytest.raises(ImproperlyConfigured, match="'holder', 'home'"):
        FallbackStorage([LOCAL], urls="here")
