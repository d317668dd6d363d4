"""Which bytes a request is for, by RFC 9110."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fallback_storage.views.ranges import UnsatisfiableError, parse_range, wanted_range

SIZE = 10
MODIFIED = datetime(2026, 11, 27, 12, 0, 0, 500_000, UTC)
DATE = "Fri, 27 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=0-", (0, 10)),
        ("bytes=2-5", (2, 6)),
        ("bytes=9-", (9, 10)),
        ("bytes=5-99", (5, 10)),
        ("bytes=0-99999999999999999999999", (0, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-99", (0, 10)),
        ("Bytes=0-1", (0, 2)),
        ("bytes= 0-1 ", (0, 2)),
    ],
)
def test_one_range(header, wanted):
    assert parse_range(header, SIZE) == wanted


@pytest.mark.parametrize(
    "header",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=5-2",
        "bytes=a-b",
        "bytes=0x1-5",
        "bytes=1.5-2",
        "bytes=--5",
        "bytes=+1-2",
        "bytes=\u0663-\u0665",
        "items=0-1",
        "bytes=0-1,4-5",
        "bytes=0-1-2",
        "bytes=" + "9" * 5000 + "-",
    ],
)
def test_what_is_no_range_or_more_than_one_is_ignored(header):
    assert parse_range(header, SIZE) is None


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=99-100", "bytes=-0"])
def test_what_a_file_has_nothing_of_cannot_be_sent(header):
    with pytest.raises(UnsatisfiableError):
        parse_range(header, SIZE)


def test_an_empty_file():
    assert parse_range("bytes=-5", 0) is None
    for header in ("bytes=0-", "bytes=0-0", "bytes=-0"):
        with pytest.raises(UnsatisfiableError):
            parse_range(header, 0)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        (None, True),
        ('"tag"', True),
        (DATE, True),
        ('W/"tag"', False),
        ('"other"', False),
        ("tag", False),
        ("Fri, 27 Nov 2026 12:00:01 GMT", False),
        ("Fri, 27 Nov 2026 11:59:59 GMT", False),
        ("yesterday", False),
        ("", False),
    ],
)
def test_a_part_of_another_file_is_not_sent(condition, holds):
    """The whole of it is, and a range of which it has nothing does not matter then."""
    headers = {"Range": "bytes=2-5"}
    if condition is not None:
        headers["If-Range"] = condition
    wanted = wanted_range(headers, SIZE, '"tag"', MODIFIED)
    assert wanted == ((2, 6) if holds else None)
    headers["Range"] = "bytes=99-"
    if not holds:
        assert wanted_range(headers, SIZE, '"tag"', MODIFIED) is None


def test_without_an_etag_or_a_date_no_condition_holds():
    for condition in ('""', '"tag"', DATE):
        headers = {"Range": "bytes=2-5", "If-Range": condition}
        assert wanted_range(headers, SIZE, "", None) is None
