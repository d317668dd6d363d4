"""The package's errors: caught as the built-in ones, picklable, discreet."""

from __future__ import annotations

import copy
import errno
import logging
import pickle
import traceback

import pytest
from django.core.exceptions import ImproperlyConfigured
from fakes import RecordingStorage

from fallback_storage.chain.outcomes import Attempt, Outcome
from fallback_storage.exceptions import (
    AllBackendsFailed,
    ConfigurationError,
    CorruptCopyError,
    FallbackStorageError,
    FileNotInAnyBackendError,
    Mistake,
    NameBlockedError,
    NoAvailableNameError,
    OperationNotSupportedError,
    PartialCopyError,
    ReadOnlyBackendError,
)
from fallback_storage.storage import FallbackStorage

TRAIL = (
    Attempt("local", Outcome.ABSENT, FileNotFoundError("gone"), seconds=0.5),
    Attempt("s3", Outcome.FAILED, ConnectionError("m")),
    Attempt("old", Outcome.FAILED, TimeoutError("m"), remembered=True),
)


def all_failed():
    error = AllBackendsFailed(
        "size('x') failed", [attempt.exception for attempt in TRAIL[1:]]
    )
    error.operation, error.name, error.trail = "size", "x", TRAIL
    return error


ERRORS = {
    "configuration": (
        lambda: ConfigurationError(
            Mistake.EMPTY_CHAIN, "STORAGES['x']", "is empty.", "Fill it."
        ),
        [ImproperlyConfigured],
        {
            "mistake": Mistake.EMPTY_CHAIN,
            "where": "STORAGES['x']",
            "found": "is empty.",
            "instead": "Fill it.",
        },
    ),
    "not found": (
        lambda: FileNotInAnyBackendError("open", "a/x", TRAIL),
        [FileNotFoundError, OSError],
        {"errno": errno.ENOENT, "filename": "a/x", "operation": "open"},
    ),
    "all failed": (
        all_failed,
        [ExceptionGroup],
        {"operation": "size", "name": "x", "message": "size('x') failed"},
    ),
    "not supported": (
        lambda: OperationNotSupportedError("No backend implements path()."),
        [AttributeError, NotImplementedError],
        {},
    ),
    "read-only": (
        lambda: ReadOnlyBackendError("save", "x", ["s3", "old"]),
        [PermissionError, OSError],
        {
            "errno": errno.EROFS,
            "filename": "x",
            "operation": "save",
            "backends": ("s3", "old"),
        },
    ),
    "corrupt": (
        lambda: CorruptCopyError("x"),
        [OSError],
        {"errno": errno.EIO, "filename": "x"},
    ),
    "partial": (
        lambda: PartialCopyError("x", 5),
        [OSError],
        {"errno": errno.EIO, "filename": "x", "found": 5},
    ),
    "blocked": (
        lambda: NameBlockedError("a/b", "a", "a file"),
        [FileExistsError],
        {"errno": errno.EEXIST, "filename": "a/b", "place": "a", "what": "a file"},
    ),
    "no name": (
        lambda: NoAvailableNameError("x", 100, "f()"),
        [FileExistsError, OSError],
        {"errno": errno.EEXIST, "filename": "x", "tries": 100, "suspect": "f()"},
    ),
}
CASES = pytest.mark.parametrize(
    ("make", "bases", "attributes"), ERRORS.values(), ids=ERRORS
)
WAYS = {
    "pickle": lambda error: pickle.loads(pickle.dumps(error)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


def told(trail):
    """Return what a trail says, in values that can be compared."""
    return [
        (*map(str, (line, line.backend, line.remembered, line.seconds)), line.outcome)
        for line in trail
    ]


@CASES
def test_each_is_the_builtin_error_that_callers_catch(make, bases, attributes):
    """An error of this package is also what code for a plain storage catches."""
    error = make()
    for base in [FallbackStorageError, *bases]:
        assert isinstance(error, base)


@CASES
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_each_survives_pickling_and_copying(make, bases, attributes, way):
    """Task queues and process pools hand errors on: all attributes come along."""
    error = make()
    twin = way(error)
    assert type(twin) is type(error)
    assert str(twin) == str(error)
    assert {name: getattr(twin, name) for name in attributes} == attributes
    if hasattr(error, "trail"):
        assert told(twin.trail) == told(TRAIL)
        assert [type(line.exception) for line in twin.trail] == [
            FileNotFoundError,
            ConnectionError,
            TimeoutError,
        ]
    if isinstance(error, ExceptionGroup):
        assert [repr(part) for part in twin.exceptions] == [
            repr(part) for part in error.exceptions
        ]


def test_parts_of_a_group_keep_the_account():
    """except* and split make parts: each still tells operation, name and trail."""
    error = all_failed()
    match, rest = error.split(TimeoutError)
    for part in (match, rest, error.subgroup(ConnectionError)):
        assert isinstance(part, AllBackendsFailed)
        assert (part.operation, part.name) == ("size", "x")
        assert told(part.trail) == told(TRAIL)
    try:
        raise error
    except* ConnectionError as caught:
        connection = caught
    except* TimeoutError as caught:
        timeout = caught
    assert len(connection.exceptions) == len(timeout.exceptions) == 1
    assert connection.trail is timeout.trail is error.trail


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            ERRORS["configuration"][0](),
            ["STORAGES['x']: is empty. Fill it. (fallback_storage.E006)"],
        ),
        (ERRORS["not found"][0](), ["No such", "a/x"]),
        (ERRORS["read-only"][0](), ["save()", "READ_ONLY", "'s3', 'old'", "'x'"]),
        (ERRORS["blocked"][0](), ["'a' is a file", "'a/b'"]),
        (ERRORS["no name"][0](), ["100 tries", "f()", "'x'"]),
    ],
    ids=["configuration", "not found", "read-only", "blocked", "no name"],
)
def test_messages_say_what_to_do(error, words):
    """A message names the place, what was found, and what to write instead."""
    for word in words:
        assert word.replace("No such", "No storage backend holds") in str(error)


