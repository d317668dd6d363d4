"""Every file of a backend, in pages."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC

import pytest
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.storage import FileSystemStorage, InMemoryStorage
from fakes import RecordingStorage

from fallback_storage.chain import listing
from fallback_storage.chain.backend import Backend
from fallback_storage.chain.flat_listing import flat_pages, lists_flat
from fallback_storage.chain.listing import pages
from fallback_storage.chain.policy import Policy
from fallback_storage.chain.profile import METHODS
from fallback_storage.exceptions import OperationNotSupportedError
from fallback_storage.storage import FallbackStorage

# In the order of a walk: by the parts of names, not by characters ("a-b" < "a/b").
NAMES = ["a", "a/b", "a/b/c", "a/d", "a-b", "a.txt", "b/c/d/e", "b/x", "ä", "日本/本"]


def backend_of(storage):
    # In the caller's thread: with that one's client.
    return Backend("the backend", lambda: storage, Policy(deadline=0), "backends[0]")


def holding(*names):
    return RecordingStorage(files=dict.fromkeys(names, b""))


def names_of(listed):
    return [each.name for page in listed for each in page]


def listed(storage, *args):
    return names_of(pages(backend_of(storage), *args))


# Walks


def test_every_file_in_one_order():
    assert listed(holding(*reversed(NAMES))) == NAMES


def test_pages_have_a_bound(monkeypatch):
    monkeypatch.setattr(listing, "PAGE_SIZE", 3)
    found = list(pages(backend_of(holding(*NAMES))))
    assert [len(page) for page in found] == [3, 3, 3, 1]
    assert names_of(found) == NAMES


def test_a_directory_is_listed_when_it_is_reached(monkeypatch):
    monkeypatch.setattr(listing, "PAGE_SIZE", 1)
    storage = holding("a/1", "a/2", "b/1")
    found = pages(backend_of(storage))
    seen = []
    for _ in range(3):
        next(found)
        seen.append([path for _, path in storage.calls])
    assert seen == [["", "a"], ["", "a"], ["", "a", "b"]]


@pytest.mark.parametrize(
    "after", [*NAMES, "0", "a/a", "a/b/a", "b", "b/c", "b/y", "z/z"]
)
def test_it_goes_on_after_a_name(after):
    left = [name for name in NAMES if name.split("/") > after.split("/")]
    assert listed(holding(*NAMES), "", after) == left


def test_what_lies_before_is_not_listed():
    storage = holding("a/1", "b/a/1", "b/c/1", "b/c/2", "b/d/1")
    assert listed(storage, "", "b/c/1") == ["b/c/2", "b/d/1"]
    assert [path for _, path in storage.calls] == ["", "b", "b/c", "b/d"]


@pytest.mark.parametrize(
    ("after", "left"),
    [("", ["b/c/d", "b/e"]), ("a", ["b/c/d", "b/e"]), ("b", ["b/c/d", "b/e"]),
     ("b/c/d", ["b/e"]), ("b/e", []), ("c", []), ("b0", [])],
)  # fmt: skip
def test_one_directory(after, left):
    storage = holding("a", "b/c/d", "b/e", "b0", "c/d")
    assert listed(storage, "b", after) == left
    assert listed(storage, "b/", after) == left


def test_our_own_folders_are_left_out():
    storage = holding(
        ".fallback-staging/1", "d/.fallback-staging/2", ".fallback-whiteouts/0/x",
        "d/.fallback-whiteouts/is a name", "d/.fallback-staging-not", "x",
    )  # fmt: skip
    left = ["d/.fallback-staging-not", "d/.fallback-whiteouts/is a name", "x"]
    assert listed(storage) == left
    assert not any(".fallback-staging" in path for _, path in storage.calls)


def test_names_that_nobody_reaches_are_left_out():
    class Odd(RecordingStorage):
        def listdir(self, path):
            directories = ["d", ".", "..", "", "back\\slash", "slash/", "/"]
            files = ["x", "", ".", "..", "a\\b", "nul\0", "y/"]
            return ([], ["f"]) if path else (directories, files)

    assert listed(Odd()) == ["d/f", "slash/f", "x"]


@pytest.mark.parametrize("error", [FileNotFoundError("x"), NotADirectoryError("x")])
def test_a_directory_that_is_not_there_has_no_files(error):
    storage = holding("a/b")
    storage.fail("listdir", error)
    assert listed(storage, "a") == []


@pytest.mark.parametrize(
    ("make", "directory"),
    [(FileSystemStorage, "not/there"), (FileSystemStorage, "a/file"),
     (FileSystemStorage, ""), (InMemoryStorage, "not/there"), (InMemoryStorage, "")],
)  # fmt: skip
def test_missing_directories_of_djangos_storages(tmp_path, make, directory):
    storage = make(location=tmp_path / "not yet")
    if directory:
        storage.save("a/file", _content())
    assert listed(storage, directory) == []


def _content():
    from django.core.files.base import ContentFile

    return ContentFile(b"")


@pytest.mark.parametrize(
    "error",
    [ConnectionError("down"), PermissionError(13, "no"), SuspiciousFileOperation],
)
def test_a_backend_that_fails(error):
    storage = holding("a/b")
    storage.fail("listdir", error)
    with pytest.raises(type(error) if isinstance(error, Exception) else error):
        listed(storage)


def test_a_backend_that_cannot_list():
    class Bare:
        """Not even Django's stubs."""

    for storage in (RecordingStorage(unsupported=["listdir"]), Bare()):
        with pytest.raises(OperationNotSupportedError, match=r"'the backend'.*listdir"):
            listed(storage)


