"""Saving and deleting: which backends they reach, and what is known afterwards."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, InMemoryStorage
from fakes import RecordingStorage, read, read_only

from fallback_storage.exceptions import (
    AllBackendsFailed,
    FileNotInAnyBackendError,
    OperationNotSupportedError,
    ReadOnlyBackendError,
)
from fallback_storage.storage import FallbackStorage


class Renaming(RecordingStorage):
    """Stores under a name of its own, as a storage does that lost a race."""

    def _save(self, name, content):
        return super()._save(f"renamed/{name}", content)


# Save: what it makes known


def test_requested_and_returned_names_are_both_forgotten():
    """A backend may store under another name: both are asked about afresh."""
    first = Renaming("first")
    chain = FallbackStorage([first, RecordingStorage("second")])
    assert chain.exists("x") is chain.exists("renamed/x") is False
    assert chain.save("x", ContentFile(b"1")) == "renamed/x"
    assert chain.exists("renamed/x") is True
    # "x" was not stored; what counts is that nobody answers from memory.
    first.files["x"] = b"2"
    assert chain.exists("x") is True


def test_a_failed_save_is_forgotten_too():
    """What a failed save left behind is not known: the next answer is live."""
    first = RecordingStorage("first")
    chain = FallbackStorage([first])
    assert chain.exists("x") is False
    first.fail("_save")
    first.before("_save", lambda name: first.files.update({name: b"left"}))
    first.unsupported.add("delete")
    with pytest.raises(ConnectionError):
        chain.save("x", ContentFile(b"all"))
    assert first.files == {"x": b"left"}
    assert chain.exists("x") is True


@pytest.mark.parametrize("make", ["disk", "memory"])
@pytest.mark.parametrize("ancestor", ["a", "a/b", "a/b/c.txt"])
def test_a_save_makes_its_directories_exist(tmp_path, make, ancestor):
    """What was known of a directory above the saved file is forgotten with it."""
    last = FileSystemStorage(tmp_path) if make == "disk" else InMemoryStorage()
    below = RecordingStorage("below")
    chain = FallbackStorage([last, below])
    assert chain.exists(ancestor) is False
    assert chain.url(ancestor) == f"https://below.example/{ancestor}"
    assert chain.save("a/b/c.txt", ContentFile(b"1")) == "a/b/c.txt"
    assert chain.exists(ancestor) is True
    # (Of a directory it is known that it is no file; the last may have one.)
    holder = last if ancestor == "a/b/c.txt" else below
    assert chain.url(ancestor) == holder.url(ancestor)
    assert read(chain, "a/b/c.txt") == b"1"


@pytest.mark.parametrize("spelling", ["./a//b", "a\\b", Path("a/b"), ".\\a/./b"])
def test_a_save_is_seen_under_every_spelling(spelling):
    """Names are folded to one spelling before any backend or memo sees them."""
    first = RecordingStorage("first")
    chain = FallbackStorage([first])
    assert chain.exists("a/b") is False
    assert chain.save(spelling, ContentFile(b"1")) == "a/b"
    assert first.files == {"a/b": b"1"}
    assert chain.exists("a/b") is True


@pytest.mark.parametrize(
    "name",
    [
        "x/../a",
        "a/x/..",
        "x\\..\\a",
        Path("x/../a"),
        "a/./../a",
        ".",
        "./",
        "a/",
        "x/..",
    ],
    ids=repr,
)
@pytest.mark.parametrize("as_content", [False, True])
def test_a_name_that_djangos_save_refuses_is_refused(tmp_path, name, as_content):
    """Also where it folds to a name in the storage; with Django's own words."""
    first = RecordingStorage("first")
    said = []
    for storage in (FileSystemStorage(tmp_path), FallbackStorage([first])):
        content = ContentFile(b"1")
        content.name = name if as_content else None
        with pytest.raises(SuspiciousFileOperation) as caught:
            storage.save(None if as_content else name, content)
        said.append(str(caught.value))
    assert said[0] == said[1]
    assert first.calls == []


def test_the_contents_name_is_taken_where_none_is_given():
    """``save(None, content)`` is Django's own: the content's name."""
    chain = FallbackStorage([RecordingStorage("first")])
    assert chain.save(None, ContentFile(b"1", name="own.txt")) == "own.txt"


def test_a_save_asks_no_further_backend_than_it_must():
    """One live ``exists`` each for the name, one ``_save``, and no more."""
    first, second = RecordingStorage("first"), RecordingStorage("second")
    FallbackStorage([first, second]).save("x", ContentFile(b"1"))
    assert first.counts() == {"exists": 1, "_save": 1}
    assert second.counts() == {"exists": 1}


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENAMETOOLONG, "File name too long"),
        FileNotFoundError(errno.ENOENT, "No such file or directory", "upload.tmp"),
    ],
    ids=["name-too-long", "upload-gone"],
)
def test_a_save_fails_with_the_backends_own_error(error):
    """ "Not there" is no answer to a save: it is a failure like any other."""
    first = RecordingStorage("first")
    first.fail("_save", error)
    with pytest.raises(OSError, match=error.strerror) as caught:
        FallbackStorage([first]).save("x", ContentFile(b"1"))
    assert caught.value is error
    second = RecordingStorage("second")
    second.fail("_save")
    with pytest.raises(AllBackendsFailed) as caught:
        FallbackStorage([first, second]).save("x", ContentFile(b"1"))
    assert caught.value.exceptions[0] is error


