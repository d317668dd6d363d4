"""Reading through chains of special backends, and what else a storage is asked for."""

from __future__ import annotations

import io
from contextlib import suppress

import pytest
from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage
from fakes import Bucket, RecordingStorage

from fallback_storage.exceptions import OperationNotSupportedError
from fallback_storage.storage import FallbackStorage


def itself(storage):
    return storage


def entry(storage, **policy):
    """Return a backend entry that gives an instance a policy."""
    return {
        "BACKEND": f"{__name__}.itself",
        "OPTIONS": {"storage": storage},
        "NAME": storage.label,
        **policy,
    }


# Backends whose open() tells nothing


class LazyFile(File):
    """Asks for its content when it is read, like the files of Dropbox or SFTP."""

    def __init__(self, storage, name):
        super().__init__(None, name)
        self._storage = storage

    def read(self):
        self._storage.act("read", self.name)
        return self._storage._get(self.name)


class Lazy(RecordingStorage):
    def _open(self, name, mode="rb"):
        self.act("_open", name)
        return LazyFile(self, name)


class DropboxStorage(Lazy):
    """Recognised by its path, which is all that is looked at."""

    __module__ = "storages.backends.dropbox"


class OwnDropboxStorage(DropboxStorage):
    """Recognised by its base."""

    __module__ = __name__


LAZY_ENTRIES = {
    "by policy": lambda files: entry(Lazy("lazy", files), LAZY_OPEN=True),
    "by class": lambda files: DropboxStorage("lazy", files),
    "by base class": lambda files: OwnDropboxStorage("lazy", files),
    "by class, in a dict": lambda files: entry(DropboxStorage("lazy", files)),
}
LAZY = pytest.mark.parametrize("make", LAZY_ENTRIES.values(), ids=LAZY_ENTRIES)


@LAZY
def test_a_lazy_backend_does_not_hide_a_file_below_it(make):
    """It is asked whether it holds the file before its open is believed."""
    second = RecordingStorage("second", files={"x": b"second"})
    storage = FallbackStorage([make({}), second])
    lazy = storage.backends[0].storage
    for _ in range(2):
        assert storage.open("x").read() == b"second"
    assert lazy.counts() == {"exists": 1}
    assert second.counts() == {"_open": 2}


@LAZY
@pytest.mark.parametrize("cache", [None, False])
def test_a_lazy_backend_is_opened_where_it_holds_the_file(make, cache):
    """It is probed each time, else a file that went away would not be noticed."""
    second = RecordingStorage("second", files={"x": b"second"})
    storage = FallbackStorage([make({"x": b"lazy"}), second], cache=cache)
    lazy = storage.backends[0].storage
    for _ in range(2):
        assert storage.open("x").read() == b"lazy"
    assert lazy.counts() == {"exists": 2, "_open": 2, "read": 2}
    assert second.calls == []
    del lazy.files["x"]
    assert storage.open("x").read() == b"second"


@LAZY
def test_a_missing_file_of_a_lazy_backend_is_missing(make):
    """Nobody holds it: said at open, not at the first read."""
    storage = FallbackStorage([RecordingStorage("first"), make({})])
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            storage.open("x")
    assert storage.backends[1].storage.counts() == {"exists": 1}


def test_a_lazy_backend_may_be_said_not_to_be():
    """LAZY_OPEN: False is stronger than the class."""
    lazy = DropboxStorage("lazy", {"x": b"lazy"})
    storage = FallbackStorage([entry(lazy, LAZY_OPEN=False)])
    assert storage.open("x").read() == b"lazy"
    assert lazy.count("exists") == 0


def test_a_lazy_backend_that_fails_is_passed_over_and_not_remembered():
    """The probe's failure is the backend's: raised if nobody else has the file."""
    lazy, second = DropboxStorage("lazy"), RecordingStorage("second", {"x": b"second"})
    error = ConnectionError("m")
    lazy.fail("exists", error)
    storage = FallbackStorage([lazy, second])
    for _ in range(2):
        assert storage.open("x").read() == b"second"
    assert lazy.counts() == {"exists": 2}
    with pytest.raises(ConnectionError) as caught:
        storage.open("y")
    assert caught.value is error


