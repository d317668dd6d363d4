"""``sync`` of some files only: by size, and by when they were written."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from fakes import SOME_TIME, RecordingStorage
from overlay.parts import Guard, read_only
from synced import FILES, content, errors, make, results

from fallback_storage.exceptions import OperationNotSupportedError
from fallback_storage.jobs.steps import Result
from fallback_storage.jobs.sync import sync


@pytest.fixture
def home():
    return RecordingStorage("home")


@pytest.fixture
def production():
    return Guard("production", FILES)


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize(("max_size", "left"), [(15, 0), (14, 1), (0, 2)])
def test_what_is_larger_is_left_out(home, production, max_size, left, dry_run):
    steps = results(sync(make(home, production), max_size=max_size, dry_run=dry_run))
    found = sorted(steps.values())
    assert found == [Result.COPIED] * (3 - left) + [Result.LEFT_OUT] * left
    copied = {name for name, result in steps.items() if result is Result.COPIED}
    assert set(content(home)) == (set() if dry_run else copied)


@pytest.mark.parametrize(
    ("newer", "result"),
    [
        (SOME_TIME, Result.COPIED),
        (SOME_TIME + timedelta(microseconds=1), Result.LEFT_OUT),
        (timedelta(days=1), Result.LEFT_OUT),
        (datetime.now(tz=UTC) - SOME_TIME + timedelta(days=1), Result.COPIED),
    ],
)
def test_what_is_older_is_left_out(home, production, newer, result):
    steps = sync(make(home, production), newer=newer)
    assert results(steps) == dict.fromkeys(FILES, result)


def test_a_time_without_a_zone_is_one_of_the_settings(home, production, settings):
    settings.TIME_ZONE = "Asia/Tokyo"
    noon = datetime(2020, 5, 17, 21, 0, 1)  # noqa: DTZ001 - SOME_TIME and a second
    (step,) = sync(make(home, production), "a/b", newer=noon)
    assert step.result is Result.LEFT_OUT
    (step,) = sync(make(home, production), "a/b", newer=noon - timedelta(seconds=1))
    assert step.result is Result.COPIED


def test_what_is_there_is_compared_whatever_its_size(tmp_path):
    """Nothing is copied, so nothing is left out."""
    home, lower = (FileSystemStorage(tmp_path / name) for name in "hl")
    for storage in (home, lower):
        storage._save("a.txt", ContentFile(os.fsencode(storage.location)))
    (step,) = sync(make(home, lower), max_size=1, verify=True)
    assert step.result is Result.DIFFERENT


@pytest.mark.parametrize(
    ("method", "limit"),
    [
        ("size", {"max_size": 1}),
        ("get_modified_time", {"newer": timedelta(days=1)}),
    ],
)
def test_a_backend_that_does_not_tell_ends_the_run(home, method, limit):
    lower = Guard("production", FILES, [method])
    steps = list(sync(make(home, read_only(lower)), **limit))
    assert errors(steps) == [("a/b/x.txt", "production", OperationNotSupportedError)]
    assert steps[-1].final
    assert content(home) == {}


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ({"max_size": -1}, "max_size is -1: give a number of bytes"),
        ({"max_size": "10M"}, "max_size is '10M'"),
        ({"max_size": True}, "max_size is True"),
        ({"newer": "2024-05-01"}, "newer is '2024-05-01': give a datetime"),
        ({"newer": 7}, "newer is 7"),
        ({"newer": timedelta(days=900_000)}, "that is no year"),
    ],
)
def test_limits_that_are_none(home, production, limit, said):
    with pytest.raises(ValueError, match=said):
        list(sync(make(home, production), **limit))
    assert production.calls == []
