"""What promotion may take of the home's disk."""

from __future__ import annotations

import logging
import shutil
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from fakes import RecordingStorage
from overlay.parts import content_of, read_only, staging_left, writable
from overlay.sources import CONTENT, NAME, Source

from fallback_storage.jobs.prune import Pruning, Result
from fallback_storage.operations import allowance, rootlock
from fallback_storage.storage import FallbackStorage

SIZE = 1000
NAMES = [f"d/{n}.bin" for n in range(20)]


@pytest.fixture
def home(tmp_path):
    return FileSystemStorage(tmp_path / "home")


@pytest.fixture
def source():
    return RecordingStorage("production", dict.fromkeys(NAMES, bytes(SIZE)))


def make(home, source, **options):
    chain = [writable(home), read_only(source)]
    return FallbackStorage(chain, False, promote=True, **options)


def read_all(chain):
    for name in NAMES:
        assert content_of(chain, name) == bytes(SIZE)


def total_of(home):
    paths = [path for path in Path(home.location).rglob("*") if path.is_file()]
    return sum(path.stat().st_size for path in paths if path.name != allowance.NOTE)


@pytest.fixture
def counts(monkeypatch):
    """How often the files were counted."""
    found = []
    count = allowance._sum

    def counted(directory):
        found.append(directory)
        return count(directory)

    monkeypatch.setattr(allowance, "_sum", counted)
    return found


def test_the_total_is_bounded_and_every_file_is_read(home, source, counts, caplog):
    """What is refused is said once; nobody walks the directory for each file."""
    home.save("own.bin", ContentFile(bytes(2 * SIZE)))
    with caplog.at_level(logging.WARNING):
        read_all(make(home, source, promote_max_total=7 * SIZE))
    assert total_of(home) == 7 * SIZE
    assert len(counts) == 1
    assert len(caplog.records) == 1
    assert "promote_max_total" in caplog.text
    # Another process, or this one begun anew, goes on with that.
    read_all(make(home, source, promote_max_total=9 * SIZE))
    assert total_of(home) == 9 * SIZE
    assert len(counts) == 1


def test_a_file_that_just_fits_is_kept(home, source):
    read_all(make(home, source, promote_max_total=len(NAMES) * SIZE))
    assert total_of(home) == len(NAMES) * SIZE


def test_our_own_note_is_no_file(home, source):
    chain = make(home, source, promote_max_total=5 * SIZE)
    read_all(chain)
    assert chain.listdir("") == (["d"], [])
    folder = ".fallback-staging"
    assert staging_left(home.location) == [folder, f"{folder}/{allowance.NOTE}"]


@pytest.mark.parametrize("written", ["", "1 2 3", "nonsense"])
def test_a_note_that_says_nothing_is_written_anew(home, source, counts, written):
    note = Path(home.location, ".fallback-staging", allowance.NOTE)
    note.parent.mkdir(parents=True)
    note.write_text(written)
    read_all(make(home, source, promote_max_total=5 * SIZE))
    assert total_of(home) == 5 * SIZE
    assert len(counts) == 1


def test_what_else_changes_is_seen_by_the_next_count(home, source, counts, monkeypatch):
    chain = make(home, source, promote_max_total=5 * SIZE)
    read_all(chain)
    shutil.rmtree(Path(home.location, "d"))
    read_all(chain)
    assert total_of(home) == 0
    monkeypatch.setattr(allowance, "STALE", 0.0)
    read_all(chain)
    assert total_of(home) == 5 * SIZE
    assert len(counts) > 1


def test_what_is_pruned_is_room_at_once(home, source):
    chain = make(home, source, promote_max_total=5 * SIZE)
    read_all(chain)
    steps = Pruning(chain).steps(max_total=2 * SIZE)
    assert [step.result for step in steps] == [Result.REMOVED] * 3
    read_all(chain)
    assert total_of(home) == 5 * SIZE


def test_a_copy_that_is_not_made_takes_no_room(home, source, monkeypatch):
    """Neither one that fails at its last step, nor one that was there."""
    chain = make(home, source, promote_max_total=5 * SIZE)

    def fail(*args, **kwargs):
        raise OSError

    with monkeypatch.context() as patch:
        patch.setattr("fallback_storage.operations.staging.publish", fail)
        read_all(chain)
    assert total_of(home) == 0
    read_all(chain)
    assert total_of(home) == 5 * SIZE


@pytest.mark.parametrize("of_a_path", [True, False])
def test_the_room_on_the_disk_is_bounded(home, source, monkeypatch, caplog, of_a_path):
    """Before a copy, with its size; and once it is there."""
    chain = make(home, source, promote_min_free=5 * SIZE)
    free = [6 * SIZE - 1]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free[0]))
    read_all(chain)
    assert total_of(home) == 0
    assert "promote_min_free" in caplog.text
    free[0] = 6 * SIZE
    if of_a_path:
        assert Path(chain.path(NAMES[0])).read_bytes() == bytes(SIZE)
    read_all(chain)
    assert total_of(home) == len(NAMES) * SIZE


def test_one_gibibyte_is_left_free_by_itself(home, source, monkeypatch):
    free = [(1 << 30) - 1]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free[0]))
    read_all(make(home, source))
    assert total_of(home) == 0
    read_all(make(home, source, promote_min_free=None))
    assert total_of(home) == len(NAMES) * SIZE


def test_a_disk_that_fills_while_a_file_arrives_keeps_no_copy(home, monkeypatch):
    free = [1 << 40]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free[0]))
    source = Source()
    source.reading = lambda: free.__setitem__(0, SIZE)
    chain = make(home, source, promote_min_free=5 * SIZE)
    assert content_of(chain, NAME) == CONTENT
    assert total_of(home) == 0


def test_a_disk_that_cannot_be_asked_keeps_no_copy(home, source, monkeypatch, caplog):
    def fail(directory):
        raise PermissionError

    monkeypatch.setattr(shutil, "disk_usage", fail)
    read_all(make(home, source))
    assert total_of(home) == 0
    assert "PermissionError" in caplog.text


@pytest.mark.parametrize(
    "options", [{"promote_max_total": 5}, {"promote_min_free": 5}], ids=str
)
def test_a_home_that_is_no_directory_has_no_bounds(source, options):
    chain = make(RecordingStorage("home"), source, **options)
    with pytest.raises(ImproperlyConfigured, match="no local directory"):
        chain.open(NAMES[0])


def test_a_home_that_is_no_directory_needs_none(source):
    for free in (None, 0):
        home = RecordingStorage("home")
        read_all(make(home, source, promote_min_free=free))
        assert set(home.files) == set(NAMES)


def test_threads_share_the_room(home, source):
    chain = make(home, source, promote_max_total=5 * SIZE)
    begin = threading.Barrier(4)

    def visit():
        begin.wait()
        read_all(chain)

    threads = [threading.Thread(target=visit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert total_of(home) == 5 * SIZE


def test_who_waits_for_another_does_not_count_again(home, counts):
    """What is noted meanwhile is not of the future."""
    moments = iter(range(100))
    chain = make(home, Source(), promote_max_total=5 * SIZE)
    room = chain._get_engine().copies.allowance
    room._now = lambda: float(next(moments))
    assert room.has_room("x", 1)
    with rootlock.exclusive(home):
        waiting = threading.Thread(target=room.has_room, args=("y", 1))
        waiting.start()
        waiting.join(0.1)  # it may have come to the lock
        allowance._write(home, float(next(moments)), 0)
    waiting.join()
    assert len(counts) == 1
