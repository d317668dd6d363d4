"""A local directory in front of a real S3 server, through django-storages."""

from __future__ import annotations

import os
import urllib.request
from urllib.parse import unquote

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.views.static import serve

from fallback_storage.storage import FallbackStorage

pytest.importorskip("storages.backends.s3")

NAMES = [
    "plain.txt",
    "with some spaces.txt",
    "plus+plus.txt",
    "100%.txt",
    "a%20b.txt",
    "hash#1.txt",
    "what?.txt",
    "amp&equal=semi;.txt",
    "tilde~'quote'(1).txt",
    "ünïcödé/日本語 📷.txt",
    "e\u0301.txt",
    "deep/er/and/deep er/x.txt",
]
SIZES = [0, 1, 20_000_000]
LOCAL = "django.core.files.storage.FileSystemStorage"


@pytest.fixture
def configure(settings, s3, s3_proxy, media_root):
    """Define the aliases "local" and "remote"; the proxy counts remote requests."""

    def options(**overrides):
        return s3.storage_options(endpoint_url=s3_proxy.endpoint_url, **overrides)

    settings.STORAGES = {
        **settings.STORAGES,
        "local": {"BACKEND": LOCAL},
        "remote": {
            "BACKEND": "storages.backends.s3.S3Storage",
            "OPTIONS": options(),
        },
    }


@pytest.fixture
def mirror(configure):
    """A laptop: local files first, production's bucket behind it, read-only."""
    return FallbackStorage(backends=["local", {"ALIAS": "remote", "READ_ONLY": True}])


@pytest.fixture
def uploader(configure):
    """A site that has moved to S3: the old local files can only be read."""
    return FallbackStorage(backends=[{"ALIAS": "local", "READ_ONLY": True}, "remote"])


def fetch(url, rf, media_root):
    """Return what a plain GET of the URL gives; local ones by Django's own view."""
    if url.startswith("/media/"):
        path = unquote(url.removeprefix("/media/"))
        response = serve(rf.get(url), path, document_root=media_root)
        # Not response.close(): the end of a request is the database's business.
        with response.file_to_stream:
            return b"".join(response.streaming_content)
    with urllib.request.urlopen(url, timeout=10) as response:
        return response.read()


def check_reading(chain, name, content, fetched):
    """Everything that can be read of a name agrees with its content."""
    assert chain.exists(name)
    assert chain.size(name) == len(content)
    with chain.open(name) as file:
        assert file.read() == content
    with chain.open(name) as file:
        assert b"".join(file.chunks()) == content
    assert fetched == content
    directory, _, base = name.rpartition("/")
    assert base in chain.listdir(directory)[1]
    if "/" in name:
        head = name.partition("/")[0]
        assert head in chain.listdir("")[0]
        assert chain.listdir(head) != ([], [])
    assert chain.get_modified_time(name).tzinfo


@pytest.mark.parametrize("name", NAMES)
def test_a_name_only_in_s3(mirror, s3, rf, media_root, name):
    """Any name that S3 holds is read through a read-only S3 behind an empty disk."""
    s3.put(name, b"hello")
    before = s3.digest()
    check_reading(mirror, name, b"hello", fetch(mirror.url(name), rf, media_root))
    with pytest.raises(NotImplementedError):
        mirror.path(name)
    mirror.delete(name)
    assert mirror.exists(name)
    assert s3.digest() == before
    assert mirror.resolve(name).backend == "remote"


@pytest.mark.parametrize("name", NAMES)
def test_a_name_saved_locally(mirror, s3, rf, media_root, name):
    """Any name goes to the local directory and back, and nothing to S3."""
    assert mirror.save(name, ContentFile(b"hello")) == name
    check_reading(mirror, name, b"hello", fetch(mirror.url(name), rf, media_root))
    assert mirror.path(name) == str(media_root / name)
    mirror.delete(name)
    assert not mirror.exists(name)
    assert not (media_root / name).exists()
    assert s3.keys() == []


