"""System checks of the storages of a chain, and of what is done with them.

Nothing is contacted.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning

from fallback_storage.chain.fingerprint import hold_the_same

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fallback_storage.chain.backend import Backend
    from fallback_storage.conf.options import Options

STATIC_FILES = "STORAGES['staticfiles']"

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


def check_overlay(
    where: str, options: Options, backends: Sequence[Backend]
) -> Iterator[CheckMessage]:
    """Yield warnings of what is written, deleted and copied in the chain at ``where``."""
    writable = [backend for backend in backends if not backend.read_only]
    yield from _check_writing(writable)
    yield from _check_deleting(options, backends, writable)
    read_only = len(writable) < len(backends)
    if options.promote and (not writable or writable[0] is backends[-1]):
        lacks = "is below the first writable one" if writable else "is writable"
        yield CheckWarning(
            f"promote is True, but no backend {lacks}: nothing will be copied.",
            hint="Put a writable backend in front of those that files are copied from, "
            "or leave out promote.",
            id="fallback_storage.W005",
        )
    if where == STATIC_FILES:
        yield from _check_collecting(options, backends, read_only=read_only)


def _check_collecting(
    options: Options, backends: Sequence[Backend], *, read_only: bool
) -> Iterator[CheckMessage]:
    # Whether a copy can be left after a delete, which then keeps the name taken.
    leaves = {"first": len(backends) > 1, "all": read_only}
    makes = [each.name for each in backends if hasattr(each.storage, "post_process")]
    if makes:
        found = (
            "collectstatic makes no hashed names through a chain, and without them "
            f"{makes[0]!r} has no URL for any file."
        )
    elif leaves.get(options.on_delete):
        found = (
            "collectstatic deletes a file that has changed and saves it again; while "
            "another backend has a copy, the name is taken and the new file gets "
            "another one."
        )
    else:
        return
    yield CheckWarning(
        found,
        hint="Collect into a plain storage, and leave the chain to media files.",
        id="fallback_storage.W013",
    )


def _check_writing(writable: Sequence[Backend]) -> Iterator[CheckMessage]:
    unsaid = [backend for backend in writable if backend.policy.read_only is None]
    if not writable:
        yield CheckWarning(
            "Every backend is READ_ONLY: saving and deleting will fail.",
            hint="Put a writable backend into the chain if files are to be saved.",
            id="fallback_storage.W002",
        )
    elif len(writable) > 1 and unsaid:
        names = ", ".join(repr(backend.name) for backend in unsaid)
        yield CheckWarning(
            f"More than one backend is writable, {names} without saying so: a save "
            "that fails in one is tried in the next.",
            hint='Write {"ALIAS": ..., "READ_ONLY": True} for what must not be '
            'written, {"READ_ONLY": False} for what may be.',
            id="fallback_storage.W001",
        )


def _check_deleting(
    options: Options, backends: Sequence[Backend], writable: Sequence[Backend]
) -> Iterator[CheckMessage]:
    if options.on_delete == "whiteout" and not writable:
        yield CheckWarning(
            'on_delete is "whiteout", but no backend is writable: there is nowhere to '
            "note what was deleted.",
            hint="Put a writable backend in front of the chain, or leave out on_delete.",
            id="fallback_storage.W003",
        )
    elif options.on_delete == "whiteout" and len(writable) == len(backends):
        yield CheckWarning(
            'on_delete is "whiteout", but no backend is READ_ONLY: there is nothing to '
            "hide.",
            hint='Write {"ALIAS": ..., "READ_ONLY": True} for what must not be '
            'written, or on_delete="all".',
            id="fallback_storage.W004",
        )
