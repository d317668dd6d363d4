"""The URL of a file in a local directory is what its storage makes of the name."""

from __future__ import annotations

import string

import pytest
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, InMemoryStorage
from fakes import RecordingStorage
from hypothesis import given
from hypothesis import strategies as st
from proofs import searching

from fallback_storage.chain.look import quick_url_of
from fallback_storage.chain.names import clean_name, memo_key
from fallback_storage.storage import FallbackStorage

BASES = [
    "/media/", "/", "", "media", "/a/../b/", "/m;p/", "/m/?x=", "/m/#f/", "//cdn/",
    "https://cdn.example/a b/", "https://cdn.example", "mailto:x/", "http:/", "./",
]  # fmt: skip
PARTS = st.one_of(
    st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1),
    st.text("./\\~ -%:;?#&=+@!*()'_\n" + string.ascii_letters[:2], min_size=1),
)


@pytest.mark.slow
@searching(400)
@given(
    name=st.lists(PARTS, min_size=1, max_size=4).map("/".join),
    base=st.sampled_from(BASES),
)
def test_it_is_that_of_the_storage(name, base):
    """For every clean name and every base."""
    try:
        clean = clean_name(name)
    except SuspiciousFileOperation:
        return
    if memo_key(clean) is not None:
        storage = FileSystemStorage("/srv/media", base_url=base)
        assert quick_url_of(storage)(clean) == storage.url(clean)


def test_the_storage_is_asked_only_in_doubt(monkeypatch):
    storage = FileSystemStorage("/srv/media", base_url="/media/")
    url = quick_url_of(storage)
    asked = []
    monkeypatch.setattr(storage, "url", lambda name: asked.append(name) or "own")
    assert url("photos/2024/x-1_(2).jpg") == "/media/photos/2024/x-1_(2).jpg"
    assert asked == []
    assert url("a b.jpg") == "own"
    storage.base_url = "/a/../media/"
    assert url("a.jpg") == "own"
    assert asked == ["a b.jpg", "a.jpg"]


def test_whoever_makes_it_in_another_way_is_asked():
    class OwnUrl(FileSystemStorage):
        def url(self, name):
            return f"/own/{name}"

    class OwnBase(FileSystemStorage):
        base_url = property(lambda self: "/own/")

    by_hand = FileSystemStorage()
    by_hand.url = lambda name: f"/own/{name}"
    others = [OwnUrl(), OwnBase(), by_hand, InMemoryStorage(), RecordingStorage(), 7]
    assert [quick_url_of(storage) for storage in others] == [None] * len(others)


def test_it_follows_the_setting(settings, media_root):
    """And a storage without a base URL has none, in a chain as well."""
    settings.MEDIA_URL = "/media/"
    storage = FileSystemStorage(media_root)
    storage.save("a.jpg", ContentFile(b"x"))
    chain = FallbackStorage([storage])
    for url in ("/media/", "https://cdn.example/", "/media/"):
        settings.MEDIA_URL = url
        for _ in range(2):
            assert chain.url("a.jpg") == storage.url("a.jpg") == f"{url}a.jpg"
            assert chain.exists("a.jpg")
    storage.base_url = None
    with pytest.raises(ValueError, match="not accessible via a URL"):
        chain.url("a.jpg")
