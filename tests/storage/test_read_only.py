"""A read-only backend is never written, whatever is called and whoever fails."""

from __future__ import annotations

import errno

import pytest
from django.core.files.base import ContentFile
from fakes import RecordingStorage

from fallback_storage.exceptions import FallbackStorageError, ReadOnlyBackendError
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


def ask(question, *args):
    try:
        return question(*args)
    except Exception as error:
        return error


WRITES = {
    "save": lambda storage: storage.save("x", ContentFile(b"new")),
    "delete": lambda storage: storage.delete("x"),
    **{
        f"open {mode}": lambda storage, mode=mode: storage.open("x", mode).close()
        for mode in ("w", "wb", "a", "ab", "x", "xb", "r+", "r+b", "w+b", "a+b")
    },
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("holds", [False, True])
@pytest.mark.parametrize("writable", [None, "before", "after", "failing"])
def test_a_read_only_backend_is_never_written(write, holds, writable):
    """Whatever is called, whoever fails: it is asked, but nothing changes in it."""
    held = {"x": b"production"} if holds else {}
    production = RecordingStorage("production", files=held)
    own = RecordingStorage("own")
    backends = [entry(production, READ_ONLY=True)]
    if writable:
        backends.insert(1 if writable == "after" else 0, entry(own, READ_ONLY=False))
    if writable == "failing":
        for method in ("_save", "_open", "delete"):
            own.fail(method)
    answer = ask(write, FallbackStorage(backends))
    assert production.files == held
    # A mode that keeps content copies it up first: that reads, no more.
    assert {method for method, _ in production.calls} <= {
        "exists",
        "_open",
        "get_modified_time",
    }
    if writable is None:
        assert isinstance(answer, ReadOnlyBackendError)
        assert isinstance(answer, PermissionError)
        assert isinstance(answer, FallbackStorageError)
        assert answer.errno == errno.EROFS
        assert answer.filename.startswith("x")
        assert answer.backends == ("production",)
        assert "'production'" in str(answer)
        assert "READ_ONLY" in str(answer)


def test_a_save_that_nobody_may_take_asks_nobody():
    """The error names the file as the caller does, and costs no request."""
    production = RecordingStorage("production", files={"x": b"production"})
    storage = FallbackStorage([entry(production, READ_ONLY=True)])
    with pytest.raises(ReadOnlyBackendError) as caught:
        storage.save("x", ContentFile(b"new"))
    assert caught.value.filename == "x"
    assert production.calls == []
