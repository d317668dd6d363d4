"""What ``sync`` tells: what became of one name after the other."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fallback_storage.chain.backend import Backend


class Result(enum.StrEnum):
    """What became of one name."""

    COPIED = "copied"  # in a dry run: would be
    PRESENT = "present"  # the home has it already
    DIFFERENT = "different"  # the home has another file of this name, which stays
    HIDDEN = "hidden"  # deleted in this mirror, by a whiteout
    GONE = "gone"  # deleted where it was, during the run
    LEFT_OUT = "left out"  # too large, or too old, for this run
    PASSED_OVER = "passed over"  # listed under a name that no storage reaches
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Step:
    """One name of a run, in the order in which they are done.

    ``backend``: where the file was found; of a failure, what failed. ``size``: bytes,
    where they are known. ``final``: the run ended here, because nothing else would have
    succeeded; ``name`` is then the directory, if its listing failed.
    """

    name: str
    result: Result
    backend: str
    size: int | None = None
    error: Exception | None = None
    final: bool = False


def failed(
    name: str, backend: Backend, error: Exception | None, *, final: bool = False
) -> Step:
    """Return the step of a name that ``backend`` failed for."""
    return Step(name, Result.FAILED, backend.name, None, error, final)
