"""The judge of the coherence tests: what he calls stale, and how old."""

from __future__ import annotations

import pytest
from coherence.history import History, Read, percentile


def judge(writes, *reads, initially=False):
    history = History()
    for begin, end, value in writes:
        history.write("a", begin, end, value)
    for begin, end, value in reads:
        history.reads.append(Read("a", "exists", begin, end, value))
    return [age for age, _ in history.stale(initially)]


def test_a_read_after_a_write_must_see_it():
    """What was before the write is stale from the writer's return on."""
    assert judge([(1, 2, True)], (3, 4, True)) == []
    assert judge([(1, 2, True)], (3, 4, False)) == [1]


@pytest.mark.parametrize("value", [True, False])
def test_a_read_that_overlaps_a_write_may_see_either(value):
    """As long as one of them has not returned both orders are right."""
    assert judge([(2, 5, True)], (1, 3, value)) == []
    assert judge([(2, 5, True)], (3, 4, value)) == []
    assert judge([(2, 5, True)], (4, 6, value)) == []
    assert judge([(2, 5, True)], (1, 6, value)) == []


@pytest.mark.parametrize("value", [True, False])
def test_writes_that_overlap_may_have_either_order(value):
    """A read after both may see the value of any."""
    assert judge([(1, 4, True), (2, 3, False)], (5, 6, value)) == []
    assert judge([(1, 3, True), (2, 4, False)], (5, 6, value)) == []


def test_nothing_is_seen_before_it_was_written():
    """A value that nobody has begun to write is an error of its own kind: stale."""
    assert judge([(1, 2, True), (3, 4, False), (9, 10, True)], (5, 6, True)) == [1]


def test_the_age_counts_from_who_replaced_the_value_first():
    """Later writes do not make an old value younger."""
    writes = [(1, 2, True), (3, 4, False), (5, 6, False), (7, 8, False)]
    assert judge(writes, (10, 11, True)) == [6]


def test_a_write_that_never_returned_may_have_happened_or_not():
    """Its end is never, so every later read may see either value."""
    writes = [(1, 2, True), (3, float("inf"), False)]
    assert judge(writes, (10, 11, True), (12, 13, False)) == []


def test_what_was_there_initially_is_a_value_like_others():
    """Before the first write only the initial value is right."""
    assert judge([(5, 6, False)], (1, 2, True), initially=True) == []
    assert judge([(5, 6, False)], (8, 9, True), initially=True) == [2]


@pytest.mark.parametrize("reader", [0, 1])
def test_others_see_a_write_when_they_were_told(reader):
    """Who made it sees it from its return on, also if the store was not told yet."""
    history = History()
    history.write("a", 1, 2, True, told=5, worker=0)
    for begin in (3, 6):
        history.reads.append(Read("a", "exists", begin, begin + 1, False, reader))
    assert [age for age, _ in history.stale()] == ([4, 1] if reader == 0 else [1])


def test_many_reads_are_listed_oldest_first():
    """So that a failure shows the worst."""
    ages = judge([(1, 2, True)], (3, 4, False), (7, 8, False), (5, 6, False))
    assert ages == [5, 3, 1]


def test_a_percentile_is_one_of_the_values():
    """The 99th of a hundred values is the last but none."""
    assert percentile(range(100), 0.99) == 99
    assert percentile(range(100), 0.5) == 50
    assert percentile([7], 0.99) == 7
