"""Who is believed while a backend cannot be reached: by what the memo knew of its files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallback_storage.chain.names import memo_key
from fallback_storage.chain.outcomes import Attempt, Outcome
from fallback_storage.chain.reachability import is_unreachable

if TYPE_CHECKING:
    from collections.abc import Collection

    from fallback_storage.chain.walk import Walk


def _is_silent(attempt: Attempt) -> bool:
    return attempt.outcome is Outcome.FAILED and is_unreachable(attempt.exception)


def met(walk: Walk, lasting: Collection[int]) -> bool:
    """Whether a walk found no holder, but one of these that cannot be reached."""
    if walk.holder is None and memo_key(walk.name) is not None:
        # (Of other names the memo says nothing.)
        for index in lasting:
            if index < len(walk.trail) and _is_silent(walk.trail[index]):
                return True
    return False


def stand_in(walk: Walk, holder: int, live: Collection[int]) -> bool:
    """Let the memo answer for those that cannot be reached, down to the holder.

    But for ``live`` ones, for which it never does (and which it never says to hold).
    Returns false where it cannot: the holder has answered, or was not asked.
    """
    asked = walk.trail[: holder + 1]
    if len(asked) <= holder or not _is_silent(asked[holder]):
        return False
    walk.log_failures(f"by what was known before, {asked[holder].backend!r} holds it")
    for index, attempt in enumerate(asked):
        if _is_silent(attempt) and index not in live:
            outcome = Outcome.HELD if index == holder else Outcome.ABSENT
            walk.correct(index, attempt._replace(outcome=outcome, remembered=True))
    walk.failed = any(attempt.outcome is Outcome.FAILED for attempt in walk.trail)
    return True