# Discretion

SECRET = "AKIA-not-to-be-seen"


class Leaky(RecordingStorage):
    """A storage whose errors quote its options, as HTTP libraries quote their URL."""

    def __init__(self, endpoint, error=ConnectionError, **options):
        super().__init__(**options)
        for method in ("exists", "_open", "_save", "delete", "url", "size", "listdir"):
            self.fail(method, error(f"{method} of {endpoint} failed"))


def leaky(label, **options):
    return {
        "BACKEND": f"{__name__}.Leaky",
        "OPTIONS": {"endpoint": f"https://{SECRET}@{label}", "label": label, **options},
        "NAME": label,
    }


def several(error=ConnectionError):
    return FallbackStorage([leaky("one", error=error), leaky("two", error=error)])


def test_log_lines_show_no_option(caplog):
    """A failure that the answer passes over is logged by type, not by text."""
    caplog.set_level(logging.DEBUG)
    storage = FallbackStorage([leaky("one"), RecordingStorage(files={"x": b""})])
    assert storage.exists("x") is True
    assert storage.exists("y") is False
    assert storage.url("y")
    assert storage.listdir("") == ([], ["x"])
    assert storage.save("z", RecordingStorage(files={"x": b""}).open("x"))
    storage.delete("z")
    storage.open("w", "wb").close()
    assert len(caplog.records) >= 6
    assert SECRET not in caplog.text
    assert "one: failed (ConnectionError)" in caplog.text


@pytest.mark.parametrize("operation", ["size", "open", "url", "listdir", "delete"])
def test_messages_of_several_failures_show_no_option(operation):
    """The message of AllBackendsFailed names types; the parts are the backends' own."""
    if operation == "url":
        storage = FallbackStorage([leaky("one"), leaky("two")])
        storage.backends[0].storage.heal("exists")
        storage.backends[0].storage.files["x"] = b""
    else:
        storage = several()
    with pytest.raises(AllBackendsFailed) as caught:
        getattr(storage, operation)("x")
    assert SECRET not in str(caught.value)
    assert "one: failed (ConnectionError)" in str(caught.value)
    assert caught.value.operation == operation
    assert caught.value.name == "x"
    assert [type(part) for part in caught.value.exceptions] == [ConnectionError] * 2


def test_not_found_shows_no_option():
    """The texts by which backends say "no such file" are not quoted."""
    with pytest.raises(FileNotInAnyBackendError) as caught:
        several(FileNotFoundError).size("x")
    error = caught.value
    shown = [str(error), repr(error), *map(str, error.trail)]
    shown += traceback.format_exception(error)
    assert SECRET not in "".join(shown)


@pytest.mark.parametrize("error", [ConnectionError, FileNotFoundError])
def test_a_repr_shows_no_option(error):
    """A trail, a resolution or a group can be printed and logged without a thought."""
    storage = several(error)
    resolution = storage.resolve("x")
    assert resolution.held is (False if error is FileNotFoundError else None)
    with pytest.raises(OSError if error is FileNotFoundError else ExceptionGroup) as c:
        storage.size("x")
    shown = [repr(resolution), repr(c.value.trail), repr(c.value), repr(storage)]
    shown += [repr(backend) for backend in storage.backends]
    assert SECRET not in "".join(shown)
