"""URLs that are made without the storage are those that the storage makes."""

from __future__ import annotations

import string

import pytest
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, InMemoryStorage, filesystem
from fakes import RecordingStorage
from hypothesis import given
from hypothesis import strategies as st
from proofs import searching

from fallback_storage.chain.equivalents import answers_of
from fallback_storage.chain.names import clean_name, memo_key
from fallback_storage.chain.profile import METHODS
from fallback_storage.chain.profiles import PROFILES, profile_of
from fallback_storage.chain.quick_url import quick_url_of
from fallback_storage.storage import FallbackStorage

BASES = [
    "/media/", "/", "", "media", "/a/../b/", "/m;p/", "/m/?x=", "/m/#f/", "//cdn/",
    "https://cdn.example/a b/", "https://cdn.example", "mailto:x/", "http:/", "./",
]  # fmt: skip
PARTS = st.one_of(
    st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1),
    st.text("./\\~ -%:;?#&=+@!*()'_\n" + string.ascii_letters[:2], min_size=1),
)
NAMES = st.lists(PARTS, min_size=1, max_size=4).map("/".join)
NAME = "photos/2024/x-1_(2).jpg"


def quick(storage):
    rests_on = profile_of(storage).url_rests_on
    return quick_url_of(storage, rests_on, METHODS["url_rests_on"])


def s3(klass=None, **options):
    storages = pytest.importorskip("storages.backends.s3")
    given = {"bucket_name": "b", "access_key": "k", "secret_key": "s"}
    given |= {"region_name": "eu-west-1", "custom_domain": "cdn.example"}
    return (klass or storages.S3Storage)(**{**given, **options})


def assert_the_same(storage, name):
    """For every clean name of a file."""
    try:
        clean = clean_name(name)
    except SuspiciousFileOperation:
        return
    if memo_key(clean) is not None:
        assert quick(storage)(clean) == storage.url(clean)


@pytest.mark.slow
@searching(400)
@given(name=NAMES, base=st.sampled_from(BASES))
def test_it_is_that_of_a_directory(name, base):
    """For every base."""
    assert_the_same(FileSystemStorage("/srv/media", base_url=base), name)


@pytest.mark.slow
@searching(400)
@given(
    name=NAMES,
    domain=st.sampled_from(["cdn.example", "cdn.example/a", "a b", "x?y="]),
    location=st.sampled_from(["", "media", "media/", "a b/ü", "~!*()'"]),
    protocol=st.sampled_from(["https:", "http:", ""]),
)
def test_it_is_that_of_a_public_bucket(name, domain, location, protocol):
    """For every domain and location."""
    options = {"location": location, "url_protocol": protocol}
    assert_the_same(s3(custom_domain=domain, **options), name)


@pytest.fixture
def asked(monkeypatch):
    """What Django or django-storages quoted."""
    quoted = []

    def note(path):
        quoted.append(path)
        return real(path)

    real = filesystem.filepath_to_uri
    monkeypatch.setattr(filesystem, "filepath_to_uri", note)
    storages = pytest.importorskip("storages.backends.s3")
    monkeypatch.setattr(storages, "filepath_to_uri", note)
    return quoted


@pytest.mark.parametrize(
    "make", [lambda: FileSystemStorage("/srv", "/media/"), s3], ids=["local", "s3"]
)
def test_the_storage_is_asked_only_in_doubt(asked, make):
    storage = make()
    url, plain = quick(storage), storage.url(NAME)
    assert url(NAME) == plain
    asked.clear()
    assert url(NAME) == plain
    assert asked == []
    assert url("a b.jpg") == storage.url("a b.jpg")
    assert asked == ["a b.jpg"] * 2


CHANGES = {
    "location": "elsewhere",
    "custom_domain": "other.example",
    "url_protocol": "http:",
}


