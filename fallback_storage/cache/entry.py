"""What the memo keeps for a name: one small integer, a *code*.

An entry says which backend is the first that may hold the name, and whether it is
known to hold it. All backends above are known not to::

    NOWHERE     0           no backend holds it
    HIDDEN      2 ** 15     the same, and a whiteout hides what read-only ones hold
    held(i)     2 * i + 1   backend i holds it
    from_(i)    2 * i       not in 0 .. i-1; from i on nothing is known (i >= 1)

Integers of a few digits are cheap to keep, to compare and to write as ASCII into a
shared cache, and reading one can execute nothing, unlike a pickle.

*Facts* of the file may follow a code: in a shared cache a comma and some ASCII. Who does
not know them passes over them. Known are size and time of modification (``chain.facts``),
which never come without the code that they were kept with (``Noted``); and who held
the file when an older entry said so (``Held``), which is worth something while that
backend cannot be reached::

    3,20480,1764280000000000    "held by 1", and what its size and time are
    2,h3-1764280000000          "from 1 on", and until that moment it was "held by 1"
"""

from __future__ import annotations

import re
from typing import Final, Self

NOWHERE: Final = 0
MAX_CHAIN: Final = 1 << 14
HIDDEN: Final = MAX_CHAIN << 1

# A code as it stands in a shared cache, its digits in a group, and facts in another. (No
# dot and no colon, for these end it, and no space.)
WRITTEN: Final = r"([0-9]{1,5})(?:,([!-\-/-9;-~]*))?"
FORMERLY: Final = r"(?:^|,)h([0-9]{1,5})-([0-9]{1,15})(?:,|$)"


class Noted(int):
    """The code of who holds a file, and facts of that, as they are written.

    As a number it is the code. A store that keeps no more than that loses nothing but
    the facts. (Text: half the memory of what it says, and read by few.)
    """

    facts: str

    def __new__(cls, code: int, facts: str = "") -> Self:
        """Return the code with these facts."""
        self = super().__new__(cls, code)
        self.facts = facts
        return self


def noted(code: int, facts: str | None) -> int:
    """Return a code with facts, if there are any, and it names who holds the file."""
    return Noted(code, facts) if facts and is_held(code) else code


def facts_of(code: int | None) -> str:
    """Return the facts that were kept with a code; none: nothing."""
    return code.facts if type(code) is Noted else ""


class Held:
    """Who holds a file, and until when that is to be believed (in ms)."""

    __slots__ = ("code", "end")

    def __init__(self, code: int, end: int) -> None:
        self.code = code
        self.end = end


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


def formerly(code: int) -> int:
    """Return what a snapshot keeps of an entry that is over, or the code of that.

    Below zero: of the name nothing more can be known while a backend is away.
    """
    return ~code


def read_held(code: int, end: int, facts: str | None) -> Held | None:
    """Return who holds the file by what is written, or was said to hold it before."""
    if is_held(code):
        return Held(code, end)
    match = re.search(FORMERLY, facts or "")
    return Held(int(match[1]), int(match[2])) if match else None


def may_follow(code: int, held_code: int) -> bool:
    """Whether a vaguer code leaves it possible that the holder is the same as before."""
    return 0 < code <= held_code and not is_held(code)


def write(code: int, before: Held | None) -> str:
    """Return what is written where something else may have been known before."""
    facts = facts_of(code)
    if facts:
        return f"{code:d},{facts}"
    if before is None or not may_follow(code, before.code):
        return f"{code:d}"
    return f"{code},h{before.code}-{before.end}"


def lasts(written: str) -> bool:
    """Whether what is written is worth something when its lifetime is over."""
    return "," in written or is_held(int(written))


def is_valid(code: int, chain_length: int) -> bool:
    """Whether the code can have been written for a chain of this length."""
    return code == HIDDEN or (code >= 0 and code >> 1 < chain_length)


class Known:
    """What the memo says about one name: what a walk skips, and where it may end.

    ``live`` are the backends for which the memo never answers (``ALWAYS_PROBE``).
    """

    __slots__ = ("code", "holder", "live", "start")

    def __init__(self, code: int | None, length: int, live: frozenset[int]) -> None:
        self.code = code
        self.live = live
        self.holder: int | None = None
        if code is None:
            self.start = 0
        elif code in {NOWHERE, HIDDEN}:
            self.start = length
        else:
            self.start = index_of(code)
            if is_held(code):
                self.holder = self.start

    def skips(self, index: int) -> bool:
        """Whether backend ``index`` is known not to hold the name."""
        return index < self.start and index not in self.live

    def suffices(self, stop: int) -> bool:
        """Whether a walk that ends before ``stop`` asks live backends at the most."""
        return self.holder is not None or self.start >= stop

    def shows(self, index: int) -> bool:
        """Whether no whiteout hides what ``index`` may hold: none was there at the fill."""
        known = self.code not in {None, HIDDEN}
        return known and not self.live and self.suffices(index)
