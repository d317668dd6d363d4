"""``sync``: what only lower backends hold comes home, whole, once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from django.core.files import locks
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from fakes import SOME_TIME, RecordingStorage
from overlay.parts import (
    Guard,
    GuardFiles,
    InPlace,
    digest,
    read_only,
    writable,
)
from synced import FILES, HOMES, content, errors, make, make_home, results

from fallback_storage.exceptions import (
    ReadOnlyBackendError,
)
from fallback_storage.jobs.sync import Result, sync
from fallback_storage.storage import FallbackStorage


@pytest.fixture(params=HOMES)
def home(request, tmp_path):
    return make_home(request.param, tmp_path)


def may_hold_parts(home):
    return type(home) is not FileSystemStorage


@pytest.fixture
def production():
    """An object store that may only be read."""
    return Guard("production", FILES)


@pytest.mark.parametrize("jobs", [1, 4])
def test_what_is_only_lower_is_copied_under_its_name(home, production, jobs):
    chain = make(home, read_only(production))
    steps = list(sync(chain, jobs=jobs))
    assert results(steps) == dict.fromkeys(FILES, Result.COPIED)
    assert {step.size for step in steps} == {15, 1, 0}
    assert {step.backend for step in steps} == {"production"}
    assert content(home) == FILES
    assert {chain.resolve(name).backend for name in FILES} == {"home"}


def test_a_second_run_finds_all_of_it_there(home, production):
    chain = make(home, read_only(production))
    list(sync(chain))
    production.reset()
    assert results(sync(chain)) == dict.fromkeys(FILES, Result.PRESENT)
    sizes = {"size": 3} if may_hold_parts(home) else {}
    assert production.counts() == {"listdir": 3, **sizes}
    assert content(home) == FILES


def test_a_copy_keeps_the_time_of_its_original(tmp_path, production):
    home = make_home("staged", tmp_path)
    list(sync(make(home, read_only(production))))
    assert home.get_modified_time("z.txt") == SOME_TIME


@pytest.mark.parametrize("directory", ["a", "a/", "./a"])
def test_only_what_is_below_a_directory(home, production, directory):
    chain = make(home, read_only(production))
    assert set(results(sync(chain, directory))) == {"a/b/x.txt", "a/y.txt"}
    assert list(sync(chain, "none")) == []


def test_what_the_home_holds_stays(home, production):
    """An edited copy is not overwritten, nor compared byte by byte.

    The size of a file in a bucket is a request: only asked for to verify, or where a
    killed run may have left a part of it.
    """
    home._save("a/y.txt", ContentFile(b"edited"))
    home._save("own.txt", ContentFile(b"own"))
    assert results(sync(make(home, read_only(production)))) == {
        "a/b/x.txt": Result.COPIED,
        "a/y.txt": Result.DIFFERENT if may_hold_parts(home) else Result.PRESENT,
        "z.txt": Result.COPIED,
    }
    assert content(home) == {**FILES, "a/y.txt": b"edited", "own.txt": b"own"}


def test_another_size_is_told_where_it_costs_nothing(tmp_path):
    """Between two directories, or if it is to be verified."""
    lower = FileSystemStorage(tmp_path / "production")
    home = make_home("staged", tmp_path)
    for storage, text in ((lower, b"new"), (home, b"edited")):
        storage._save("a.txt", ContentFile(text))
    (step,) = sync(make(home, read_only(lower)))
    assert (step.result, step.size) == (Result.DIFFERENT, 3)
    assert content(home) == {"a.txt": b"edited"}


def test_another_size_is_told_if_that_is_asked_for(home, production):
    home._save("a/y.txt", ContentFile(b"edited"))
    steps = sync(make(home, read_only(production)), verify=True)
    assert results(steps)["a/y.txt"] is Result.DIFFERENT
    assert content(home)["a/y.txt"] == b"edited"


def test_the_first_backend_that_holds_a_name_is_its_source(home):
    """Every name is one step, whoever else has it."""
    first = Guard("first", {"a.txt": b"first"})
    second = Guard("second", {"a.txt": b"the second", "b.txt": b"second"})
    chain = make(home, read_only(first, "first"), read_only(second, "second"))
    for result in (Result.COPIED, Result.PRESENT):
        steps = list(sync(chain, verify=True))
        assert [(step.name, step.backend) for step in steps] == [
            ("a.txt", "first"),
            ("b.txt", "second"),
        ]
        assert {step.result for step in steps} == {result}
    assert content(home) == {"a.txt": b"first", "b.txt": b"second"}
    assert second.count("_open", "a.txt") == 0


def test_a_name_of_which_the_source_is_not_known_is_not_copied(home):
    """The first backend lists no files but fails to say that it has none."""
    first = Guard("first", {})
    first.fail("exists")
    second = Guard("second", FILES)
    chain = make(home, read_only(first, "first"), read_only(second, "second"))
    assert errors(sync(chain)) == [(name, "first", ConnectionError) for name in FILES]
    assert content(home) == {}


def test_what_was_deleted_here_is_not_brought_back(home, production):
    chain = make(home, read_only(production), on_delete="whiteout")
    chain.delete("z.txt")
    assert results(sync(chain)) == {
        "a/b/x.txt": Result.COPIED,
        "a/y.txt": Result.COPIED,
        "z.txt": Result.HIDDEN,
    }
    assert not chain.exists("z.txt")


def test_a_whiteout_hides_what_read_only_backends_hold_and_nothing_else(tmp_path):
    """As every method of the storage has it."""
    home = make_home("staged", tmp_path)
    other = RecordingStorage("other")
    chain = make(
        home,
        read_only(Guard("production", {"a.txt": b"production's"})),
        writable(other, "other"),
        on_delete="whiteout",
    )
    chain.delete("a.txt")
    other.files["a.txt"] = b"saved while the home was down"
    assert chain.resolve("a.txt").backend == "other"
    assert results(sync(chain)) == {"a.txt": Result.COPIED}
    assert content(home)["a.txt"] == b"saved while the home was down"


def test_what_is_deleted_while_it_is_copied_does_not_come_back(home, production):
    chain = make(home, read_only(production), on_delete="whiteout")
    production.before("_open", chain.delete)
    assert set(results(sync(chain)).values()) == {Result.HIDDEN}
    assert not any(chain.exists(name) for name in FILES)


def test_a_copy_and_a_delete_of_another_process_exclude_each_other(tmp_path):
    """Also without whiteouts: another writable backend is what a copy is made of."""
    home, other = make_home("staged", tmp_path), RecordingStorage("other", FILES)
    chain = make(home, writable(other, "other"), on_delete="all")
    locked = []

    def look(name):
        descriptor = os.open(home.location, os.O_RDONLY)
        try:
            locked.append(not locks.lock(descriptor, locks.LOCK_EX | locks.LOCK_NB))
        finally:
            os.close(descriptor)

    other.before("exists", look)
    assert results(sync(chain, "a")) == dict.fromkeys(
        ["a/b/x.txt", "a/y.txt"], Result.COPIED
    )
    assert locked == [True, True]
    other.before("delete", look)
    chain.delete("a/y.txt")
    # Other backends are asked first, and nobody waits for them.
    assert locked == [True, True, False]


def test_what_has_gone_when_its_turn_comes_is_no_failure(home, production):
    production.before("_open", lambda name: production.files.pop(name))
    assert results(sync(make(home, read_only(production)), jobs=1)) == dict.fromkeys(
        FILES, Result.GONE
    )
    assert content(home) == {}


def test_what_is_saved_meanwhile_stays(home, production):
    def save(name):
        home._save(name, ContentFile(b"mine"))

    production.before("_open", save)
    steps = sync(make(home, read_only(production)), jobs=1)
    assert results(steps) == dict.fromkeys(FILES, Result.PRESENT)
    assert set(content(home).values()) == {b"mine"}
    assert set(content(home)) == set(FILES)


def test_what_is_saved_at_the_last_moment_stays(tmp_path, production):
    """When the copy is finished, and about to get its name."""
    home = make_home("staged", tmp_path)
    production.before(
        "get_modified_time", lambda name: home._save(name, ContentFile(b"mine"))
    )
    steps = sync(make(home, read_only(production)), jobs=1)
    assert results(steps) == dict.fromkeys(FILES, Result.PRESENT)
    assert content(home) == dict.fromkeys(FILES, b"mine")


def test_what_is_saved_while_the_copy_is_written_stays(tmp_path, production):
    """FileSystemStorage gives the copy another name: it goes again."""

    class Raced(InPlace):
        def _save(self, name, content):
            if not name.startswith(".fallback"):
                super()._save(name, ContentFile(b"mine"))
            return super()._save(name, content)

    home = Raced(tmp_path / "home")
    chain = make(home, read_only(production))
    assert results(sync(chain)) == dict.fromkeys(FILES, Result.PRESENT)
    left = {name: data for name, data in content(home).items() if name[0] != "."}
    assert left == dict.fromkeys(FILES, b"mine")


def test_a_file_in_the_place_of_a_directory_is_a_failure(tmp_path, production):
    home = make_home("staged", tmp_path)
    home._save("a", ContentFile(b"no directory"))
    steps = list(sync(make(home, read_only(production))))
    assert {name for name, _, _ in errors(steps)} == {"a/b/x.txt", "a/y.txt"}
    assert content(home) == {"a": b"no directory", "z.txt": b""}


# What is not


def test_a_dry_run_writes_nothing(home, production):
    """Not even a folder; it says what would be done."""
    home._save("a/y.txt", ContentFile(b"y"))
    before = dict(content(home)), _calls_that_change(home)
    assert results(sync(make(home, read_only(production)), dry_run=True)) == {
        "a/b/x.txt": Result.COPIED,
        "a/y.txt": Result.PRESENT,
        "z.txt": Result.COPIED,
    }
    assert (dict(content(home)), _calls_that_change(home)) == before
    assert production.count("_open") == 0


def _calls_that_change(home):
    if isinstance(home, RecordingStorage):
        return home.count("_save"), home.count("delete")
    return sorted(Path(home.location).rglob("*"))


def test_a_read_only_backend_is_not_written_to(tmp_path, home):
    """Whichever comes first in the chain."""
    root = tmp_path / "production"
    FileSystemStorage(root)._save("a.txt", ContentFile(b"a"))
    before = digest(root)
    above = Guard("above", {"b.txt": b"b"})
    chain = FallbackStorage(
        [read_only(above, "above"), writable(home), read_only(GuardFiles(root))]
    )
    assert results(sync(chain)) == {"a.txt": Result.COPIED}
    assert digest(root) == before
    assert content(home) == {"a.txt": b"a"}


def test_no_writable_backend(production):
    with pytest.raises(ReadOnlyBackendError, match="sync"):
        list(sync(FallbackStorage([read_only(production)])))
    assert production.calls == []


def test_nothing_below_the_home(home):
    assert list(sync(make(home))) == []
    assert content(home) == {}
    assert getattr(home, "calls", []) == []