@pytest.mark.parametrize("attribute", CHANGES)
def test_what_is_assigned_later_is_seen(attribute):
    storage = s3()
    url = quick(storage)
    before = url(NAME)
    setattr(storage, attribute, CHANGES[attribute])
    assert before != url(NAME) == storage.url(NAME)


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
def test_whoever_signs_is_asked():
    """Also if it begins to, and without the domain of which URLs are public."""

    class Signer:
        def generate_presigned_url(self, url, **kwargs):
            return f"{url}?signed"

    storage = s3()
    url = quick(storage)
    assert url(NAME) == f"https://cdn.example/{NAME}"
    storage.cloudfront_signer = Signer()
    assert url(NAME) == f"https://cdn.example/{NAME}?signed"
    storage.cloudfront_signer = None
    assert url(NAME) == f"https://cdn.example/{NAME}"
    storage.custom_domain = None
    assert "X-Amz-" in url(NAME) or "Signature=" in url(NAME)


@pytest.mark.parametrize("kind", [FileSystemStorage, s3], ids=["local", "s3"])
@pytest.mark.parametrize("where", ["class", "instance"])
@pytest.mark.parametrize("when", ["before", "later"])
def test_whoever_makes_it_in_another_way_is_asked(kind, where, when, monkeypatch):
    """A test may patch it: its ``url``, and of S3Storage what that calls."""
    storage = kind() if kind is s3 else kind("/srv", "/media/")
    url = quick(storage) if when == "later" else None
    assert url is None or url("a.jpg")
    target = storage if where == "instance" else type(storage)
    asked = []
    monkeypatch.setattr(target, "url", lambda *a: asked.append(a) or f"own{len(asked)}")
    url = url or quick(storage) or (lambda name: storage.url(name))
    assert [url("a.jpg")[:3], url("a.jpg")[:3]] == ["own"] * 2
    assert len(asked) >= 2
    monkeypatch.undo()
    assert url("a.jpg") == storage.url("a.jpg")


def test_what_is_lazy_is_looked_at_each_time():
    """It is the same object, and may say something else by now."""
    said = ["a.example"]

    class Domain:
        def __str__(self):
            return said[0]

    storage = s3(custom_domain=Domain())
    url = quick(storage)
    for said[0] in ("a.example", "b.example"):
        assert url("a.jpg") == storage.url("a.jpg") == f"https://{said[0]}/a.jpg"


def test_what_a_public_url_calls_may_be_replaced():
    storage = s3()
    url = quick(storage)
    assert url("a.jpg") == "https://cdn.example/a.jpg"
    storage._normalize_name = lambda name: f"x-{name}"
    assert url("a.jpg") == "https://cdn.example/x-a.jpg"
    assert quick(storage) is None


def test_of_no_other_class_it_is_known():
    class OwnUrl(FileSystemStorage):
        def url(self, name):
            return f"/own/{name}"

    class Intercepting(FileSystemStorage):
        def __getattribute__(self, attribute):
            return super().__getattribute__(attribute)

    assert answers_of(Intercepting()) == {}
    others = [OwnUrl(), Intercepting(), InMemoryStorage(), RecordingStorage(), object()]
    assert [quick(storage) for storage in others] == [None] * len(others)
    klass = pytest.importorskip("storages.backends.s3").S3Storage
    own = type("Own", (klass,), {"_normalize_name": lambda self, name: f"x{name}"})
    assert quick(s3(own)) is None
    known = {path for path, row in PROFILES.items() if row.url_rests_on}
    assert known == {
        "django.core.files.storage.filesystem.FileSystemStorage",
        "storages.backends.s3.S3Storage",
    }


def test_a_base_that_is_computed_is_computed_each_time():
    """By a subclass: it may be another one for each request."""

    class OwnBase(FileSystemStorage):
        bases = ("/1/", "/2/", "/3/")

        @property
        def base_url(self):
            return self.bases[0]

    storage = OwnBase()
    url = quick(storage)
    for base in OwnBase.bases:
        storage.bases = [base]
        assert url("a.jpg") == url("a.jpg") == f"{base}a.jpg"


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


def test_an_entry_may_have_the_storage_asked(media_root, asked):
    """By a PROFILE without it."""
    entry = {"BACKEND": "django.core.files.storage.FileSystemStorage"}
    chain = FallbackStorage([{**entry, "PROFILE": {"URL_RESTS_ON": []}}])
    assert [chain.url("a.jpg") for _ in range(3)] == ["/media/a.jpg"] * 3
    assert asked == ["a.jpg"] * 3
