"""Absolute names: those below the home's directory are its own, others are refused."""

from __future__ import annotations

import pytest
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, InMemoryStorage
from fakes import Bucket, RecordingStorage, read
from methods import METHODS

from fallback_storage.storage import FallbackStorage

DISK = "django.core.files.storage.FileSystemStorage"


@pytest.fixture
def disk(tmp_path):
    (tmp_path / "media").mkdir()
    return FileSystemStorage(tmp_path / "media", base_url="/media/")


@pytest.fixture
def bucket():
    return Bucket(files={"a/b.txt": b"remote"})


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "spelling",
    ["{0}/a/b.txt", "{0}/./a//b.txt", "{0}/../media/a/b.txt", "{0}/a/x/../b.txt"],
)
def test_every_method_takes_a_path_of_the_home(disk, bucket, method, spelling):
    """As a relative name, in every backend and in the memo."""
    name = spelling.format(disk.location)
    if method in ("get_available_name", "save") and ".." in name:
        pytest.skip("Django makes no free name of a name with '..', and saves none")
    relative, absolute = (
        FallbackStorage(
            [RecordingStorage(files=dict(bucket.files)), bucket], cache=None
        )
        for _ in range(2)
    )
    for chain in (relative, absolute):
        # A home that has a directory, and says what it is asked.
        chain.backends[0].storage.location = disk.location
    outcomes = []
    for chain, given in ((relative, "a/b.txt"), (absolute, name)):
        home = chain.backends[0].storage
        try:
            METHODS[method](chain, given)
        except (NotImplementedError, FileExistsError) as error:
            outcomes.append(type(error))
        outcomes.append([call for call in home.calls if "_" not in call[1]])
    middle = len(outcomes) // 2
    assert outcomes[:middle] == outcomes[middle:]


def test_what_code_does_with_the_path_of_a_file(disk, bucket):
    """delete, exists, open and size of ``obj.file.path``."""
    chain = FallbackStorage([disk, bucket])
    path = chain.path(chain.save("new/x.txt", ContentFile(b"12345")))
    assert (chain.exists(path), chain.size(path), read(chain, path)) == (
        True,
        5,
        b"12345",
    )
    assert chain.url(path) == "/media/new/x.txt"
    assert chain.path(path) == path
    assert chain.resolve_many([path])[path].held
    assert chain.listdir(disk.location) == chain.listdir("")
    chain.prefetch([path])
    chain.forget(path)
    again = chain.save(path, ContentFile(b"1"))
    assert again.startswith("new/x")
    chain.delete(path)
    assert not chain.exists("new/x.txt")
    assert chain.generate_filename(f"{disk.location}/a b.txt") == "a_b.txt"
    with pytest.raises(ValueError, match="must be given"):
        chain.delete(disk.location)


@pytest.mark.parametrize(
    "spelling",
    [
        "{0}-other/x",
        "{0}/../x",
        "{0}/../media-other/x",
        "{0}/a\\..\\..\\x",
        "{0}/x\0",
        "/",
        "/x",
        "/{0}/x",
        "\\x",
    ],
)
def test_other_absolute_names_are_refused(disk, bucket, spelling):
    """Also those that only begin as the directory does."""
    chain = FallbackStorage([disk, bucket])
    for method in ("exists", "delete", "open", "save", "path"):
        with pytest.raises(SuspiciousFileOperation):
            METHODS[method](chain, spelling.format(disk.location))
    assert bucket.calls == []


def test_links_are_not_resolved(disk, tmp_path):
    """Neither in the name nor in the location: what a name means stays plain."""
    (tmp_path / "link").symlink_to(tmp_path / "media")
    disk.save("x", ContentFile(b"1"))
    assert FallbackStorage([FileSystemStorage(tmp_path / "link")]).exists("x")
    for location, other in (("link", "media"), ("media", "link")):
        chain = FallbackStorage([FileSystemStorage(tmp_path / location)])
        assert chain.exists(f"{tmp_path}/{location}/x")
        with pytest.raises(SuspiciousFileOperation):
            chain.exists(f"{tmp_path}/{other}/x")