@pytest.mark.parametrize("name", NAMES)
def test_a_name_saved_to_s3(uploader, s3, rf, media_root, name):
    """Any name goes to a writable S3 and back."""
    assert not uploader.exists(name)
    assert uploader.save(name, ContentFile(b"hello")) == name
    assert s3.keys() == [name]
    check_reading(uploader, name, b"hello", fetch(uploader.url(name), rf, media_root))
    uploader.delete(name)
    assert not uploader.exists(name)
    assert s3.keys() == []
    with pytest.raises(FileNotFoundError):
        uploader.open(name)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["mirror", "uploader"])
def test_sizes(request, s3, rf, media_root, kind, size):
    """Empty, tiny and multipart files come back byte for byte."""
    chain = request.getfixturevalue(kind)
    content = os.urandom(size)
    name = chain.save("a/file.bin", ContentFile(content))
    check_reading(chain, name, content, fetch(chain.url(name), rf, media_root))
    assert s3.keys() == ([] if kind == "mirror" else [name])


@pytest.mark.parametrize("size", SIZES)
def test_sizes_behind_a_local_directory(mirror, s3, rf, media_root, size):
    """Files of any size that only S3 holds come back byte for byte."""
    content = os.urandom(size)
    s3.put("a/file.bin", content)
    url = mirror.url("a/file.bin")
    check_reading(mirror, "a/file.bin", content, fetch(url, rf, media_root))


def test_a_failed_first_backend_hands_20_mb_to_s3(configure, s3):
    """What another backend left half read arrives in S3 whole."""
    from fakes import RecordingStorage

    broken = RecordingStorage("broken")
    broken.before("_save", lambda name: content.read(1000))
    broken.fail("_save")
    content = ContentFile(os.urandom(20_000_000))
    chain = FallbackStorage(backends=[broken, "remote"])
    name = chain.save("file.bin", content)
    assert s3.get(name) == content.file.getvalue()


def test_s3_that_refuses_a_save_hands_it_to_the_next(configure, s3, media_root):
    """After S3 failed (and closed the content), the local directory gets every byte."""
    wrong = {"BACKEND": "storages.backends.s3.S3Storage", "NAME": "wrong"}
    wrong["OPTIONS"] = s3.storage_options(secret_key="wrong")
    content = os.urandom(10_000_000)
    chain = FallbackStorage(backends=[wrong, "local"])
    name = chain.save("file.bin", ContentFile(content))
    assert (media_root / name).read_bytes() == content
    assert s3.keys() == []


def test_listdir_is_the_union(mirror, s3, media_root):
    """A directory shows what the disk and the bucket hold, each name once."""
    for key in ("d/a.txt", "d/b.txt", "d/sub/x.txt", "other/y.txt"):
        s3.put(key, b"x")
    (media_root / "d" / "mine").mkdir(parents=True)
    (media_root / "d" / "b.txt").write_bytes(b"local")
    directories, files = mirror.listdir("d")
    assert sorted(directories) == ["mine", "sub"]
    assert sorted(files) == ["a.txt", "b.txt"]
    # SeaweedFS, unlike S3, keeps the empty directories of earlier tests.
    assert {"d", "other"} <= set(mirror.listdir("")[0])


# --- What it costs ------------------------------------------------------------


def test_a_page_of_urls_costs_s3_nothing(mirror, s3, s3_proxy):
    """100 pictures that only S3 holds: no request, neither cold nor warm."""
    names = [f"{number}.png" for number in range(100)]
    s3.put(names[0], b"x")
    cold = [mirror.url(name) for name in names]
    warm = [mirror.url(name) for name in names]
    assert s3_proxy.requests == []
    assert all(url.startswith(s3_proxy.endpoint_url) for url in cold + warm)


def test_exists_is_asked_once(mirror, s3, s3_proxy):
    """The second exists costs no request, whatever the first one found."""
    s3.put("a.txt", b"x")
    assert mirror.exists("a.txt")
    assert not mirror.exists("none.txt")
    assert s3_proxy.count() == s3_proxy.count("HEAD") == 2
    assert mirror.exists("a.txt")
    assert not mirror.exists("none.txt")
    mirror.url("a.txt")
    assert s3_proxy.count() == 2


