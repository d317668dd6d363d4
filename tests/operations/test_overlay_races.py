"""What happens while a copy is made: deletes, saves, other readers."""

from __future__ import annotations

import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from fakes import RecordingStorage
from overlay.parts import (
    Guard,
    content_of,
    read_only,
    staging_left,
    without,
    without_unnamed_files,
    writable,
)
from overlay.sources import (
    CONTENT,
    HOMES,
    NAME,
    Source,
    files_of,
    make,
    wait_until,
)

from fallback_storage.operations import drafts
from fallback_storage.storage import FallbackStorage
from fallback_storage.utils.locks import copying


@pytest.fixture(params=HOMES)
def home(request, tmp_path):
    klass = HOMES[request.param]
    return klass() if klass is RecordingStorage else klass(tmp_path / "home")


@pytest.fixture
def disk(tmp_path):
    return FileSystemStorage(tmp_path / "home")


@pytest.fixture
def interrupted():
    """A source that waits once half of it is read; and how to go on."""

    class Interrupted(Source):
        def __init__(self):
            super().__init__()
            self.started, self.go_on = threading.Event(), threading.Event()
            self.reading = self.wait

        def wait(self):
            self.reading = lambda: None
            self.started.set()
            assert self.go_on.wait(30)

    return Interrupted()


def during(source, chain, *steps):
    """Read; while the copy is under way do the steps. Returns what was read."""
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(content_of, chain, NAME)
        assert source.started.wait(30)
        try:
            for step in steps:
                step()
        finally:
            source.go_on.set()
        return reading.result(30)


@pytest.mark.parametrize("cache", [None, False], ids=["memo", "no-memo"])
def test_a_file_deleted_meanwhile_is_not_brought_back(home, interrupted, cache):
    """Whoever began to read it reads it; it is gone all the same."""
    chain = make(home, interrupted, cache, on_delete="whiteout")
    assert during(interrupted, chain, lambda: chain.delete(NAME)) == CONTENT
    assert not chain.exists(NAME)
    assert not home.exists(NAME)


def test_a_file_deleted_by_a_process_that_no_lock_reaches_is_not_brought_back():
    """A home that is an object store: the delete comes while the copy is sent."""
    home = RecordingStorage("home")
    chain = make(home, Source(), on_delete="whiteout")
    # In the same thread, which the locks let pass as they do another process.
    home.before("_save", lambda name: name == NAME and chain.delete(NAME))
    assert content_of(chain, NAME) == CONTENT
    assert NAME not in home.files
    assert not chain.exists(NAME)


@pytest.mark.parametrize("overwrites", [False, True])
@pytest.mark.parametrize("links", [True, False])
def test_a_file_saved_meanwhile_is_not_overwritten(
    tmp_path, interrupted, monkeypatch, overwrites, links
):
    """Deleted and uploaded anew: the upload stays, also where saves may overwrite."""
    if not links:
        without(monkeypatch, "link", errno.EPERM)
    disk = FileSystemStorage(tmp_path / "home")
    disk._allow_overwrite = overwrites
    chain = make(disk, interrupted, on_delete="whiteout")
    during(
        interrupted,
        chain,
        lambda: chain.delete(NAME),
        lambda: chain.save(NAME, ContentFile(b"uploaded")),
    )
    assert content_of(chain, NAME) == b"uploaded"
    assert files_of(disk) == [NAME]


def test_a_file_written_meanwhile_is_not_overwritten(home, interrupted):
    """An edit is not undone by the copy of what was edited."""
    chain = make(home, interrupted)

    def edit():
        with chain.open(NAME, "wb") as file:
            file.write(b"edited")

    during(interrupted, chain, edit)
    assert content_of(chain, NAME) == b"edited"


def test_a_file_deleted_and_shown_again_meanwhile_is_there(home, interrupted):
    """Which of the two holds it is all the same."""
    chain = make(home, interrupted, on_delete="whiteout")
    steps = (lambda: chain.delete(NAME), lambda: chain.unhide(NAME))
    assert during(interrupted, chain, *steps) == CONTENT
    assert content_of(chain, NAME) == CONTENT


