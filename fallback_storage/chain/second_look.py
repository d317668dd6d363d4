"""What a backend's answer is worth where its class, or its credentials, do not tell.

Some storages say "no" to whatever goes wrong, others raise an error that does not say
what it was (``profiles``). And a server refuses, by a 403, to tell who may read but not
list whether a file is there. Then one more question is asked, of the same backend.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from fallback_storage.chain.outcomes import Outcome, classify, http_status, is_a
from fallback_storage.chain.reachability import is_unreachable
from fallback_storage.exceptions import (
    ContradictoryAnswerError,
    FallbackStorageError,
    MissingPlaceError,
)
from fallback_storage.utils.logs import warner

if TYPE_CHECKING:
    from collections.abc import Callable

    from fallback_storage.chain.backend import Backend

FORBIDDEN: Final = 403

# What who may read a bucket's files, and ask nothing of the bucket, is told of it. (401:
# by Google, without credentials.)
MAY_NOT_ASK: Final = frozenset({401, FORBIDDEN})

# The one operation that is about a directory, not about a file.
LISTING: Final = "listdir"


def look_again(
    backend: Backend, operation: str, name: str, seen: Outcome, error: Exception | None
) -> tuple[Outcome, Exception | None]:
    """Return what an answer means that seems to mean ``seen``: absent, or failed.

    With the exception that tells it; ``error`` is the one that was raised, if any was.
    "Held" is only the answer where none was. Raises what no other backend may be asked
    about.
    """
    profile = backend.profile
    said, reason = seen, error
    if error is not None and is_a(error, profile.not_found):
        seen = Outcome.ABSENT
    elif name:  # the root is no file
        question = profile.ask_again
        if operation == LISTING:
            question = profile.ask_for_directory if seen is Outcome.FAILED else None
        if question is not None:
            seen, reason = _ask(backend, question, name, error)
    if seen is Outcome.ABSENT:
        missing = _why_no_place(backend)
        if missing is not None:
            seen, said, reason = Outcome.FAILED, seen, missing
    if seen is Outcome.FAILED:
        return _failed(backend, operation, name, said, error=error, reason=reason)
    return seen, error or reason


def _failed(
    backend: Backend,
    operation: str,
    name: str,
    said: Outcome,
    *,
    error: Exception | None,
    reason: Exception | None,
) -> tuple[Outcome, Exception | None]:
    """Return what a failure means of which ``error`` was raised, and why."""
    if http_status(reason) == FORBIDDEN and _is_denied(
        backend, operation, name, reason
    ):
        return Outcome.ABSENT, error or reason
    if said is Outcome.ABSENT:
        # What was raised says "no such file", and is not to be believed.
        if reason is error:
            reason = ContradictoryAnswerError(backend.name, operation, name)
        # (Of a client's error a cause that says "not there" would say so, too.)
        if isinstance(reason, FallbackStorageError) and error is not None:
            reason.__cause__ = error
        error = reason
    return Outcome.FAILED, error


def _ask(
    backend: Backend,
    question: Callable[[Any, str], bool],
    name: str,
    error: Exception | None,
) -> tuple[Outcome, Exception | None]:
    """Return what the question says, and why."""
    start = time.perf_counter()
    failed = False
    try:
        is_there = backend.ask(backend.lend, question, name)
    except Exception as reason:  # noqa: BLE001 - what it says is the answer
        failed = classify(reason) is not Outcome.ABSENT
        return (Outcome.FAILED if failed else Outcome.ABSENT), reason
    finally:
        backend.count(time.perf_counter() - start, failed=failed)
    if not is_there:
        return Outcome.ABSENT, error
    return (Outcome.FAILED if error else Outcome.HELD), error


def _why_no_place(backend: Backend) -> Exception | None:
    """Return why the bucket may not be there; None: it is.

    Asked once, by the first answer that is "no".
    """
    question = backend.profile.has_place
    if question is None or backend.place_seen:
        return None
    asked = backend.place_asked
    with backend.place_lock:
        # What another one was told meanwhile is told to all who waited, also if it is no.
        if asked == backend.place_asked:
            backend.place_error = None
            try:
                backend.place_seen = backend.ask(backend.lend, question)
            except Exception as error:  # noqa: BLE001 - what it says is the answer
                # Who may not ask is told so by a place that is there.
                backend.place_seen = http_status(error) in MAY_NOT_ASK
                if is_unreachable(error):
                    backend.place_error = error.with_traceback(None)
            backend.place_asked += 1
        if backend.place_seen:
            return None
        return backend.place_error or MissingPlaceError(backend.name)


def _is_denied(
    backend: Backend, operation: str, name: str, error: Exception | None
) -> bool:
    """Whether a 403 is one for a file that is not there, for what this chain knows."""
    profile = backend.profile
    lacks = profile.permission
    warner.warn(
        (FORBIDDEN, backend.where, backend.name),
        "%s(%r): %r answers 403, which is no answer to whether the file is there.%s",
        operation,
        name,
        backend.name,
        f" Grant its credentials {lacks}, or write ABSENT_ON_403." if lacks else "",
    )
    denies = profile.is_denied
    if error is None or denies is None or operation == LISTING:
        return False
    return bool(
        backend.policy.absent_on_403 and backend.ask(backend.lend, denies, name, error)
    )
