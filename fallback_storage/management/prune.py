"""``prune``: remove local copies of what a backend below still holds."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from fallback_storage.jobs.prune import Pruning, Result
from fallback_storage.management import amounts
from fallback_storage.management.output import (
    FAILED,
    OK,
    Progress,
    counted,
    in_bytes,
    reason,
    summed,
)
from fallback_storage.management.target import Options, add_prefixes, clean_prefixes

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from django.core.management.base import BaseCommand

    from fallback_storage.storage import FallbackStorage

HELP = (
    "Removes files of the local directory that a backend below still holds, with the "
    "same bytes, least recently used first. Never what is only here, nor what could not "
    "be compared now. What is removed is read from below again."
)

COUNTS: Final = {
    Result.ONLY_HERE: "only here",
    Result.DIFFERENT: "different below, kept",
    Result.CHANGED: "changed meanwhile, kept",
    Result.FAILED: "failed",
}


def add_arguments(parser: ArgumentParser) -> None:
    add_prefixes(parser, "looked at")
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument(
        "--max-total",
        type=amounts.size,
        metavar="SIZE",
        help="Until what is there has no more bytes than that: 500M, 10G.",
    )
    wanted.add_argument(
        "--older",
        type=amounts.seconds,
        metavar="TIME",
        help="What was not used for so long: 12h, 30d, 8w.",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="Remove nothing; say what would be removed.",
    )


def handle(storage: FallbackStorage, options: Options, command: BaseCommand) -> int:
    """Remove, and say what was done."""
    run = Pruning(storage)
    if run.used_by == "change" and options["verbosity"]:
        command.stderr.write(
            "The system does not note when files are read here: it goes by when they were "
            "changed."
        )
    progress = Progress(command.stderr, quiet=not options["verbosity"])
    verb = "Would remove" if options["dry_run"] else "Removed"
    counts: Counter[Result] = Counter()
    removed = 0

    def note() -> str:
        return f"{verb} {counts[Result.REMOVED]:,}"

    steps = run.steps(
        clean_prefixes(storage, options["prefixes"]),
        max_total=options["max_total"],
        older=options["older"],
        dry_run=options["dry_run"],
    )
    for step in steps:
        counts[step.result] += 1
        if step.result is Result.REMOVED:
            removed += step.size
            if options["dry_run"] or options["verbosity"] > 1:
                size = in_bytes(step.size)
                command.stdout.write(f"{verb}: {step.name} ({step.backend}, {size})")
        elif step.result is Result.FAILED:
            progress.fail(f"Kept: {step.name} ({step.backend}: {reason(step.error)})")
        progress.update(counts.total(), note)
    progress.close()
    files = counted(counts[Result.REMOVED], "file")
    done = f"{verb} {files} ({in_bytes(removed)})"
    command.stdout.write(summed(done, counts, COUNTS))
    return FAILED if progress.failed else OK