@pytest.mark.parametrize("warm", [False, True])
def test_a_read_costs_what_s3_alone_costs(mirror, s3, s3_proxy, warm):
    """Opening and reading a remote file makes the same requests as S3Storage does."""
    s3.put("a.txt", b"hello")
    s3.put("b.txt", b"hello")
    with storages["remote"].open("a.txt") as file:
        assert file.read() == b"hello"
    alone = [method for method, _ in s3_proxy.requests]
    if warm:
        mirror.exists("b.txt")
    s3_proxy.clear()
    with mirror.open("b.txt") as file:
        assert file.read() == b"hello"
    assert [method for method, _ in s3_proxy.requests] == alone


def test_a_size_costs_one_request(mirror, s3, s3_proxy):
    """The size of a remote file is one HEAD, and so is its time."""
    s3.put("a.txt", b"hello")
    assert mirror.size("a.txt") == 5
    assert mirror.get_modified_time("a.txt")
    assert [method for method, _ in s3_proxy.requests] == ["HEAD", "HEAD"]


def test_a_local_file_costs_s3_nothing(mirror, s3_proxy, media_root):
    """A file on disk is read, measured and linked without asking S3."""
    (media_root / "a.txt").write_bytes(b"hello")
    assert mirror.exists("a.txt")
    assert mirror.size("a.txt") == 5
    assert mirror.path("a.txt")
    assert mirror.url("a.txt") == "/media/a.txt"
    mirror.open("a.txt").close()
    assert s3_proxy.requests == []


# --- Writing ------------------------------------------------------------------


def test_a_file_opened_for_writing_is_known_after_close(uploader, s3):
    """S3 gets the file at close; from then on every answer is right."""
    assert not uploader.exists("x.txt")
    with uploader.open("x.txt", "wb") as file:
        file.write(b"hello")
        assert not uploader.exists("x.txt")
    assert uploader.exists("x.txt")
    assert uploader.size("x.txt") == 5
    with uploader.open("x.txt", "wb") as file:
        file.write(b"hello again")
    assert uploader.size("x.txt") == 11
    assert s3.get("x.txt") == b"hello again"


def test_a_large_file_opened_for_writing(uploader, s3):
    """A file beyond one part of an upload is whole after close."""
    content = os.urandom(12_000_000)
    assert not uploader.exists("x.bin")
    with uploader.open("x.bin", "wb") as file:
        for start in range(0, len(content), 1_000_000):
            file.write(content[start : start + 1_000_000])
    assert uploader.exists("x.bin")
    assert s3.get("x.bin") == content


def test_an_s3_that_overwrites_does_not(uploader, s3):
    """S3Storage's file_overwrite has no effect in a chain: names are unique."""
    assert storages["remote"].file_overwrite
    first = uploader.save("x.txt", ContentFile(b"one"))
    second = uploader.save("x.txt", ContentFile(b"two"))
    assert first != second
    assert (s3.get(first), s3.get(second)) == (b"one", b"two")


def test_production_is_untouched_whatever_is_done(mirror, s3):
    """After every writing operation the bucket is the same, byte for byte."""
    s3.put("a/x.txt", b"hello")
    s3.put("y.txt", b"hello")
    before = s3.digest()
    assert mirror.save("a/x.txt", ContentFile(b"other")) != "a/x.txt"
    mirror.save("new.txt", ContentFile(b"new"))
    mirror.delete("a/x.txt")
    with mirror.open("a/x.txt", "wb") as file:
        file.write(b"mine")
    for mode, written in (("ab", b" there"), ("r+b", b"J")):
        with mirror.open("y.txt", mode) as file:
            file.write(written)
    with mirror.open("y.txt") as file:
        assert file.read() == b"Jello there"
    with pytest.raises(FileExistsError):
        mirror.open("y.txt", "xb")
    with mirror.open("a/x.txt") as file:
        assert file.read() == b"mine"
    mirror.delete("a/x.txt")
    with mirror.open("a/x.txt") as file:
        assert file.read() == b"hello"
    assert s3.digest() == before