def test_a_lazy_backend_that_cannot_be_asked_is_opened():
    """Without exists, open is all there is."""
    lazy = DropboxStorage("lazy", {"x": b"lazy"}, unsupported=["exists"])
    assert FallbackStorage([lazy]).open("x").read() == b"lazy"


def test_a_lazy_holder_that_lost_the_file_is_resolved_afresh():
    """The file moved up: what is above the former holder is asked again."""
    first, last = RecordingStorage("first"), RecordingStorage("last", {"x": b"stale"})
    lazy = DropboxStorage("lazy", {"x": b"moved"})
    storage = FallbackStorage([first, lazy, last])
    assert storage.open("x").read() == b"moved"
    first.files["x"] = lazy.files.pop("x")
    assert storage.open("x").read() == b"moved"


# url with arguments


class Signing(RecordingStorage):
    """Signs its URLs, like S3Storage; ``given`` is what it was asked for."""

    given = None

    def url(self, name, parameters=None, expire=None):
        self.given = (parameters, expire)
        return super().url(name)


class Obliging(Signing):
    def url(self, name, **kwargs):
        return super().url(name, kwargs.pop("parameters", None), **kwargs)


CALLS = {
    "keyword": ((), {"expire": 60}, (None, 60)),
    "keywords": ((), {"parameters": {"a": 1}, "expire": 60}, ({"a": 1}, 60)),
    "positional": (({"a": 1}, 60), {}, ({"a": 1}, 60)),
}


