"""Iterate until success: whom a chain asks, and what it raises when nobody succeeds."""

from __future__ import annotations

import logging

import pytest
from django.core.exceptions import ImproperlyConfigured, SuspiciousFileOperation
from django.core.files.base import ContentFile
from django.core.files.storage import Storage
from fakes import SOME_TIME, RecordingStorage

from fallback_storage.chain.outcomes import Outcome
from fallback_storage.chain.walk import NOTHING
from fallback_storage.exceptions import (
    AllBackendsFailed,
    FileNotInAnyBackendError,
    OperationNotSupportedError,
)
from fallback_storage.storage import FallbackStorage

TIMES = ["get_accessed_time", "get_created_time", "get_modified_time"]
LEGACY = [method.removeprefix("get_") for method in TIMES]

# Public method -> the backends' method, of those that ask in order for their answer.
ASKED = {
    "exists": "exists",
    "open": "_open",
    "size": "size",
    **dict(zip(TIMES, TIMES, strict=True)),
    **dict(zip(LEGACY, TIMES, strict=True)),
    "listdir": "listdir",
    "delete": "delete",
    "save": "_save",
    "path": "path",
}
# Of these, those whose failure is the answer's: exists and path ask first.
FETCHED = [operation for operation in ASKED if operation not in {"exists", "path"}]
# "Not there" is an answer to all of them but a save: there it is a failure.
NOT_THERE = [operation for operation in FETCHED if operation != "save"]


def call(storage, operation, name="x"):
    args = (ContentFile(b"new"),) if operation == "save" else ()
    return getattr(storage, operation)(name, *args)


class Bare:
    """What only looks like a storage: it has one method, and a name to show."""

    def __init__(self, label="bare"):
        self.label = label
        self.asked = 0

    def exists(self, name):
        self.asked += 1
        return False


def bare(label="bare"):
    """Return a callable, the one kind of entry that may give what is no Storage."""
    storage = Bare(label)
    return lambda: storage


@pytest.fixture
def first():
    return RecordingStorage("first")


@pytest.fixture
def second():
    return RecordingStorage("second")


@pytest.fixture
def third():
    return RecordingStorage("third")


@pytest.fixture
def storage(first, second, third):
    return FallbackStorage([first, second, third])


class Interrupt(BaseException):
    """Not an Exception, like KeyboardInterrupt."""


