"""What is logged again and again is a warning once in a while."""

from __future__ import annotations

import logging

import pytest
from fakes import RecordingStorage

from fallback_storage.storage import FallbackStorage
from fallback_storage.utils import logs
from fallback_storage.utils.logs import INTERVAL, Warner


@pytest.fixture
def logged(caplog):
    caplog.set_level(logging.DEBUG, logger="fallback_storage")
    return lambda: [(r.levelname, r.getMessage()) for r in caplog.records]


def test_the_first_of_a_kind_is_a_warning_until_the_interval_ends(clock, logged):
    warner = Warner(clock)
    for name in ("a", "b"):
        warner.warn("down", "%s fails", name)
    warner.warn("other", "%s hangs", "c")
    clock.tick(INTERVAL - 1)
    warner.warn("down", "%s fails", "d")
    clock.tick(1)
    for name in ("e", "f"):
        warner.warn("down", "%s fails", name)
    assert logged() == [
        ("WARNING", "a fails"),
        ("DEBUG", "b fails"),
        ("WARNING", "c hangs"),
        ("DEBUG", "d fails"),
        ("WARNING", "e fails (2 more before)"),
        ("DEBUG", "f fails"),
    ]


def test_what_is_not_written_is_counted(clock, caplog):
    """Who has a page of it asks first, and makes no words."""
    caplog.set_level(logging.WARNING, logger="fallback_storage")
    warner = Warner(clock)
    assert not warner.is_quiet("down")
    warner.warn("down", "fails")
    assert all(warner.is_quiet("down") for _ in range(2))
    warner.warn("down", "fails")
    clock.tick(INTERVAL)
    assert not warner.is_quiet("down")
    warner.warn("down", "fails")
    assert [record.getMessage() for record in caplog.records] == [
        "fails",
        "fails (3 more before)",
    ]
    caplog.set_level(logging.DEBUG, logger="fallback_storage")
    assert not warner.is_quiet("down")


def test_kinds_are_not_remembered_without_end(clock, logged, monkeypatch):
    monkeypatch.setattr(logs, "MAX_KINDS", 3)
    warner = Warner(clock)
    for kind in range(10):
        warner.warn(kind, "%s", kind)
    assert len(warner._kinds) <= 3
    assert {level for level, _ in logged()} == {"WARNING"}


def test_a_percent_sign_in_a_name_is_no_format(clock, logged):
    warner = Warner(clock)
    for _ in range(2):
        clock.tick(INTERVAL)
        warner.warn("kind", "%r fails", "100%s")
        warner.warn("kind", "%r fails", "100%s")
    assert logged()[2] == ("WARNING", "'100%s' fails (1 more before)")


def test_a_page_of_a_backend_that_is_down_is_three_warnings(logged):
    """It fails; it is left alone from the third failure on; the others fail for that."""
    down = RecordingStorage("down")
    down.fail("exists")
    storage = FallbackStorage([down, RecordingStorage("up")])
    for number in range(100):
        assert not storage.exists(f"{number}.jpg")
    levels = [level for level, _ in logged()]
    first = ["WARNING", "DEBUG", "WARNING", "DEBUG", "WARNING"]
    assert levels == first + 96 * ["DEBUG"]
