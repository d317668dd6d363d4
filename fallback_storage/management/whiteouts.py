"""``whiteouts``: deleted files that read-only backends still hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.management.base import CommandError

from fallback_storage.management.output import FAILED, OK
from fallback_storage.management.target import Options, clean_names, engine_of

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from django.core.management.base import BaseCommand

    from fallback_storage.chain.whiteouts import Whiteouts
    from fallback_storage.storage import FallbackStorage

HELP = (
    "Lists the deleted files that a read-only backend still holds, or shows them again."
)


def add_arguments(parser: ArgumentParser) -> None:
    parser.set_defaults(prefix="", names=[], all=False)
    actions = parser.add_subparsers(dest="action", metavar="list | remove")
    listing = actions.add_parser("list", help="Print their names, one a line.")
    listing.add_argument(
        "prefix", nargs="?", default="", metavar="PREFIX", help="What names begin with."
    )
    removal = actions.add_parser("remove", help="Undo deletes.")
    which = removal.add_mutually_exclusive_group(required=True)
    which.add_argument("names", nargs="*", default=[], metavar="NAME", help="A file.")
    which.add_argument("--all", action="store_true", help="Every hidden file.")


def handle(storage: FallbackStorage, options: Options, command: BaseCommand) -> int:
    """List, or remove."""
    whiteouts = engine_of(storage).overlay.whiteouts
    if whiteouts is None:
        raise CommandError(
            "Nothing is hidden in this chain: its on_delete is not 'whiteout', or no "
            "backend is writable."
        )
    if options["action"] != "remove":
        prefix = options["prefix"]
        names = [name for name in storage.hidden() if name.startswith(prefix)]
        for name in names:
            command.stdout.write(name)
        if not names:
            command.stderr.write(f"No hidden name begins with {prefix!r}.")
        return OK
    # (All of them first: what is listed must not change while it is read.)
    names = (
        list(storage.hidden())
        if options["all"]
        else clean_names(storage, options["names"])
    )
    found = [_unhide(storage, whiteouts, name, command) for name in names]
    return OK if all(found) else FAILED


def _unhide(
    storage: FallbackStorage, whiteouts: Whiteouts, name: str, command: BaseCommand
) -> bool:
    if not whiteouts.hides(name):
        command.stderr.write(f"{name} is not hidden.")
        return False
    storage.unhide(name)
    shown = storage.resolve(name)
    command.stdout.write(
        f"{name} shows again, from {shown.backend}."
        if shown.held
        else f"{name} is hidden no longer; no backend holds it."
    )
    return True