@pytest.mark.parametrize("location", ["/", "//", "/x/..", "", "media", None, 7])
def test_below_no_directory_are_all(location):
    """The root of the file system would make every name of the machine one of ours."""
    home = RecordingStorage()
    home.location = location
    chain = FallbackStorage([home])
    for name in ("/etc/passwd", "/media/x", "/x"):
        with pytest.raises(SuspiciousFileOperation):
            chain.exists(name)
    assert home.calls == []


def test_the_home_is_the_first_writable_backend(disk, tmp_path):
    """Not the first one that has a location; also of a chain within the chain."""
    archive = {
        "BACKEND": DISK,
        "OPTIONS": {"location": str(tmp_path / "archive")},
        "READ_ONLY": True,
    }
    disk.save("x", ContentFile(b"1"))
    inner = FallbackStorage([archive, disk])
    for chain in (inner, FallbackStorage([inner]), FallbackStorage([archive, inner])):
        assert chain.exists(disk.path("x"))
        with pytest.raises(SuspiciousFileOperation):
            chain.exists(str(tmp_path / "archive" / "x"))
    with pytest.raises(SuspiciousFileOperation):
        FallbackStorage([archive]).exists(str(tmp_path / "archive" / "x"))


def test_a_storage_in_memory_has_a_location(settings):
    """Which takes the place of the directory in tests."""
    settings.MEDIA_ROOT = "/srv/media"
    chain = FallbackStorage([InMemoryStorage(), Bucket()])
    chain.save("a/x", ContentFile(b"1"))
    assert chain.exists("/srv/media/a/x")


# What Django's own storages say


DANGEROUS = [
    ("/tmp/..", "Could not derive file name from '..'"),
    ("\\tmp\\..", "Could not derive file name from '..'"),
    ("/tmp/.", "Could not derive file name from '.'"),
    ("\\tmp\\.", "Could not derive file name from '.'"),
    ("..", "Could not derive file name from '..'"),
    (".", "Could not derive file name from '.'"),
    ("", "Could not derive file name from ''"),
    ("../path", "Detected path traversal attempt in '..'"),
    ("..\\path", "Detected path traversal attempt in '..'"),
    ("tmp/../path", "Detected path traversal attempt in 'tmp/..'"),
    ("tmp\\../path", "Detected path traversal attempt in 'tmp/..'"),
    ("/tmp/../path", "Detected path traversal attempt in '/tmp/..'"),
    ("\\tmp\\..\\path", "Detected path traversal attempt in '/tmp/..'"),
]


@pytest.mark.parametrize(("name", "message"), DANGEROUS)
@pytest.mark.parametrize("method", ["get_available_name", "generate_filename"])
def test_a_dangerous_name_is_named_as_django_names_it(disk, name, message, method):
    """The message speaks of the name that was given."""
    for storage in (disk, FallbackStorage([disk])):
        with pytest.raises(SuspiciousFileOperation) as caught:
            getattr(storage, method)(name)
        assert str(caught.value) == message


@pytest.mark.parametrize("name", [None, "", ".", "a/.."])
def test_delete_without_a_name(disk, name):
    """Says what Django's storage says, for a field that has no file."""
    with pytest.raises(ValueError, match=r"^The name must be given to delete\(\)\.$"):
        FallbackStorage([disk]).delete(name)


def test_a_file_in_the_place_of_a_directory(disk, bucket):
    """The error is Django's, however the content came."""
    chain = FallbackStorage([disk])
    chain.save("a", ContentFile(b"1"))
    for storage in (disk, chain):
        with pytest.raises(FileExistsError, match=r"a exists and is not a directory\."):
            storage.save("a/x.txt", ContentFile(b"1"))
        with pytest.raises(NotADirectoryError):
            storage.save("a/b/x.txt", ContentFile(b"1"))
