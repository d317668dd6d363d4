"""What an exception says of the backend that raised it, whatever its library."""

from __future__ import annotations

import asyncio
import errno
import io
import urllib.error
from email.message import Message
from types import SimpleNamespace

import pytest
from django.core.exceptions import (
    ImproperlyConfigured,
    SuspiciousFileOperation,
    SuspiciousOperation,
)
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, InMemoryStorage
from fakes import RecordingStorage

from fallback_storage.chain.outcomes import Attempt, Outcome, classify
from fallback_storage.exceptions import MissingPlaceError
from fallback_storage.storage import FallbackStorage


def stand_in(path, *bases, **attributes):
    """Return an exception of the class that a library has at this dotted path."""
    module, _, name = path.rpartition(".")
    klass = type(name, bases or (Exception,), {"__module__": module})
    error = klass("no more is known")
    vars(error).update(attributes)
    return error


def client_error(code, path="botocore.exceptions.ClientError", bases=()):
    return stand_in(path, *bases, response={"Error": {"Code": code, "Message": "m"}})


def modelled_error(code, name):
    """Return what boto3 raises for a modelled error: a subclass made on the fly."""
    base = type(client_error(code))
    return client_error(code, f"botocore.errorfactory.{name}", (base,))


def dropbox_error(*, not_found):
    path = SimpleNamespace(is_not_found=lambda: not_found)
    return stand_in(
        "dropbox.exceptions.ApiError", error=SimpleNamespace(get_path=lambda: path)
    )


def urllib_error(code):
    error = urllib.error.HTTPError("http://x/", code, "m", Message(), io.BytesIO())
    error.close()  # it is judged by its code, not by its stream
    return error


def requests_error(status):
    return stand_in(
        "requests.exceptions.HTTPError",
        OSError,
        response=SimpleNamespace(status_code=status),
    )


def caused(error, cause):
    error.__cause__ = cause
    return error


ABSENT = {
    "FileNotFoundError": FileNotFoundError(errno.ENOENT, "gone", "x"),
    "FileNotFoundError without errno": FileNotFoundError("gone"),
    "NotADirectoryError": NotADirectoryError(errno.ENOTDIR, "m"),
    "NotADirectoryError without errno": NotADirectoryError("m"),
    "ENAMETOOLONG": OSError(errno.ENAMETOOLONG, "m"),
    "S3 404": client_error("404"),
    "S3 NoSuchKey": client_error("NoSuchKey"),
    "S3 NotFound": client_error("NotFound"),
    "S3 NoSuchVersion": client_error("NoSuchVersion"),
    "S3 modelled NoSuchKey": modelled_error("NoSuchKey", "NoSuchKey"),
    "google": stand_in("google.api_core.exceptions.NotFound"),
    "azure": stand_in("azure.core.exceptions.ResourceNotFoundError"),
    "in memory": stand_in("inmemorystorage.storage.PathDoesNotExist"),
    "libcloud": stand_in("libcloud.storage.types.ObjectDoesNotExistError"),
    "minio": stand_in("minio.error.S3Error", code="NoSuchKey"),
    "oss2": stand_in("oss2.exceptions.NoSuchKey"),
    "swift": stand_in("swiftclient.exceptions.NoSuchObject"),
    "dropbox": dropbox_error(not_found=True),
    "urllib 404": urllib_error(404),
    "urllib 410": urllib_error(410),
    "requests 404": requests_error(404),
    "requests 410": requests_error(410),
    "wrapper": caused(stand_in("app.errors.S3Error"), client_error("NoSuchKey")),
    "wrapper twice": caused(
        stand_in("app.errors.Outer"),
        caused(stand_in("app.errors.Inner"), FileNotFoundError("gone")),
    ),
}