@pytest.mark.parametrize("operation", ASKED)
@pytest.mark.parametrize(
    "error",
    [
        SuspiciousFileOperation("m"),
        ImproperlyConfigured("m"),
        KeyboardInterrupt(),
        SystemExit(3),
        Interrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_is_not_a_backends_failure_is_raised_at_once(
    storage, first, second, third, operation, error
):
    """Neither the backends below are asked, nor is anything remembered."""
    second.fail(ASKED[operation], error)
    first.unsupported.add(ASKED[operation])
    if operation == "path":
        second.files["x"] = b""
    for _ in range(2):
        with pytest.raises(type(error)) as caught:
            call(storage, operation)
        assert caught.value is error
    assert second.count(ASKED[operation]) == 2
    assert third.count(ASKED[operation]) == 0


@pytest.mark.parametrize("error", [SuspiciousFileOperation("m"), KeyboardInterrupt()])
@pytest.mark.parametrize("method", ["exists", "url"])
def test_url_raises_at_once_as_well(storage, first, second, third, method, error):
    """Neither the probe nor the URL of another backend covers such an error up."""
    first.files["x"] = b""
    first.fail(method, error)
    for _ in range(2):
        with pytest.raises(type(error)) as caught:
            storage.url("x")
        assert caught.value is error
    assert second.calls == third.calls == []


@pytest.mark.parametrize("operation", NOT_THERE)
def test_one_failure_is_raised_as_it_is(storage, first, second, third, operation):
    """Exactly one backend failed: its very exception, though others said "absent"."""
    error = ConnectionError("second is down")
    for backend in (first, third):
        backend.fail(ASKED[operation], FileNotFoundError("gone"))
    second.fail(ASKED[operation], error)
    with pytest.raises(ConnectionError) as caught:
        call(storage, operation)
    assert caught.value is error
    for backend in (first, second, third):
        assert backend.count(ASKED[operation]) == 1


@pytest.mark.parametrize("operation", NOT_THERE)
def test_several_failures_are_raised_as_a_group(
    storage, first, second, third, operation
):
    """Several backends failed: all their exceptions, in order, with the account."""
    errors = [ConnectionError("m"), TimeoutError("m")]
    first.fail(ASKED[operation], errors[0])
    second.fail(ASKED[operation], FileNotFoundError("gone"))
    third.fail(ASKED[operation], errors[1])
    with pytest.raises(AllBackendsFailed) as caught:
        call(storage, operation)
    group = caught.value
    assert isinstance(group, ExceptionGroup)
    assert list(group.exceptions) == errors
    assert all(a is b for a, b in zip(group.exceptions, errors, strict=True))
    assert (group.operation, group.name) == (operation, "x")
    assert [line.outcome for line in group.trail] == [
        Outcome.FAILED,
        Outcome.ABSENT,
        Outcome.FAILED,
    ]


@pytest.mark.parametrize("operation", ["open", "size", *TIMES, *LEGACY, "listdir"])
@pytest.mark.parametrize("error", [FileNotFoundError("gone"), NotADirectoryError("m")])
def test_absent_everywhere_is_file_not_found(storage, first, operation, error):
    """All said "no such file": a FileNotFoundError with the account of all three."""
    for backend in storage.backends:
        backend.storage.fail(ASKED[operation], error)
    with pytest.raises(FileNotInAnyBackendError) as caught:
        call(storage, operation)
    assert caught.value.filename == "x"
    assert caught.value.operation == operation
    assert [line.outcome for line in caught.value.trail] == [Outcome.ABSENT] * 3


@pytest.mark.parametrize("operation", [*ASKED, "url"])
def test_nobody_implements_a_method(operation):
    """An AttributeError, as the original documents, which Django's callers expect to
    be a NotImplementedError; it names the method and who was asked.
    """
    storage = FallbackStorage([Storage(), Storage()])
    if operation == "save":
        # Without exists() no name can be chosen; this is about _save.
        free = RecordingStorage(unsupported=["_save"])
        storage = FallbackStorage([free, RecordingStorage(unsupported=["_save"])])
    for kind in (AttributeError, NotImplementedError):
        with pytest.raises(kind) as caught:
            call(storage, operation)
        assert type(caught.value) is OperationNotSupportedError
        asked = ", ".join(backend.name for backend in storage.backends)
        if operation not in {"url", "path"}:  # here not everybody is asked
            assert f"{operation}() (asked: {asked})" in str(caught.value)


@pytest.mark.parametrize("operation", [*ASKED, "url"])
def test_a_missing_attribute_counts_as_not_implemented(second, operation):
    """A backend without the method is skipped, whether it has a stub or nothing."""
    second.files["x"] = b"12"
    second.path = lambda name: f"/second/{name}"
    storage = FallbackStorage([bare(), second])
    expected = {
        "exists": True,
        "size": 2,
        "url": "https://second.example/x",
        "path": "/second/x",
        "listdir": ([], []),
        "delete": None,
        "save": "x",
        **dict.fromkeys(TIMES, SOME_TIME),
    }
    if operation == "save":
        second.files.clear()
    answer = call(storage, operation)
    assert answer == expected.get(operation, answer)
    assert operation == "path" or second.count(ASKED.get(operation, operation)) == 1


def test_a_missing_url_is_skipped_with_arguments_as_well(second):
    """Arguments for a backend that has no url() do not change who is skipped."""
    silent = Bare()
    silent.exists = lambda name: True
    storage = FallbackStorage([lambda: silent, second])
    assert storage.url("x", expire=60) == "https://second.example/x"


def test_none_is_an_answer(first):
    """A backend whose method returns None has answered."""
    first.get_created_time = lambda name: None
    assert FallbackStorage([first]).get_created_time("x") is None
    assert (repr(NOTHING), NOTHING is None) == ("NOTHING", False)


@pytest.mark.parametrize("operation", LEGACY)
def test_legacy_times_are_naive(settings, first, operation):
    """The times that the original documents are naive and local, as in Django 1.x."""
    settings.TIME_ZONE = "Europe/Berlin"
    first.files["x"] = b""
    storage = FallbackStorage([first])
    naive = getattr(storage, operation)("x")
    assert naive.tzinfo is None
    assert naive.hour == SOME_TIME.hour + 2
    setattr(first, operation, lambda name: naive)
    assert getattr(storage, operation)("x") == naive


# Failures that the answer passes over


@pytest.mark.parametrize("operation", ["exists", "url", "listdir", "delete", "save"])
def test_failures_behind_an_answer_are_logged(storage, first, caplog, operation):
    """Who fell back says so: operation, name, backend and type of the error."""
    caplog.set_level(logging.WARNING, "fallback_storage")
    if operation == "save":
        first.fail("_save")
    else:
        first.fail("exists" if operation == "url" else ASKED[operation])
    call(storage, operation, "some/x")
    logged = [r.getMessage() for r in caplog.records if "some/x" in r.getMessage()]
    assert any("RecordingStorage: failed (ConnectionError)" in line for line in logged)


@pytest.mark.parametrize("operation", ["open", "size", *TIMES])
def test_failures_behind_a_read_are_logged(storage, first, second, caplog, operation):
    """A read that an outage sent to the next backend leaves a line in the log."""
    first.fail(ASKED[operation])
    second.files["x"] = b""
    call(storage, operation)
    assert "failed (ConnectionError)" in caplog.text


@pytest.mark.parametrize(
    "operation", ["exists", "listdir", "path", "get_available_name"]
)
def test_strict_raises_what_would_be_passed_over(first, second, operation):
    """strict=True: no answer while a backend failed and no other holds the file."""
    error = ConnectionError("m")
    first.fail("listdir" if operation == "listdir" else "exists", error)
    with pytest.raises(ConnectionError) as caught:
        getattr(FallbackStorage([first, second], strict=True), operation)("x")
    assert caught.value is error
    if operation != "path":  # never one of a file that could not be looked for
        getattr(FallbackStorage([first, second]), operation)("x")


@pytest.mark.parametrize("operation", ["exists", "path"])
def test_strict_keeps_an_answer_that_is_certain(first, second, operation):
    """A backend that holds the file answers, though one above it failed."""
    first.fail("exists")
    second.files["x"] = b""
    second.path = lambda name: f"/second/{name}"
    storage = FallbackStorage([first, second], strict=True)
    assert getattr(storage, operation)("x") in {True, "/second/x"}


@pytest.mark.parametrize("operation", ["url", "path"])
def test_never_not_found_while_a_backend_failed(first, second, operation):
    """The last word "no such file" does not cover a backend that could not say."""
    first.fail("exists")
    first.unsupported.add(operation)
    second.fail(operation, FileNotFoundError("gone"))
    with pytest.raises(ConnectionError):
        getattr(FallbackStorage([first, second]), operation)("x")


def test_a_chain_of_chains_behaves_like_one_chain(first, second, third):
    """What a chain raises, a chain around it understands."""
    storage = FallbackStorage([FallbackStorage([first, second]), third])
    third.files["x"] = b"12"
    assert [storage.size("x"), storage.size("x")] == [2, 2]
    assert [backend.count("size") for backend in (first, second, third)] == [1, 1, 2]
    with pytest.raises(FileNotInAnyBackendError):
        storage.size("y")
    first.fail("size")
    second.fail("size")
    assert storage.size("x") == 2
    with pytest.raises(AllBackendsFailed):
        storage.size("z")
