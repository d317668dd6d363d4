"""``forget``: for files that were changed behind the storage's back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.management.base import CommandError

from fallback_storage.management.output import OK
from fallback_storage.management.target import Options, Scope, clean_names, scope_of

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from django.core.management.base import BaseCommand

    from fallback_storage.storage import FallbackStorage

HELP = "Forgets what is known of files that were changed behind the storage's back."


def add_arguments(parser: ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("names", nargs="*", default=[], metavar="NAME", help="A file.")
    which.add_argument("--all", action="store_true", help="Every name of this chain.")


def handle(storage: FallbackStorage, options: Options, command: BaseCommand) -> int:
    """Forget, and say so; or say why that has no effect."""
    names = clean_names(storage, options["names"])
    scope = scope_of(storage)
    if scope is Scope.NONE:
        command.stdout.write(f"{scope.value} There is nothing to forget.")
        return OK
    if scope is not Scope.SHARED:
        command.stderr.write(
            f"{scope.value} This command cannot reach what running processes remember: "
            "restart them, or wait until it expires (TTL)."
        )
        return OK
    if options["all"]:
        storage.forget_all()
    else:
        storage.forget(*names)
    if storage.stats().get("undelivered"):
        # (It would be told later by a process that lives longer than this one.)
        raise CommandError(
            "The memo's cache does not answer. Nothing was forgotten for certain: "
            "entries may come back with it until they expire (TTL)."
        )
    for name in names or ["every name"]:
        command.stdout.write(f"Forgotten: {name}")
    return OK