FAILED = {
    "ConnectionError": ConnectionError("m"),
    "TimeoutError": TimeoutError("m"),
    "one of ours": caused(
        MissingPlaceError("b"), stand_in("google.api_core.exceptions.NotFound")
    ),
    "PermissionError": PermissionError(errno.EACCES, "m"),
    "IsADirectoryError": IsADirectoryError(errno.EISDIR, "m"),
    "EIO": OSError(errno.EIO, "m"),
    "FileNotFoundError of another errno": FileNotFoundError(errno.EIO, "m"),
    "ValueError": ValueError("m"),
    "AttributeError": AttributeError("m"),
    "KeyError": KeyError("x"),
    "S3 403": client_error("403"),
    "S3 NoSuchBucket": client_error("NoSuchBucket"),
    "S3 modelled NoSuchBucket": modelled_error("NoSuchBucket", "NoSuchBucket"),
    "S3 500": client_error("500"),
    "S3 without a response": stand_in("botocore.exceptions.ClientError"),
    "S3 with an empty response": stand_in(
        "botocore.exceptions.ClientError", response=None
    ),
    "a NotFound of another library": stand_in("app.errors.NotFound"),
    "a module that begins alike": stand_in("googleish.exceptions.NotFound"),
    "azure, something else": stand_in("azure.core.exceptions.HttpResponseError"),
    "dropbox, something else": dropbox_error(not_found=False),
    "dropbox of another shape": stand_in("dropbox.exceptions.ApiError"),
    "urllib 403": urllib_error(403),
    "urllib 500": urllib_error(500),
    "requests 503": requests_error(503),
    "requests without a response": stand_in(
        "requests.exceptions.HTTPError", OSError, response=None
    ),
    "wrapper of a failure": caused(stand_in("app.errors.S3Error"), client_error("403")),
    "context is no cause": stand_in("app.errors.E", __context__=FileNotFoundError()),
}


@pytest.mark.parametrize("error", ABSENT.values(), ids=ABSENT)
def test_not_found_of_any_library_means_absent(error):
    """The usual ways of libraries to say "no such file" are recognised."""
    assert classify(error) is Outcome.ABSENT


@pytest.mark.parametrize("error", FAILED.values(), ids=FAILED)
def test_anything_else_is_a_failure(error):
    """What does not clearly say "no such file" is a failure, never a miss."""
    assert classify(error) is Outcome.FAILED


@pytest.mark.parametrize("error", [NotImplementedError(), NotImplementedError("m")])
def test_not_implemented_means_unsupported(error):
    """NotImplementedError is how Django's storages say that they lack a method."""
    assert classify(error) is Outcome.UNSUPPORTED


@pytest.mark.parametrize(
    "error",
    [SuspiciousOperation(), SuspiciousFileOperation("m"), ImproperlyConfigured("m")],
    ids=lambda error: type(error).__name__,
)
def test_errors_of_the_caller_are_raised_at_once(error):
    """Asking another backend would hide them, so classify raises them."""
    with pytest.raises(type(error)) as caught:
        classify(error)
    assert caught.value is error


@pytest.mark.parametrize("length", [1, 2])
def test_a_ring_of_causes_ends(length):
    """An exception may be its own cause (`raise error from error`): a failure."""
    error, other = ValueError("m"), ValueError("n")
    caused(error, error if length == 1 else caused(other, error))
    assert classify(error) is Outcome.FAILED


@pytest.mark.parametrize("error", ABSENT.values(), ids=ABSENT)
def test_absent_in_the_first_backend_goes_to_the_second(error):
    """A backend that says "no such file" is passed over, and that is remembered."""
    first = RecordingStorage("first")
    second = RecordingStorage("second", files={"x": b"12"})
    first.fail("size", error)
    storage = FallbackStorage([first, second])
    assert [storage.size("x"), storage.size("x")] == [2, 2]
    assert (first.count("size"), second.count("size")) == (1, 2)


@pytest.mark.parametrize("error", FAILED.values(), ids=FAILED)
def test_a_failure_of_the_first_backend_is_not_remembered(error):
    """A backend that failed is asked again, and its error wins over "no such file"."""
    first = RecordingStorage("first")
    second = RecordingStorage("second", files={"x": b"12"})
    first.fail("size", error)
    storage = FallbackStorage([first, second])
    assert [storage.size("x"), storage.size("x")] == [2, 2]
    assert (first.count("size"), second.count("size")) == (2, 2)
    with pytest.raises(type(error)) as caught:
        storage.size("y")
    assert caught.value is error


def test_a_line_of_a_trail_names_the_type_of_an_error_only():
    """The text of an exception can hold what belongs to nobody: it is left out."""
    error = ConnectionError("https://user:secret@host/bucket")
    assert str(Attempt("s3", Outcome.HELD)) == "s3: held"
    assert str(Attempt("s3", Outcome.FAILED, error)) == "s3: failed (ConnectionError)"


# Real storages


@pytest.fixture
def disk(tmp_path):
    (tmp_path / "disk" / "folder").mkdir(parents=True)
    (tmp_path / "disk" / "file").write_bytes(b"first")
    (tmp_path / "disk" / "dangling").symlink_to(tmp_path / "nowhere")
    return FileSystemStorage(tmp_path / "disk")


