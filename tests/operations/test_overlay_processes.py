"""The overlay between processes: races, and processes that are killed."""

from __future__ import annotations

import contextlib
import hashlib
import os

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from overlay.parts import (
    content_of,
    digest,
    need_unnamed_files,
    read_only,
    staging_left,
    writable,
)
from overlay.worker import Worker

from fallback_storage.operations import drafts
from fallback_storage.storage import FallbackStorage

pytestmark = pytest.mark.slow

MEGABYTES_20 = 20 * 1024 * 1024


@pytest.fixture
def places(tmp_path):
    """The directories of the home and of production."""
    for name in ("home", "production"):
        (tmp_path / name).mkdir()
    return tmp_path / "home", tmp_path / "production"


@pytest.fixture
def chain(places):
    return make_chain(places)


def make_chain(places, **options):
    home, production = map(FileSystemStorage, places)
    options = {"on_delete": "whiteout", "promote": True, **options}
    return FallbackStorage([writable(home), read_only(production)], **options)


@contextlib.contextmanager
def workers(places, count, **options):
    with contextlib.ExitStack() as stack:
        started = [
            stack.enter_context(Worker(*places, **options)) for _ in range(count)
        ]
        assert [worker.hear() for worker in started] == ["ready"] * count
        yield started


def files_in(root):
    return {
        path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize(
    ("unnamed", "when"),
    [
        (True, []),
        (True, ["{name}"]),
        (False, ["*/.fallback-staging/*", "{name}"]),
        (False, ["{name}"]),
    ],
    ids=str,
)
def test_a_delete_wins_over_two_copies_of_a_large_file(places, unnamed, when):
    """No half file is ever seen, the file stays deleted, and has no second name."""
    home, production = places
    before = {}
    with workers(places, 4, unnamed=unnamed) as (one, two, deleter, watcher):
        for number in range(3):
            name = f"pictures/large-{number}.bin"
            content = os.urandom(1024) * (MEGABYTES_20 // 1024)
            path = production / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
            before[name] = digest(production)
            whole = hashlib.sha256(content).hexdigest()
            end = home.parent / f"end-{number}"
            watcher.tell("watch", name, str(end))
            deleter.tell("delete", name, *(each.format(name=name) for each in when))
            for reader in (one, two):
                reader.tell("read", name)
            assert deleter.hear() is False
            answers = {one.hear(), two.hear()}
            end.touch()
            seen, raw = watcher.hear()
            assert answers <= {whole, None}
            assert set(raw) <= {whole}
            # Once it is gone it does not come back.
            assert seen in ([None], [whole, None])
            assert one.tell("read", name) or one.hear() is None
            assert digest(production) == before[name]
            path.unlink()
    left = {name for name in files_in(home) if not name.startswith(".fallback-")}
    assert left == set()
    assert staging_left(home) == []


def test_processes_that_copy_one_file_agree(places):
    """One file under one name, whole, with nothing beside it."""
    home, production = places
    content = os.urandom(MEGABYTES_20)
    (production / "large.bin").write_bytes(content)
    whole = hashlib.sha256(content).hexdigest()
    with workers(places, 3) as crew:
        for worker in crew:
            worker.tell("read", "large.bin")
        assert [worker.hear() for worker in crew] == [whole] * 3
    assert (home / "large.bin").read_bytes() == content
    assert files_in(home) == {"large.bin"}
    assert staging_left(home) == []


def test_a_save_and_a_delete_at_once_end_as_one_after_the_other(places, chain):
    """The new file or nothing: production's is not seen again."""
    (places[1] / "a.txt").write_bytes(b"production's")
    ends = set()
    with workers(places, 2) as (saver, deleter):
        for number in range(100):
            chain.delete("a.txt")
            assert not chain.exists("a.txt")
            order = [
                (saver, ("save", "a.txt", f"new {number}")),
                (deleter, ("delete", "a.txt", *([] if number % 3 else ["a.txt"]))),
            ]
            for worker, command in order[:: -1 if number % 2 else 1]:
                worker.tell(*command)
            assert saver.hear() == "a.txt"
            deleter.hear()
            fresh = make_chain(places, cache=False, promote=False)
            found = content_of(fresh, "a.txt") if fresh.exists("a.txt") else None
            assert found in {f"new {number}".encode(), None}
            assert list(fresh.hidden()) == ([] if found else ["a.txt"])
            ends.add(found is None)
    assert True in ends


def test_a_whiteout_is_seen_by_all_processes(places, chain):
    """Deleted in one, hidden in all, the ones that come later too."""
    (places[1] / "d").mkdir()
    (places[1] / "d" / "a.txt").write_bytes(b"production's")
    with workers(places, 1) as (other,):
        other.tell("delete", "d/a.txt")
        other.hear()
        assert not chain.exists("d/a.txt")
        chain.unhide("d/a.txt")
        other.tell("hidden")
        assert other.hear() == []
        chain.delete("d/a.txt")
        other.tell("read", "d/a.txt")
        assert other.hear() is None
    with workers(places, 1) as (later,):
        later.tell("hidden")
        assert later.hear() == ["d/a.txt"]


@pytest.fixture(params=[True, False])
def unnamed(request, tmp_path):
    """Whether the worker writes to files without a name."""
    if request.param:
        need_unnamed_files(tmp_path)
    return request.param


def test_a_save_that_is_killed_leaves_no_part(places, chain, unnamed):
    """The name is free after a restart, and a new save takes it."""
    with workers(places, 1, unnamed=unnamed) as (worker,):
        worker.tell("save_half", "a.txt")
        assert worker.hear() == "half"
        worker.kill()
    assert not chain.exists("a.txt")
    assert chain.listdir("") == ([], [])
    assert len(staging_left(places[0])) == (0 if unnamed else 2)
    assert chain.save("a.txt", ContentFile(b"all of it")) == "a.txt"
    assert content_of(chain, "a.txt") == b"all of it"


def test_a_copy_that_is_killed_leaves_no_part(places, chain, unnamed):
    """The next reader gets all of it, and the copy is made then."""
    (places[1] / "a.txt").write_bytes(b"all of production's")
    with workers(places, 1, unnamed=unnamed) as (worker,):
        worker.tell("read_half", "a.txt")
        assert worker.hear() == "half"
        worker.kill()
    assert not (places[0] / "a.txt").exists()
    assert len(staging_left(places[0])) == (0 if unnamed else 2)
    assert chain.size("a.txt") == len(b"all of production's")
    assert content_of(chain, "a.txt") == b"all of production's"
    assert (places[0] / "a.txt").read_bytes() == b"all of production's"


def test_what_killed_processes_left_is_swept_when_it_is_old(places, chain, monkeypatch):
    """A day later, not before: another process may still be writing it."""
    with workers(places, 1, unnamed=False) as (worker,):
        worker.tell("save_half", "a.txt")
        assert worker.hear() == "half"
        worker.kill()
    left = staging_left(places[0])
    # Copies carry the time of their original, which is no sign of age.
    os.utime(places[0] / left[-1], (0, 0))
    chain.save("b.txt", ContentFile(b"b"))
    assert staging_left(places[0]) == left
    chain.delete("b.txt")
    monkeypatch.setattr(drafts, "ABANDONED", -1)
    chain.save("b.txt", ContentFile(b"b"))
    assert staging_left(places[0]) == []


def test_processes_share_the_room_of_a_home(places):
    """What all have copied is within the bound, exactly; everything was read."""
    home, production = places
    content = bytes(1000)
    names = [f"{n}.bin" for n in range(60)]
    for name in names:
        (production / name).write_bytes(content)
    (home / "own.bin").write_bytes(content)
    with workers(places, 3, promote_max_total=21_000) as started:
        for turn in range(len(names)):
            for number, worker in enumerate(started):
                worker.tell("read", names[(turn + 20 * number) % len(names)])
        for worker in started:
            found = {worker.hear() for _ in names}
            assert found == {hashlib.sha256(content).hexdigest()}
    kept = [path for path in home.iterdir() if path.is_file()]
    assert len(kept) == 21