def test_a_chain_within_the_chain():
    inner = FallbackStorage([holding("a", "d/b"), holding("a", "c", "d/e")])
    assert listed(inner) == ["a", "c", "d/b", "d/e"]


def test_links_to_directories(tmp_path):
    """They are followed, except into what they lie in."""
    elsewhere = tmp_path / "elsewhere"
    root = tmp_path / "root"
    for directory in (elsewhere, root / "a" / "b"):
        directory.mkdir(parents=True)
        (directory / "x").touch()
    (root / "link").symlink_to(elsewhere)
    (root / "a" / "b" / "up").symlink_to(root / "a")
    (root / "a" / "root").symlink_to(root)
    (root / "broken").symlink_to("not there")
    storage = FileSystemStorage(root)
    found = listed(storage)
    assert found == ["a/b/x", "broken", "link/x"]
    assert all(map(storage.exists, found))


def test_names_that_are_not_utf8(tmp_path):
    (tmp_path / "\udcff.jpg").touch()
    assert listed(FileSystemStorage(tmp_path)) == ["\udcff.jpg"]


# Flat pages

LOCATIONS = pytest.mark.parametrize("location", ["", "a/b", "a/b/"])


@pytest.fixture
def s3_class():
    return pytest.importorskip("storages.backends.s3").S3Storage


def storage_on(s3, klass, **options):
    return klass(**s3.storage_options(**options))


def walker(klass):
    """The same storage, which cannot be known to list flat."""

    class Walker(klass):
        def listdir(self, name):
            return super().listdir(name)

    return Walker


@LOCATIONS
def test_flat_pages_and_walks_agree(s3, s3_class, location):
    root = f"{location.rstrip('/')}/" if location else ""
    for name in ("a.txt", "a-b", "d/e/f", "d/e0", "d0", "plus+ %20&.txt", "ä/日本 📷"):
        s3.put(root + name, name.encode())
    if location:
        for other in ("x", "a/x", "a/b0", "a/bc/x"):
            s3.put(other, b"not ours")
    flat = backend_of(storage_on(s3, s3_class, location=location))
    walked = backend_of(storage_on(s3, walker(s3_class), location=location))
    assert lists_flat(flat)
    assert not lists_flat(walked)
    for directory in ("", "d", "d/e", "ä", "not/there"):
        # In what order, the server says.
        assert sorted(names_of(pages(flat, directory))) == sorted(
            names_of(pages(walked, directory))
        )
    found = [each for page in pages(flat) for each in page]
    assert len(found) == 7
    assert all(each.size == len(each.name.encode()) for each in found)
    assert all(flat.storage.exists(each.name) for each in found)


def test_a_flat_listing_begins_with_any_text(s3, s3_class):
    for key in ("d/ab", "d/abc", "d/ac", "x"):
        s3.put(key, b"")
    backend = backend_of(storage_on(s3, s3_class))
    assert names_of(flat_pages(backend, "d/ab")) == ["d/ab", "d/abc"]
    assert names_of(flat_pages(backend, "d/ab", "d/ab")) == ["d/abc"]


def test_a_flat_listing_goes_on_after_a_name(s3, s3_class):
    """In the server's order, whatever that is."""
    for key in ("p/a.txt", "p/a-b", "p/a/b", "p/a/c", "p/d/e", "x"):
        s3.put(key, b"")
    backend = backend_of(storage_on(s3, s3_class, location="p"))
    found = names_of(pages(backend))
    assert len(found) == 5
    for number, name in enumerate(found, 1):
        assert names_of(pages(backend, "", name)) == found[number:]


def test_digests_and_sizes(s3, s3_class):
    s3.put("one", b"hello")
    key = {"Bucket": s3.bucket, "Key": "parts"}
    upload = {**key, "UploadId": s3.client.create_multipart_upload(**key)["UploadId"]}
    part = s3.client.upload_part(**upload, PartNumber=1, Body=b"hello")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.client.complete_multipart_upload(**upload, MultipartUpload=parts)
    (page,) = pages(backend_of(storage_on(s3, s3_class)))
    assert [(each.name, each.size, each.md5) for each in page] == [
        ("one", 5, "5d41402abc4b2a76b9719d911017c592"),
        ("parts", 5, None),
    ]
    storage = storage_on(s3, s3_class)
    for each in page:
        told = storage.get_modified_time(each.name).astimezone(UTC)
        assert each.date == told.replace(tzinfo=None).isoformat()


