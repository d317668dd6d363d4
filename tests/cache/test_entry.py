"""The codes that a memo keeps: small, unambiguous, checkable."""

from __future__ import annotations

import pytest

from fallback_storage.cache.entry import (
    MAX_CHAIN,
    NOWHERE,
    from_,
    held,
    index_of,
    is_held,
    is_valid,
)


@pytest.mark.parametrize("index", [0, 1, 2, 99, MAX_CHAIN - 1])
def test_held_names_the_holder(index):
    """A code of ``held`` gives the index back and says that it is the holder."""
    assert index_of(held(index)) == index
    assert is_held(held(index))


@pytest.mark.parametrize("index", [1, 2, 99, MAX_CHAIN - 1])
def test_from_names_the_first_candidate(index):
    """A code of ``from_`` gives the index back and does not claim a holder."""
    assert index_of(from_(index)) == index
    assert not is_held(from_(index))


def test_from_zero_is_refused():
    """A prefix of no backends says nothing, and its code would be ``NOWHERE``."""
    with pytest.raises(ValueError, match="say nothing"):
        from_(0)


def test_every_code_means_one_thing():
    """No two statements about a chain share a code."""
    codes = [NOWHERE]
    codes += [held(index) for index in range(50)]
    codes += [from_(index) for index in range(1, 50)]
    assert len(set(codes)) == len(codes)
    assert not is_held(NOWHERE)


@pytest.mark.parametrize("length", [1, 2, 3, 7])
def test_the_codes_of_a_chain_are_exactly_the_valid_ones(length):
    """Valid are NOWHERE and what ``held`` and ``from_`` give for this chain."""
    written = {NOWHERE}
    written |= {held(index) for index in range(length)}
    written |= {from_(index) for index in range(1, length)}
    assert {code for code in range(-5, 50) if is_valid(code, length)} == written
