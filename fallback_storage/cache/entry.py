"""What the memo keeps for a name: one small integer, a *code*.

An entry says which backend is the first that may hold the name, and whether it is
known to hold it. All backends above are known not to::

    NOWHERE     0           no backend holds it
    HIDDEN      2 ** 15     the same, and a whiteout hides what read-only ones hold
    held(i)     2 * i + 1   backend i holds it
    from_(i)    2 * i       not in 0 .. i-1; from i on nothing is known (i >= 1)

Integers of a few digits are cheap to keep, to compare and to write as ASCII into a
shared cache, and reading one can execute nothing, unlike a pickle.
"""

from __future__ import annotations

from typing import Final

NOWHERE: Final = 0
MAX_CHAIN: Final = 1 << 14
HIDDEN: Final = MAX_CHAIN << 1


def held(index: int) -> int:
    """Return the code of "backend ``index`` holds it, none above does"."""
    return index << 1 | 1


def from_(index: int) -> int:
    """Return the code of "no backend above ``index`` holds it"."""
    if index < 1:
        raise ValueError("from_(0) would say nothing")
    return index << 1


def index_of(code: int) -> int:
    """Return the first backend that may hold the name (not of ``NOWHERE``, ``HIDDEN``)."""
    return code >> 1


def is_held(code: int) -> bool:
    """Whether the code names the holder."""
    return bool(code & 1)


def is_valid(code: int, chain_length: int) -> bool:
    """Whether the code can have been written for a chain of this length."""
    return code == HIDDEN or (code >= 0 and code >> 1 < chain_length)