def test_a_file_deleted_from_a_writable_source_meanwhile_is_not_brought_back(
    disk, interrupted
):
    """The last copy was deleted: this one would be a file nobody has."""
    source = RecordingStorage("second", {NAME: CONTENT})
    source.before("get_modified_time", lambda name: interrupted.wait())
    entries = [writable(disk), writable(source, "second")]
    chain = FallbackStorage(entries, promote=True, on_delete="all")
    with pytest.raises(FileNotFoundError):
        during(interrupted, chain, lambda: chain.delete(NAME))
    assert not chain.exists(NAME)
    assert files_of(disk) == []


def test_a_copy_that_a_sweep_meets_is_not_swept(disk, interrupted, monkeypatch):
    """It has the time of its original, which may be years back."""
    without_unnamed_files(monkeypatch)
    interrupted.reading = lambda: None

    swept, utime = [], os.utime

    def sweeping(path, times):
        utime(path, times)
        swept.extend(staging_left(disk.location))
        drafts.sweep(str(Path(disk.location, NAME).parent))

    monkeypatch.setattr(os, "utime", sweeping)
    assert content_of(make(disk, interrupted), NAME) == CONTENT
    assert swept
    assert files_of(disk) == [NAME]


def test_threads_that_read_one_cold_file_copy_it_once(tmp_path, asked):
    """Each gets all of it, from the one copy."""
    saves = []

    class Counting(FileSystemStorage):
        def __getattribute__(self, attribute):
            if attribute == "_ensure_location_group_id":
                saves.append(threading.get_ident())
            return super().__getattribute__(attribute)

    disk = Counting(tmp_path / "home")
    source = Source()
    chain = make(disk, source)
    copies = []

    def reading():
        """Go on when all the others wait for this copy, or one makes another."""
        copies.append(threading.get_ident())
        wait_until(lambda: asked[copying, NAME] == 8 or len(set(copies)) > 1)

    source.reading = reading

    def read(number):
        return content_of(chain, NAME)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(read, range(8))) == {CONTENT}
    assert len(saves) == 1
    assert files_of(disk) == [NAME]


def test_other_instances_go_to_the_copy_after_one_read(disk):
    """What they remember of the remote is forgotten with the first read."""
    source = Source()
    early, other = make(disk, source), make(disk, source)
    assert early.resolve(NAME).backend == other.resolve(NAME).backend == "production"
    # As another process does: no invalidation reaches this one.
    disk.save(NAME, ContentFile(CONTENT))
    assert content_of(early, NAME) == CONTENT
    source.reset()
    assert content_of(early, NAME) == content_of(other, NAME) == CONTENT
    assert source.calls == []


def test_a_file_of_the_home_is_not_copied():
    """Nor one of a backend above it."""
    first = Guard("first", {NAME: CONTENT})
    home = RecordingStorage("home", {"own.txt": b"own"})
    chain = FallbackStorage([read_only(first), writable(home)], promote=True)
    assert content_of(chain, NAME) == CONTENT
    assert content_of(chain, "own.txt") == b"own"
    assert home.files == {"own.txt": b"own"}


def test_a_chain_without_a_home_copies_nothing():
    """All backends are read-only: reading works as ever."""
    chain = FallbackStorage([read_only(Guard("one", {NAME: CONTENT}))], promote=True)
    assert content_of(chain, NAME) == CONTENT


def test_chains_over_one_home_do_not_wait_for_each_other(disk):
    """A chain in a chain with the same directory deletes in both."""
    inner = FallbackStorage([writable(disk), read_only(Source())], promote=True)
    outer = FallbackStorage(
        [writable(disk), writable(inner, "inner")], promote=True, on_delete="all"
    )
    outer.save("own.txt", ContentFile(b"x"))
    with ThreadPoolExecutor(1) as pool:
        pool.submit(outer.delete, "own.txt").result(30)
    assert not outer.exists("own.txt")
