"""``manage.py fallback_storage``: where files are, what is remembered, what it costs.

A subcommand is a module of ``fallback_storage.management`` with

``HELP``
    what it does; the first sentence is for the list of subcommands;
``add_arguments(parser)``
    its own arguments;
``handle(storage, options, output) -> int``
    which does it, and returns the exit status.

Exit statuses: 0; 1 where something failed, or is not as it was asked for; 2 for a wrong
command line; 130 after Ctrl-C; 141 if nobody reads the output.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError

from fallback_storage.exceptions import FallbackStorageError
from fallback_storage.management import forget, resolve, stats, sync, warm, whiteouts
from fallback_storage.management.output import (
    INTERRUPTED,
    Output,
    end_with_closed_pipe,
)
from fallback_storage.management.target import storage_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.core.management.base import CommandParser

SUBCOMMANDS: Mapping[str, Any] = {
    "resolve": resolve,
    "stats": stats,
    "forget": forget,
    "whiteouts": whiteouts,
    "warm": warm,
    "sync": sync,
}

# Options of Django's that are as good behind the subcommand as before it.
COMMON: Mapping[tuple[str, ...], Mapping[str, Any]] = {
    ("-v", "--verbosity"): {"type": int, "choices": range(4)},
    ("--settings",): {},
    ("--pythonpath",): {},
    ("--traceback",): {"action": "store_true"},
    ("--no-color",): {"action": "store_true"},
    ("--force-color",): {"action": "store_true"},
}


class Command(BaseCommand):
    """The subcommands' frame: which storage, what is printed, how it ends."""

    help = "Shows and manages what a FallbackStorage knows."
    # Who looks for what is wrong must not be stopped by something else that is.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Add a parser for each subcommand."""
        parsers = parser.add_subparsers(
            dest="subcommand", required=True, metavar="SUBCOMMAND"
        )
        for name, subcommand in SUBCOMMANDS.items():
            own = parsers.add_parser(
                name, help=_first_sentence(subcommand.HELP), description=subcommand.HELP
            )
            own.add_argument(
                "--storage",
                metavar="ALIAS",
                help="The alias of STORAGES to work on; default: the FallbackStorage "
                'that there is, "default" first.',
            )
            for flags, kind in COMMON.items():
                # (A default would undo what stands before the subcommand.)
                own.add_argument(
                    *flags, default=argparse.SUPPRESS, help=argparse.SUPPRESS, **kind
                )
            subcommand.add_arguments(own)

    def run_from_argv(self, argv: list[str]) -> None:
        """Run for a shell."""
        try:
            super().run_from_argv(argv)
        except KeyboardInterrupt as interrupt:
            # A subcommand may say what is to be done now.
            said = str(interrupt) or "Interrupted."
            # (A terminal has written "^C" where the cursor was.)
            self.stderr.write(f"\n{said}" if self.stderr.isatty() else said)
            sys.exit(INTERRUPTED)
        except BrokenPipeError:
            # Of our own output: a backend's became an error with a message.
            end_with_closed_pipe()

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the subcommand; end with its exit status, if that is not 0."""
        output = Output(
            self.stdout,
            self.stderr,
            self.style,
            quiet=not options["verbosity"],
            colors=True if options["force_color"] else None,
        )
        try:
            storage = storage_of(options["storage"])
            subcommand = SUBCOMMANDS[options["subcommand"]]
            status = subcommand.handle(storage, options, output)
        except CommandError:
            raise
        except Exception as error:
            raise CommandError(_said_of(error)) from error
        finally:
            output.flush()
        if status:
            sys.exit(status)


def _first_sentence(text: str) -> str:
    return f"{text.partition('. ')[0].rstrip('.')}."


def _said_of(error: Exception) -> str:
    """Return one line about an error: of one that is not ours, the type alone.

    Its text may hold an address or a key.
    """
    if isinstance(error, FallbackStorageError):
        return str(error)
    return f"A backend failed: {type(error).__name__}. (--traceback shows more.)"
