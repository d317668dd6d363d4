"""Where no backend answers, nothing is said of the file: the failure is raised."""

from __future__ import annotations

import pytest
from django.core.files.base import ContentFile
from fakes import RecordingStorage

from fallback_storage.exceptions import AllBackendsFailed, OperationNotSupportedError
from fallback_storage.storage import FallbackStorage

OPERATIONS = {
    "exists": lambda storage: storage.exists("x"),
    "open": lambda storage: storage.open("x"),
    "size": lambda storage: storage.size("x"),
    "get_modified_time": lambda storage: storage.get_modified_time("x"),
    "listdir": lambda storage: storage.listdir("d"),
    "url": lambda storage: storage.url("x"),
    "path": lambda storage: storage.path("x"),
    "delete": lambda storage: storage.delete("x"),
    "save": lambda storage: storage.save("x", ContentFile(b"1")),
    "open to write": lambda storage: storage.open("x", "wb"),
    "open to append": lambda storage: storage.open("x", "ab"),
    "open to create": lambda storage: storage.open("x", "xb"),
    "get_available_name": lambda storage: storage.get_available_name("x"),
    "is_name_available": lambda storage: storage.is_name_available("x"),
}
METHODS = (
    "exists",
    "_open",
    "size",
    "get_modified_time",
    "listdir",
    "url",
    "path",
    "delete",
    "_save",
)


def down(error, label="down"):
    storage = RecordingStorage(label)
    for method in METHODS:
        storage.fail(method, error)
    return storage


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("cache", [None, False])
def test_a_chain_of_one_fails_as_that_one_does(operation, cache):
    """Every time it is asked; also within another chain."""
    error = OSError("down")  # in an outage it would be left alone in the end
    inner = FallbackStorage([down(error)], cache=cache)
    for chain in (inner, FallbackStorage([inner], cache=cache)):
        for _ in range(2):
            with pytest.raises(OSError, match="down") as caught:
                OPERATIONS[operation](chain)
            assert caught.value is error


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_chain_that_is_down_as_a_whole_fails(operation):
    """With all failures, or the one of the only backend that implements it."""
    one, two = ConnectionError("one"), TimeoutError("two")
    with pytest.raises((AllBackendsFailed, ConnectionError)):
        OPERATIONS[operation](FallbackStorage([down(one), down(two)]))
    lacking = down(NotImplementedError())
    for backends in ([down(one), lacking], [lacking, down(one)]):
        # Libraries take the one for "no local storage" and nothing else.
        expected = (
            OperationNotSupportedError if operation == "path" else ConnectionError
        )
        with pytest.raises((expected, ConnectionError)):
            OPERATIONS[operation](FallbackStorage(backends))


def test_a_hidden_file_is_an_answer(settings):
    """What a whiteout hides is absent, whatever the other backends do."""
    local = RecordingStorage("local")
    production = {
        "BACKEND": "fakes.RecordingStorage",
        "OPTIONS": {"files": {"x": b""}},
        "READ_ONLY": True,
    }
    chain = FallbackStorage([production, local], on_delete="whiteout", cache=False)
    chain.delete("x")
    local.fail("size")
    assert chain.exists("x") is False


@pytest.mark.parametrize("order", [1, -1])
def test_what_some_do_not_have_and_others_do_not_say(order):
    """exists: False, as documented. listdir: the failure, not an empty directory."""
    absent = RecordingStorage("absent")
    absent.fail("listdir", FileNotFoundError())
    chain = FallbackStorage([absent, down(ConnectionError("down"))][::order])
    assert chain.exists("x") is False
    with pytest.raises(ConnectionError):
        chain.listdir("d")
