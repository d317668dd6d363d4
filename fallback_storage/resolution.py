"""What is known of a name: which backend holds it, and how that is known."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fallback_storage.outcomes import Attempt


class Source(enum.StrEnum):
    """How a resolution is known."""

    MEMO = "memo"
    PROBE = "probe"


@dataclass(frozen=True, slots=True)
class Resolution:
    """Which backend holds a name, and how that is known.

    ``index`` and ``backend``: the position and the name of the holder, or None.
    ``held``: True; False if every backend answered that it does not hold the name;
    None if that is not known, because a backend failed or was not asked.
    ``hidden``: a whiteout hides what a read-only backend may hold.
    ``trail``: what each backend answered, or the memo in its stead.
    """

    name: str
    index: int | None
    backend: str | None
    held: bool | None
    source: Source
    trail: tuple[Attempt, ...] = ()
    hidden: bool = False
