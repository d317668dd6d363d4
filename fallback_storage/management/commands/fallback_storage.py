"""``manage.py fallback_storage``: where files are, what is remembered, what it costs.

A subcommand is a module of ``fallback_storage.management`` with

``HELP``
    what it does; the first sentence is for the list of subcommands;
``add_arguments(parser)``
    its own arguments;
``handle(storage, options, command) -> int``
    which does it, and returns the exit status.

Exit statuses: 0; 1 where something failed, or is not as it was asked for; 2 for a wrong
command line; 130 after Ctrl-C; 141 if nobody reads the output.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError
from django.core.management.color import no_style

from fallback_storage.exceptions import FallbackStorageError
from fallback_storage.management import (
    forget,
    ping,
    prune,
    resolve,
    stats,
    sync,
    warm,
    whiteouts,
)
from fallback_storage.management.output import INTERRUPTED, Stream, reason
from fallback_storage.management.target import storage_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.core.management.base import CommandParser

SUBCOMMANDS: Mapping[str, Any] = {
    module.__name__.rpartition(".")[2]: module
    for module in (resolve, ping, stats, forget, whiteouts, warm, sync, prune)
}


class Command(BaseCommand):
    """The subcommands' frame: which storage, what is printed, how it ends."""

    help = "Shows and manages what a FallbackStorage knows."
    # Who looks for what is wrong must not be stopped by something else that is.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Add a parser for each subcommand."""
        # Options of all subcommands are as good behind the subcommand as before it.
        common = BaseCommand().create_parser("", "", add_help=False)
        for action in common._actions:  # noqa: SLF001 - as Django's call_command
            # (A default would undo what stands before the subcommand.)
            action.default = action.help = argparse.SUPPRESS
        for each, default in ((parser, None), (common, argparse.SUPPRESS)):
            each.add_argument(
                "--storage",
                metavar="ALIAS",
                default=default,
                help="The alias of STORAGES to work on; default: the FallbackStorage "
                'that there is, "default" first.',
            )
        parsers = parser.add_subparsers(
            dest="subcommand", required=True, metavar="SUBCOMMAND"
        )
        for name, subcommand in SUBCOMMANDS.items():
            own = parsers.add_parser(
                name,
                help=f"{subcommand.HELP.partition('. ')[0].rstrip('.')}.",
                description=subcommand.HELP,
                parents=[common],
            )
            subcommand.add_arguments(own)

    def run_from_argv(self, argv: list[str]) -> None:
        """Run for a shell."""
        try:
            super().run_from_argv(argv)
        except KeyboardInterrupt as interrupt:
            # A subcommand may say what is to be done now.
            said = str(interrupt) or "Interrupted."
            if self.stderr.isatty():
                self.stderr.write()  # it has written "^C" where the cursor was
            self.stderr.write(said)
            sys.exit(INTERRUPTED)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the subcommand; end with its exit status, if that is not 0."""
        self.stdout, self.stderr = Stream(self.stdout), Stream(self.stderr)
        if not (options["force_color"] or self.stdout.isatty()):
            self.style = no_style()  # also where a program takes what is printed
        try:
            storage = storage_of(options["storage"])
            subcommand = SUBCOMMANDS[options["subcommand"]]
            status = subcommand.handle(storage, options, self)
        except CommandError:
            raise
        except FallbackStorageError as error:
            raise CommandError(reason(error)) from error
        except Exception as error:
            raise CommandError(
                f"A backend failed: {reason(error)}. (--traceback shows more.)"
            ) from error
        if status:
            sys.exit(status)