LONG = "n" * 300


@pytest.mark.parametrize("name", ["none", "file/below", LONG, f"{LONG}/x", "dangling"])
@pytest.mark.parametrize(
    "read",
    [
        lambda storage, name: storage.open(name).read(),
        lambda storage, name: storage.size(name).to_bytes(),
    ],
    ids=["open", "size"],
)
def test_what_a_directory_cannot_hold_is_absent(disk, name, read):
    """Below a file, too long a name, a dangling link: the next backend is asked."""
    second = RecordingStorage("second", files={name: b"\x01"})
    storage = FallbackStorage([disk, second])
    assert [read(storage, name), read(storage, name)] == [b"\x01", b"\x01"]
    assert storage.resolve(name).backend == "RecordingStorage"


@pytest.mark.parametrize("name", ["none", "file/below", LONG, "dangling"])
def test_what_nobody_holds_is_not_found(disk, name):
    """Whatever errno the file system gives, callers see a FileNotFoundError."""
    storage = FallbackStorage([disk, InMemoryStorage()])
    for _ in range(2):
        with pytest.raises(FileNotFoundError) as caught:
            storage.open(name)
        assert caught.value.errno == errno.ENOENT
        assert caught.value.filename == name


def test_a_directory_is_no_file_that_is_missing(disk):
    """Opening a directory fails as it does without a chain, if nobody has the file."""
    storage = FallbackStorage([disk, InMemoryStorage()])
    with pytest.raises(IsADirectoryError):
        storage.open("folder")
    second = RecordingStorage("second", files={"folder": b"a file there"})
    assert FallbackStorage([disk, second]).open("folder").read() == b"a file there"


@pytest.mark.parametrize("name", ["none", "file", "file/below", LONG])
def test_a_backend_without_the_directory_has_nothing_to_list(disk, name):
    """A missing directory, or a file in its place, is passed over by listdir."""
    second = RecordingStorage("second", files={f"{name}/x": b""})
    storage = FallbackStorage([disk, second], strict=True)
    assert storage.listdir(name) == ([], ["x"])


class InterruptedStorage(RecordingStorage):
    """As Django's, whose clean-up fails where Ctrl-C came just when a file was opened."""

    interruption = KeyboardInterrupt

    def _save(self, name, content):
        try:
            raise self.interruption
        finally:
            raise OSError(errno.EBADF, "closed already")


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_an_interruption_is_no_failure(interruption):
    """Whatever was raised in its place; no other backend is asked."""
    first, second = InterruptedStorage("first"), RecordingStorage("second")
    first.interruption = interruption
    with pytest.raises(interruption):
        FallbackStorage([first, second]).save("x", ContentFile(b"data"))
    assert second.files == {}


def test_a_failure_while_an_interruption_is_handled_is_a_failure():
    """It has the same context; but who handles it asked for this, and wants an answer."""
    first, second = RecordingStorage("first"), RecordingStorage("second")
    first.fail("_save")
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        FallbackStorage([first, second]).save("x", ContentFile(b"!"))
    assert second.files == {"x": b"!"}


def translated(how):
    """A backend's error that stands for what it caught: a time-out, a program's end."""
    try:
        try:
            raise how
        except BaseException as caught:
            raise TimeoutError from caught
    except TimeoutError as error:
        return error


class Remembering(RecordingStorage):
    """A circuit breaker: raises again what was raised before."""

    last = None

    def _save(self, name, content):
        if self.last is not None:
            raise self.last
        try:
            raise ConnectionError("down")
        except ConnectionError as error:
            self.last = error
            raise


@pytest.mark.parametrize("how", [asyncio.CancelledError(), SystemExit(2)])
def test_what_a_backend_has_caught_and_translated_is_its_failure(how):
    first, second = RecordingStorage("first"), RecordingStorage("second")
    first.fail("_save", translated(how))
    FallbackStorage([first, second]).save("x", ContentFile(b"data"))
    assert second.files == {"x": b"data"}


def test_what_was_handled_long_ago_is_no_interruption():
    """The context of an error that is raised again is that of its first time."""
    chain = FallbackStorage([Remembering("first"), RecordingStorage("second")])

    def view():
        try:
            raise SystemExit
        except SystemExit:
            return chain.save("x", ContentFile(b"1"))

    assert view() == "x"
    assert chain.save("y", ContentFile(b"2")) == "y"