def test_a_save_with_read_only_backends_alone_reads_nothing(settings):
    """It says so, and the content can still be saved elsewhere, whole."""
    entry, production = read_only(settings)
    other, staging = read_only(settings, alias="staging")
    content = ContentFile(b"all of it")
    with pytest.raises(ReadOnlyBackendError) as caught:
        FallbackStorage([entry, other]).save("x", content)
    assert str(caught.value) == (
        "[Errno 30] save() has nowhere to write: READ_ONLY is set for 'production', "
        "'staging'. Put a writable backend into the chain, or remove READ_ONLY: 'x'"
    )
    assert isinstance(caught.value, PermissionError)
    assert content.read() == b"all of it"
    for storage in (production, staging):
        assert set(storage.counts()) <= {"exists"}


# Delete


def test_delete_stops_at_the_first_that_can(settings):
    """``on_delete="first"``, as the original documents it; never a read-only one."""
    entry, production = read_only(settings, {"x": b"0"})
    first = RecordingStorage("first", {"x": b"1"})
    second = RecordingStorage("second", {"x": b"2"})
    chain = FallbackStorage([entry, first, second])
    chain.delete("x")
    assert (first.files, second.files) == ({}, {"x": b"2"})
    assert (first.count(), second.count(), production.count()) == (1, 0, 0)


def test_delete_goes_on_where_a_backend_fails_or_cannot(caplog):
    """A failure or a missing method passes the call to the next, and is logged."""
    first = RecordingStorage("first", {"x": b"1"}, unsupported=["delete"])
    second = RecordingStorage("second", {"x": b"2"})
    second.fail("delete")
    third = RecordingStorage("third", {"x": b"3"})
    FallbackStorage([first, second, third]).delete("x")
    assert third.files == {}
    assert "deleted from 'RecordingStorage-3'" in caplog.text


def test_delete_all_deletes_from_every_writable_backend(settings):
    """``on_delete="all"`` leaves the file only in what is read-only."""
    entry, production = read_only(settings, {"x": b"0"})
    first = RecordingStorage("first", {"x": b"1"})
    second = RecordingStorage("second", {"x": b"2"})
    chain = FallbackStorage([first, entry, second], on_delete="all")
    assert chain.resolve("x").backend == "RecordingStorage"
    chain.delete("x")
    assert first.files == second.files == {}
    assert production.files == {"x": b"0"}
    assert production.counts() == {}
    assert chain.resolve("x").backend == "production"


def test_delete_all_reports_a_failure_after_deleting_from_the_others():
    """A copy that could not be deleted is an error, and the others are gone."""
    first = RecordingStorage("first", {"x": b"1"})
    second = RecordingStorage("second", {"x": b"2"})
    first.fail("delete")
    chain = FallbackStorage([first, second], on_delete="all")
    with pytest.raises(ConnectionError):
        chain.delete("x")
    assert second.files == {}
    second.fail("delete")
    with pytest.raises(AllBackendsFailed):
        chain.delete("x")


@pytest.mark.parametrize("on_delete", ["first", "all"])
def test_delete_of_a_missing_file(tmp_path, on_delete):
    """Silent where a storage is; an error that is FileNotFoundError where all raise."""
    chain = FallbackStorage([FileSystemStorage(tmp_path)], on_delete=on_delete)
    assert chain.delete("missing") is None
    picky = RecordingStorage("picky")
    picky.fail("delete", FileNotFoundError("no such key"))
    chain = FallbackStorage([picky, picky], on_delete=on_delete)
    with pytest.raises(FileNotInAnyBackendError):
        chain.delete("missing")


def test_delete_that_no_backend_implements():
    """It is an AttributeError, as the original documents, and NotImplementedError."""
    chain = FallbackStorage([RecordingStorage("first", unsupported=["delete"])])
    with pytest.raises(OperationNotSupportedError):
        chain.delete("x")


def test_delete_with_read_only_backends_alone(settings):
    """It says so and reaches none of them."""
    entry, production = read_only(settings, {"x": b"0"})
    with pytest.raises(ReadOnlyBackendError, match="READ_ONLY is set for 'production'"):
        FallbackStorage([entry]).delete("x")
    assert production.count() == 0


@pytest.mark.parametrize("name", ["", ".", "a/.."])
def test_delete_of_no_name(name):
    """The root of a storage is never deleted."""
    first = RecordingStorage("first")
    with pytest.raises(ValueError, match=r"The name must be given to delete\(\)"):
        FallbackStorage([first]).delete(name)
    assert first.count() == 0


def test_deleting_a_directory_forgets_what_was_in_it():
    """InMemoryStorage deletes a directory with its files: none is remembered."""
    first, second = InMemoryStorage(), RecordingStorage("second")
    chain = FallbackStorage([first, second])
    chain.save("a/b/c.txt", ContentFile(b"1"))
    assert chain.exists("a/b/c.txt") is chain.exists("a/b") is True
    chain.delete("a")
    assert chain.exists("a/b/c.txt") is chain.exists("a/b") is False
    assert chain.url("a/b/c.txt") == "https://second.example/a/b/c.txt"


def test_deleting_an_empty_directory_is_forgotten(tmp_path):
    """FileSystemStorage deletes empty directories, with or without a slash."""
    chain = FallbackStorage([FileSystemStorage(tmp_path)])
    for spelling in ("a", "a/"):
        (tmp_path / "a").mkdir()
        chain.forget("a")
        assert chain.exists("a") is True
        chain.delete(spelling)
        assert chain.exists("a") is False


def test_a_delete_is_forgotten_under_other_instances_too():
    """Apps build their own instances over the same files."""
    first = RecordingStorage("first", {"x": b"1"})
    one, other = FallbackStorage([first]), FallbackStorage([first])
    assert one.exists("x") is other.exists("x") is True
    one.delete("x")
    assert one.exists("x") is other.exists("x") is False
    other.save("x", ContentFile(b"2"))
    assert one.exists("x") is True