@pytest.mark.parametrize(("args", "kwargs", "given"), CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("holder", ["first", "second", None])
def test_arguments_of_url_reach_a_holder_that_takes_them(holder, args, kwargs, given):
    """Cold or warm, whether it holds the file or is the last resort."""
    first, second = Signing("first"), Signing("second")
    for backend in (first, second):
        if backend.label == holder:
            backend.files["x"] = b""
    storage = FallbackStorage([first, second])
    answering, other = (first, second) if holder == "first" else (second, first)
    for _ in range(2):
        url = storage.url("x", *args, **kwargs)
        assert url == f"https://{answering.label}.example/x"
        assert (answering.given, other.given) == (given, None)
        answering.given = None
    storage.url("x")
    assert answering.given == (None, None)
    assert first.count("exists") == 1
    assert second.count("exists") == 0


@pytest.mark.parametrize(("args", "kwargs", "given"), CALLS.values(), ids=CALLS)
def test_a_holder_that_takes_no_arguments_is_asked_without(args, kwargs, given):
    """The view was written for the object store; the local copy has a plain URL."""
    first, second = RecordingStorage("first", {"x": b""}), Signing("second")
    storage = FallbackStorage([first, second])
    for _ in range(2):
        assert storage.url("x", *args, **kwargs) == "https://first.example/x"
    assert first.count("url") == 2
    assert storage.url("y", *args, **kwargs) == "https://second.example/y"
    assert second.given == given


def test_open_signatures_take_what_they_are_given():
    """A url(**kwargs) gets all, a function without a signature as well."""
    obliging = Obliging("first", {"x": b""})
    FallbackStorage([obliging]).url("x", expire=60)
    assert obliging.given == (None, 60)
    # max() is a built-in that has no signature, and answers strings.
    obliging.url = max
    assert FallbackStorage([obliging]).url("x", "y") == "y"


def test_the_url_of_the_root(tmp_path):
    """url("") and url(None) are the base URL: static("") asks for it."""
    disk = FileSystemStorage(tmp_path, base_url="/m/")
    storage = FallbackStorage([disk, RecordingStorage("second")])
    assert storage.url("") == storage.url(None) == disk.url(None) == "/m/"


# Paths


@pytest.fixture
def disks(tmp_path):
    disks = []
    for label in ("one", "two"):
        (tmp_path / label).mkdir()
        disks.append(FileSystemStorage(tmp_path / label, base_url=f"/{label}/"))
    return disks


@pytest.mark.parametrize("name", ["", ".", "a/.."])
def test_the_path_of_the_root(disks, name):
    """path("") is the directory of the first backend that has paths."""
    object_store = Bucket("object store")
    storage = FallbackStorage([object_store, *disks])
    assert storage.path(name) == disks[0].path("")
    with pytest.raises(NotImplementedError, match="'Bucket' without paths"):
        FallbackStorage([object_store]).path(name)
    assert object_store.calls == []


def test_the_path_is_the_holders(disks, tmp_path):
    """Of the first backend that holds the file; else where it would come to lie."""
    disks[1].save("d/x", ContentFile(b"12"))
    storage = FallbackStorage(disks)
    assert storage.path("d/x") == str(tmp_path / "two" / "d" / "x")
    assert storage.path("d/y") == str(tmp_path / "one" / "d" / "y")
    object_store = RecordingStorage("object store", {"z": b""})
    with pytest.raises(OperationNotSupportedError):
        FallbackStorage([object_store, *disks]).path("z")


@pytest.mark.parametrize("attribute", ["location", "base_location", "base_url"])
def test_attributes_of_a_local_directory(disks, attribute):
    """Those of the first backend that has them; without one there are none."""
    object_store = RecordingStorage("object store")
    storage = FallbackStorage([object_store, *disks])
    assert getattr(storage, attribute) == getattr(disks[0], attribute)
    assert not hasattr(FallbackStorage([object_store]), attribute)


# Listings, of real directories


def test_listdir_of_real_directories(disks):
    """A directory of only one backend is listed; what is in both appears once."""
    for name in ("d/a.txt", "d/sub/x", "only/one.txt"):
        disks[0].save(name, ContentFile(b""))
    for name in ("d/a.txt", "d/b.txt", "d/sub/y", "d/more/z"):
        disks[1].save(name, ContentFile(b""))
    storage = FallbackStorage(disks, strict=True)
    directories, files = storage.listdir("d")
    assert (directories, sorted(files)) == (["sub", "more"], ["a.txt", "b.txt"])
    assert files[0] == "a.txt"
    assert storage.listdir("only") == ([], ["one.txt"])
    assert [sorted(part) for part in storage.listdir("")] == [["d", "only"], []]
    with pytest.raises(FileNotFoundError):
        storage.listdir("none")


def test_a_file_can_be_read_as_from_the_backend_alone(disks):
    """open() gives the backend's own file object: it seeks, and has a name."""
    disks[1].save("x", ContentFile(b"12345"))
    with FallbackStorage(disks).open("x") as file, disks[1].open("x") as own:
        assert type(file) is type(own)
        assert file.name == own.name
        file.seek(3)
        assert file.read() == b"45"
    with FallbackStorage(disks).open("x", "r") as file:
        assert file.read() == "12345"


def test_nothing_is_asked_before_the_first_use():
    """Building, showing and comparing a storage contacts no backend."""
    first = RecordingStorage("first")
    storage = FallbackStorage([first])
    assert "not used yet" in repr(storage)
    assert [backend.name for backend in storage.backends] == ["RecordingStorage"]
    assert "RecordingStorage" in repr(storage)
    with suppress(AttributeError):
        _ = storage.location
    assert first.calls == []


@pytest.mark.parametrize("read_only", [False, True])
def test_what_is_opened_is_a_file_of_djangos(read_only):
    """Some storages open an answer of an HTTP client: it has no chunks."""

    class Answering(RecordingStorage):
        def _open(self, name, mode="rb"):
            return io.BytesIO(self.files[name])

    chain = FallbackStorage([entry(Answering("x", {"x": b"12"}), READ_ONLY=read_only)])
    with chain.open("x") as file:
        assert list(file.chunks()) == [b"12"]
