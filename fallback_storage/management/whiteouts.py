"""``whiteouts``: deleted files that read-only backends still hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError

from fallback_storage.management.output import FAILED, OK
from fallback_storage.management.target import clean_names, engine_of

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Iterable, Mapping

    from fallback_storage.chain.whiteouts import Whiteouts
    from fallback_storage.management.output import Output
    from fallback_storage.storage import FallbackStorage

HELP = (
    "Lists the deleted files that a read-only backend still holds, or shows them again."
)


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments."""
    parser.set_defaults(prefix="", names=[], all=False)
    actions = parser.add_subparsers(dest="action", metavar="list | remove")
    listing = actions.add_parser("list", help="Print their names, one a line.")
    listing.add_argument(
        "prefix", nargs="?", default="", metavar="PREFIX", help="What names begin with."
    )
    removal = actions.add_parser("remove", help="Undo deletes.")
    which = removal.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "names", nargs="*", default=[], metavar="NAME", help="The file's name."
    )
    which.add_argument("--all", action="store_true", help="Every hidden file.")


def handle(storage: FallbackStorage, options: Mapping[str, Any], output: Output) -> int:
    """List, or remove."""
    whiteouts = engine_of(storage).overlay.whiteouts
    if whiteouts is None:
        raise CommandError(
            "This storage makes no whiteouts: its on_delete is not 'whiteout', or it has "
            "no writable backend."
        )
    if options["action"] == "remove":
        names = storage.hidden() if options["all"] else clean_names(options["names"])
        return _remove(storage, whiteouts, names, output)
    return _list(storage, options["prefix"], output)


def _list(storage: FallbackStorage, prefix: str, output: Output) -> int:
    found = 0
    for name in storage.hidden():
        if name.startswith(prefix):
            output.line(name)
            found += 1
    if not found:
        output.warn(
            f"No name that begins with {prefix!r} is hidden."
            if prefix
            else "Nothing is hidden."
        )
    return OK


def _remove(
    storage: FallbackStorage,
    whiteouts: Whiteouts,
    names: Iterable[str],
    output: Output,
) -> int:
    status = OK
    # (All of them first: what is listed must not change while it is read.)
    for name in list(names):
        if not whiteouts.hides(name):
            output.warn(f"{name} is not hidden.")
            status = FAILED
            continue
        storage.unhide(name)
        shown = storage.resolve(name)
        output.line(
            f"{name} shows again, from {shown.backend}."
            if shown.held
            else f"{name} is hidden no longer; no backend holds it."
        )
    return status
