"""System checks of the storages of a chain. Nothing is contacted."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning

from fallback_storage.chain.fingerprint import hold_the_same

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fallback_storage.chain.backend import Backend

# An installed package has no manual beside it.
LINES = (
    "https://github.com/pipermerriam/django-fallback-storage/blob/main/docs/outages.rst"
    "#the-clients-own-time-outs"
)


def check_backends(backends: Sequence[Backend]) -> Iterator[CheckMessage]:
    """Yield warnings of storages that work."""
    yield from _check_repetition(backends)
    for backend in backends:
        yield from _check_place(backend)
    waiting = [repr(each.name) for each in backends if each.has_time_outs is False]
    if waiting:
        yield CheckWarning(
            f"The time-outs of {', '.join(waiting)} are those that its client has by "
            "default: while the server hangs, an upload or a download takes minutes.",
            hint=f"Give it shorter ones, and few retries: the lines to copy are in {LINES}",
            id="fallback_storage.W018",
        )


def _check_place(backend: Backend) -> Iterator[CheckMessage]:
    if not backend.profile.needs or backend.place_varies:
        return
    option, *settings = backend.profile.needs
    if not getattr(backend.storage, option, None):
        also = "".join(f", or set {name}" for name in settings)
        yield CheckWarning(
            f"The backend {backend.name!r} has no {option}: whatever it is asked fails.",
            hint=f"Write {option!r} into its OPTIONS{also}.",
            id="fallback_storage.W019",
        )


def _check_repetition(backends: Sequence[Backend]) -> Iterator[CheckMessage]:
    for one, other in combinations(backends, 2):
        if hold_the_same(one, other):
            yield CheckWarning(
                f"The backends {one.name!r} and {other.name!r} hold the same files: "
                f"{other.name!r} is asked in vain for whatever {one.name!r} has not.",
                hint="Remove one of them, or correct its OPTIONS.",
                id="fallback_storage.W012",
            )
