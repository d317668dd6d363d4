"""Listings that do not keep Django's contract: nothing is made up, nothing is hidden."""

from __future__ import annotations

import pytest
from django.core.files.base import ContentFile
from fakes import RecordingStorage

from fallback_storage.chain.backend import Backend
from fallback_storage.chain.dialects import collection, container_objects, walk_blobs
from fallback_storage.chain.listing import is_listed, pages
from fallback_storage.chain.policy import Policy
from fallback_storage.exceptions import ConfigurationError
from fallback_storage.storage import FallbackStorage


class Listing(RecordingStorage):
    """Lists what it is told to, by directory."""

    def __init__(self, listings, files=None):
        super().__init__("odd", files)
        self.listings = listings

    def listdir(self, path):
        return self.listings[path]


def listed(storage):
    passed_over = []
    backend = Backend("odd", lambda: storage, Policy(), "here")
    found = pages(backend, passed_over=passed_over.append)
    return [each.name for page in found for each in page], passed_over


def test_a_directory_that_lists_itself_is_not_walked_into():
    """Some list "." and "", or their own name with slashes."""
    storage = Listing({"": (["", ".", "..", "/", "a/"], ["x"]), "a": (["."], ["y"])})
    assert listed(storage)[0] == ["a/y", "x"]


def test_files_of_other_directories_are_passed_over_and_told():
    """A recursive listing gives names of which none is in this directory."""
    storage = Listing({"": (["a"], ["x", "a/y"]), "a": ([], ["a/y"])})
    names, passed_over = listed(storage)
    assert names == ["x"]
    assert passed_over == ["a/a/y", "a/y"]


def test_names_that_no_storage_reaches_are_told():
    """A backslash is a slash to Django's storages."""
    storage = Listing({"": ([], ["x", "back\\slash"])})
    assert listed(storage) == (["x"], ["back\\slash"])


def test_this_packages_own_files_are_not_told_of():
    storage = Listing({"": ([".fallback-whiteouts", ".fallback-staging"], ["x"])})
    assert listed(storage) == (["x"], [])


def test_whiteouts_are_found_in_a_home_that_lists_itself():
    """Each once, and the walk ends."""

    class Selfish(RecordingStorage):
        def listdir(self, path):
            directories, files = super().listdir(path)
            return ["", ".", *directories], files

    production = RecordingStorage("production", {"a/b": b"1"})
    home = Selfish("home")
    chain = FallbackStorage(
        [
            home,
            {"BACKEND": "fakes.RecordingStorage", "READ_ONLY": True},
        ],
        on_delete="whiteout",
    )
    chain.backends[1].__dict__["storage"] = production
    chain.delete("a/b")
    assert list(chain.hidden()) == ["a/b"]


def test_a_home_that_keeps_no_whiteouts_is_refused_at_the_first_use():
    """Before anything is deleted that would come back."""
    entry = {"BACKEND": "fakes.RecordingStorage", "PROFILE": {"KEEPS_WHITEOUTS": False}}
    read_only = {"BACKEND": "fakes.RecordingStorage", "READ_ONLY": True}
    chain = FallbackStorage([entry, read_only], on_delete="whiteout")
    with pytest.raises(ConfigurationError, match="keeps no files of any name"):
        chain.delete("x")
    assert chain.backends[0].storage.count("delete") == 0


def test_a_profile_lists_in_the_storages_place():
    """For the chain's own listdir, for warming and for whiteouts."""
    entry = {
        "BACKEND": "fakes.RecordingStorage",
        "PROFILE": {"LISTDIR": lambda storage, path: ([], ["x"] if not path else [])},
    }
    chain = FallbackStorage([entry])
    assert chain.listdir("") == ([], ["x"])
    (backend,) = chain.backends
    assert [each.name for page in pages(backend) for each in page] == ["x"]
    assert is_listed(backend, "x") is True
    assert is_listed(backend, "y") is False
    assert is_listed(backend, "a/x") is False


# Dialects, with clients that answer as the libraries do


class Blob:
    def __init__(self, name, path=False):
        self.name, self.path = name, path


class AzureLike:
    """``client.walk_blobs``, of azure-storage-blob 12, at a location."""

    timeout = 1

    def __init__(self, names, location=""):
        self.names, self.location, self.client = names, location, self

    def walk_blobs(self, name_starts_with, timeout):
        seen = set()
        for name in sorted(self.names):
            if name.startswith(name_starts_with):
                head, slash, _ = name.removeprefix(name_starts_with).partition("/")
                if head not in seen:
                    seen.add(head)
                    yield Blob(name_starts_with + head + slash)


class LibCloudLike:
    """``driver.list_container_objects``, of apache-libcloud 3."""

    def __init__(self, names):
        self.names, self.driver = names, self

    def _get_bucket(self):
        return "bucket"

    def list_container_objects(self, container, prefix):
        return [Blob(name) for name in self.names if name.startswith(prefix)]


class Response:
    def raise_for_status(self):
        pass


class WebDavLike:
    """``_propfind`` and ``_parse_propfind``, as django-storage-webdav 0.1.2 has them."""

    def __init__(self, names):
        self.names = names

    def _propfind(self, path):
        self.path = path
        return Response()

    def _parse_propfind(self, response, path):
        yield Blob(f"{self.path}/".lstrip("/") or ".", True)
        directories, files = RecordingStorage("x", self.names).listdir(self.path)
        start = f"{self.path}/" if self.path else ""
        for name in directories:
            yield Blob(f"/{start}{name}", True)
        for name in files:
            yield Blob(f"/{start}{name}".replace(" ", "%20"))


NAMES = {"a.txt": b"", "d/b c.txt": b"", "d/e/f/g.txt": b"", "d2/x": b""}
LEVELS = {
    "": (["d", "d2"], ["a.txt"]),
    "d": (["e"], ["b c.txt"]),
    "d/e": (["f"], []),
    "d/e/f": ([], ["g.txt"]),
}


@pytest.mark.parametrize("path", LEVELS)
@pytest.mark.parametrize(
    ("dialect", "storage"),
    [
        (walk_blobs, AzureLike(NAMES)),
        (walk_blobs, AzureLike([f"loc/{name}" for name in NAMES] + ["out"], "loc")),
        (container_objects, LibCloudLike(NAMES)),
        (collection, WebDavLike(NAMES)),
    ],
    ids=["azure", "azure-location", "libcloud", "webdav"],
)
def test_a_dialect_lists_one_level(dialect, storage, path):
    """Directories and files of any depth, by their own names."""
    directories, files = dialect(storage, path)
    assert (sorted(directories), sorted(files)) == LEVELS[path]


def test_saved_files_are_listed_by_their_names():
    chain = FallbackStorage([RecordingStorage("x")])
    chain.save("a/b", ContentFile(b"1"))
    assert chain.listdir("a") == ([], ["b"])
