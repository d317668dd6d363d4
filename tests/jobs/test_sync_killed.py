"""``sync`` killed at one point or another, and started again."""

from __future__ import annotations

import io
import os

import killed
import pytest
from django.core.files import locks
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from overlay.parts import (
    Guard,
    InPlace,
    digest,
    read_only,
)
from synced import content, errors, make, results

from fallback_storage.exceptions import (
    TornCopyError,
)
from fallback_storage.jobs.sync import Result, sync


@pytest.fixture
def places(tmp_path):
    """The directories of home and production; the files there."""
    home, production = tmp_path / "home", tmp_path / "production"
    # Half of one has to be more than what waits in a buffer (larger from Python 3.14 on).
    size = 4 * io.DEFAULT_BUFFER_SIZE
    files = {name: os.urandom(size) for name in killed.NAMES}
    for name, data in files.items():
        FileSystemStorage(production)._save(name, ContentFile(data))
    return home, production, files


@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize(("kind", "point"), killed.POINTS)
def test_killed_and_started_again_it_ends_complete(places, kind, point, jobs):
    """Every file, each under its name and whole, and nothing else."""
    home, production, files = places
    killed.run_until(home, production, kind, point, jobs)
    chain = killed.make(home, production, kind)
    half = home / killed.NAME
    if point == "writing":
        assert files[killed.NAME].startswith(half.read_bytes())
        assert 0 < half.stat().st_size < len(files[killed.NAME])
    else:
        assert not half.exists() or half.read_bytes() == files[killed.NAME]
    ended = results(sync(chain))
    assert set(ended.values()) <= {Result.COPIED, Result.PRESENT}
    is_whole = point in {"written", "confirmed"}
    assert (ended[killed.NAME] is Result.PRESENT) is is_whole
    found = content(FileSystemStorage(home))
    left = [name for name in found if name.startswith(".fallback-staging/")]
    assert {name: found[name] for name in found if name not in left} == files
    # What was staged is swept by a later run: another one may be writing it.
    assert len(left) <= (jobs if kind == "staged" else 0)
    assert results(sync(chain, verify=True)) == dict.fromkeys(files, Result.PRESENT)


def test_half_a_copy_that_was_written_to_since_is_kept_and_told(places):
    """It may be somebody's work now. Told once as a failure, then as different."""
    home, production, _ = places
    killed.run_until(home, production, "in-place", "writing", 1)
    (home / killed.NAME).write_bytes(b"edited")
    chain = killed.make(home, production, "in-place")
    steps = list(sync(chain))
    assert errors(steps) == [(killed.NAME, "home", TornCopyError)]
    assert results(sync(chain))[killed.NAME] is Result.DIFFERENT
    assert (home / killed.NAME).read_bytes() == b"edited"


def test_half_a_copy_whose_source_is_gone_is_kept_and_told(places):
    home, production, _ = places
    killed.run_until(home, production, "in-place", "writing", 1)
    (production / killed.NAME).unlink()
    chain = killed.make(home, production, "in-place")
    assert errors(sync(chain)) == [(killed.NAME, "home", TornCopyError)]
    assert (home / killed.NAME).exists()
    assert errors(sync(chain)) == []


def test_a_copy_that_is_being_written_is_left_alone(places):
    """By another run: FileSystemStorage locks the file meanwhile."""
    home, production, _ = places
    killed.run_until(home, production, "in-place", "writing", 1)
    chain = killed.make(home, production, "in-place")
    with (home / killed.NAME).open("rb") as file:
        locks.lock(file, locks.LOCK_EX)
        assert results(sync(chain))[killed.NAME] is Result.DIFFERENT
    assert results(sync(chain))[killed.NAME] is Result.COPIED


def test_a_note_that_cannot_be_settled_ends_the_run(places):
    """Whether there is half a file cannot be told: nothing goes on from there."""
    home, production, _ = places
    killed.run_until(home, production, "in-place", "writing", 1)
    lower = Guard("production", {})
    lower.fail("exists")
    (step,) = sync(make(InPlace(home), read_only(lower)))
    assert (step.name, step.backend) == (killed.NAME, "production")
    assert step.final
    again = results(sync(killed.make(home, production, "in-place")))
    assert again[killed.NAME] is Result.COPIED


def test_a_dry_run_leaves_half_a_copy_as_it_is(places):
    home, production, _ = places
    killed.run_until(home, production, "in-place", "writing", 1)
    before = digest(home)
    list(sync(killed.make(home, production, "in-place"), dry_run=True))
    assert digest(home) == before


def test_half_a_note_is_removed(places):
    """It says nothing, and nothing was written after it."""
    home, production, _ = places
    killed.run_until(home, production, "in-place", "noting", 1)
    assert len(list(home.glob(".fallback-staging/copying-*"))) == 1
    list(sync(killed.make(home, production, "in-place"), "b"))
    assert list(home.glob(".fallback-staging/copying-*")) == []