class Answers:
    """In place of a client's paginator: what a server may answer, and no server."""

    def __init__(self, *keys):
        self.keys = keys

    def paginate(self, **request):
        half = len(self.keys) // 2
        for keys in (self.keys[:half], (), self.keys[half:]):
            contents = [{"Key": key, "Size": 1, "ETag": '"e"'} for key in keys]
            yield {"Contents": contents} if keys else {}


def test_keys_that_nobody_reaches_are_left_out(s3, s3_class, monkeypatch):
    storage = storage_on(s3, s3_class, location="p")
    keys = ["p/", "p//a", "p/a//b", "p/./x", "p/../y", "p/a/../z", "p/d/", "p/back\\slash",
            "p/.fallback-whiteouts/0/x", "p/d/.fallback-staging/1", "p/nul\0", "p/ok",
            "p/d/ok"]  # fmt: skip
    client = storage.connection.meta.client
    monkeypatch.setattr(client, "get_paginator", lambda operation: Answers(*keys))
    found = list(pages(backend_of(storage)))
    assert [[each.name for each in page] for page in found] == [["ok", "d/ok"]]


def test_a_page_is_one_request(s3, s3_proxy, s3_class):
    names = sorted(f"d/{number:04d}" for number in range(1001))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: s3.put(name, b""), names))
    backend = backend_of(storage_on(s3, s3_class, endpoint_url=s3_proxy.endpoint_url))
    found = pages(backend, "d")
    assert names_of([next(found)]) == names[:1000]
    assert s3_proxy.count() == 1
    assert names_of(found) == names[1000:]
    assert s3_proxy.count() == 2


def test_boto3_parses_no_objects(s3, s3_class):
    """They cost most of the time; others who use the same client still get them."""
    s3.put("a", b"")
    storage = storage_on(s3, s3_class)
    client = storage.connection.meta.client
    found = pages(backend_of(storage))
    seen = []
    for _ in range(2):
        (item,) = client.list_objects_v2(Bucket=s3.bucket)["Contents"]
        assert item["LastModified"].year > 2000
        client.meta.events.register_last(
            "before-parse.s3.ListObjectsV2",
            lambda response_dict, **kwargs: seen.append(response_dict["body"]),
            "test",
        )
        if next(found, None):
            assert b"IsTruncated" in seen[-1]
            assert b"Contents" not in seen[-1]


def test_a_bucket_that_is_not_there(s3, s3_class):
    client_error = pytest.importorskip("botocore.exceptions").ClientError
    storage = storage_on(s3, s3_class, bucket_name="nobody-has-this")
    with pytest.raises(client_error):
        listed(storage)


# Which storages list flat


def _subclass(method):
    def make(module):
        namespace = {method: lambda self, name: None}
        return type("Own", (module.S3Storage,), namespace)()

    return make


def _with(**attributes):
    def make(module):
        storage = module.S3Storage()
        vars(storage).update(attributes)
        return storage

    return make


def _s3_boto3(module):
    from storages.backends import s3boto3

    return s3boto3.S3Boto3Storage()


def _manifest(module):
    class Unread(module.S3ManifestStaticStorage):
        def load_manifest(self):
            return {}, ""

    return Unread()


def _renamed(module):
    class S3Storage:
        """Somebody else's class of the same name."""

    return S3Storage()


FLAT = {
    "itself": lambda module: module.S3Storage(),
    "a subclass": lambda module: type("Sub", (module.S3Storage,), {"x": 1})(),
    "static": lambda module: module.S3StaticStorage(),
    "manifest": _manifest,
    "S3Boto3Storage": _s3_boto3,
    "parameters of uploads": _with(object_parameters={"CacheControl": "max-age=9"}),
}
NOT_FLAT = {
    "local": lambda module: FileSystemStorage(),
    "another of this name": _renamed,
    **{f"own {method}": _subclass(method) for method in METHODS["lists_flat"]},
    **{
        f"patched {method}": _with(**{method: None}) for method in METHODS["lists_flat"]
    },
    "RequestPayer": _with(object_parameters={"RequestPayer": "requester"}),
    "own keys": _with(object_parameters={"SSECustomerKey": "k", "ACL": "private"}),
}


@pytest.mark.parametrize("kind", [*FLAT, *NOT_FLAT])
def test_which_storages_list_flat(kind):
    module = pytest.importorskip("storages.backends.s3")
    storage = {**FLAT, **NOT_FLAT}[kind](module)
    assert lists_flat(backend_of(storage)) is (kind in FLAT)


def test_parameters_that_nobody_can_judge(monkeypatch):
    """Of a version of the library without the function that chooses them."""
    module = pytest.importorskip("storages.backends.s3")
    monkeypatch.delattr(module, "_filter_download_params")
    assert lists_flat(backend_of(_with(object_parameters={})(module)))
    storage = _with(object_parameters={"CacheControl": "x"})(module)
    assert not lists_flat(backend_of(storage))
