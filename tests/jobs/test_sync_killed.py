"""``sync`` killed at one point or another, and started again."""

from __future__ import annotations

import os

import killed
import pytest
from django.core.files import locks
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from overlay.parts import digest
from synced import content, errors, results

from fallback_storage.exceptions import PartialCopyError
from fallback_storage.jobs.sync import Result, sync

pytestmark = pytest.mark.slow

PRESENT = dict.fromkeys(killed.NAMES, Result.PRESENT)


@pytest.fixture
def files():
    return {name: os.urandom(10_000) for name in killed.NAMES}


@pytest.fixture
def places(tmp_path, files):
    """The directories of home and production; the files there."""
    home, production = tmp_path / "home", tmp_path / "production"
    for name, data in files.items():
        FileSystemStorage(production)._save(name, ContentFile(data))
    return home, production, files


@pytest.fixture
def half(places):
    """The directories, and their chain, after a run that was killed half way."""
    home, production, _ = places
    killed.run_until(home, production, "in-place", "writing")
    chain = killed.make(home, production, "in-place")
    assert errors(sync(chain)) == [(killed.NAME, "home", PartialCopyError)]
    return home, production, chain


@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize(("kind", "point"), killed.POINTS)
def test_killed_and_started_again_it_ends_complete(places, kind, point, jobs):
    """Every file, each under its name and whole, and nothing else.

    Where half a file may be left, it says which, and completes it if it may.
    """
    home, production, files = places
    killed.run_until(home, production, kind, point, jobs)
    chain = killed.make(home, production, kind)
    steps = list(sync(chain))
    parts = [name for name, _, _ in errors(steps)]
    assert errors(steps) == [(name, "home", PartialCopyError) for name in parts]
    assert (killed.NAME in parts) is (point == "writing")
    # With more jobs, others may have been under way as well.
    assert len(parts) <= (jobs if kind == "in-place" else 0)
    for name in parts:
        half = (home / name).read_bytes()
        assert files[name].startswith(half)
        assert half != files[name]
    is_whole = results(steps)[killed.NAME] is Result.PRESENT
    assert is_whole is (point == "written")
    if parts:
        assert results(sync(chain, repair=True)) == {
            **PRESENT,
            **dict.fromkeys(parts, Result.COPIED),
        }
    found = content(FileSystemStorage(home))
    # (In the folder of the storage, or of the directory where the file is to be.)
    left = [name for name in found if ".fallback-staging/" in name]
    assert {name: found[name] for name in found if name not in left} == files
    # What was staged is swept by a later run: another one may be writing it.
    assert len(left) <= (jobs if kind == "staged" else 0)
    assert results(sync(chain, verify=True)) == PRESENT


@pytest.mark.parametrize("point", killed.REPAIR_POINTS)
def test_a_repair_that_is_killed_is_repaired(half, files, point):
    """The part stays until the whole file has arrived; half of one is told again."""
    home, production, chain = half
    killed.run_until(home, production, "in-place", point, repair=1)
    told = [name for name, _, _ in errors(sync(chain))]
    is_half = point in {"reading", "writing"}
    assert told == ([killed.NAME] if is_half else [])
    assert results(sync(chain, repair=True)) == {
        **PRESENT,
        killed.NAME: Result.COPIED if is_half else Result.PRESENT,
    }
    assert content(FileSystemStorage(home)) == files


@pytest.mark.parametrize("repair", [False, True])
def test_half_a_copy_that_was_written_to_since_is_kept_and_told(half, repair):
    """It may be somebody's work now: it is no beginning of the file."""
    home, _, chain = half
    (home / killed.NAME).write_bytes(b"edited")
    assert results(sync(chain, repair=repair))[killed.NAME] is Result.DIFFERENT
    assert (home / killed.NAME).read_bytes() == b"edited"


def test_half_a_copy_whose_source_is_gone_is_kept(half):
    """That it is half of anything is not known any more."""
    home, production, chain = half
    before = (home / killed.NAME).read_bytes()
    (production / killed.NAME).unlink()
    assert errors(sync(chain, repair=True)) == []
    assert (home / killed.NAME).read_bytes() == before


def test_a_copy_that_is_being_written_is_left_alone(half):
    """By another run: FileSystemStorage locks the file meanwhile."""
    home, _, chain = half
    with (home / killed.NAME).open("rb") as file:
        locks.lock(file, locks.LOCK_EX)
        assert results(sync(chain, repair=True))[killed.NAME] is Result.DIFFERENT
    assert results(sync(chain, repair=True))[killed.NAME] is Result.COPIED


def test_a_dry_run_leaves_half_a_copy_as_it_is(half):
    home, _, chain = half
    before = digest(home)
    assert errors(sync(chain, dry_run=True)) != []
    said = results(sync(chain, dry_run=True, repair=True))
    assert said == {**PRESENT, killed.NAME: Result.COPIED}
    assert digest(home) == before
