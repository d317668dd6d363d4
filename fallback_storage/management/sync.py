"""``sync``: copy what only lower backends hold to the first writable one."""

from __future__ import annotations

import argparse
from collections import Counter
from contextlib import closing
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from fallback_storage.chain.listing import pages
from fallback_storage.jobs.limits import Limits
from fallback_storage.jobs.steps import Result, Step
from fallback_storage.jobs.sync import sync
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
from fallback_storage.management.target import (
    Options,
    add_prefixes,
    clean_prefixes,
    engine_of,
)

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from django.core.management.base import BaseCommand

    from fallback_storage.chain.backend import Backend
    from fallback_storage.storage import FallbackStorage

HELP = (
    "Copies every file that only lower backends hold to the first writable backend, "
    "under its own name, whole or not at all, and checks the copies. Nothing is "
    "overwritten or deleted, but see --repair. What a run that was ended has left to "
    "do, the next one does."
)

COUNTS = {
    Result.PRESENT: "already there",
    Result.DIFFERENT: "different, kept",
    Result.HIDDEN: "deleted here",
    Result.GONE: "deleted meanwhile",
    Result.LEFT_OUT: "left out",
    Result.PASSED_OVER: "passed over",
    Result.FAILED: "failed",
}


def add_arguments(parser: ArgumentParser) -> None:
    add_prefixes(parser, "copied")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="Write nothing; say how much would be copied, by directory (with -v 2: by "
        "file, too).",
    )
    parser.add_argument(
        "--jobs",
        type=_jobs,
        default=4,
        metavar="N",
        help="How many files are copied at the same time, if all backends bear that. "
        "Default: 4.",
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="Compare the checksums of what is there already, too. Exit status 1 if "
        "a file differs.",
    )
    parser.add_argument(
        "--max-size",
        type=amounts.size,
        metavar="BYTES",
        help="Leave out files of more bytes than that: 500, 500K, 10M, 2G.",
    )
    parser.add_argument(
        "--newer",
        type=_moment,
        metavar="WHEN",
        help="Leave out files that were last written to before that: a date "
        "(2024-05-01, 2024-05-01T12:00), or so long ago (30m, 12h, 7d, 2w).",
    )
    parser.add_argument(
        "--quiet",
        action="store_true",
        help="Say nothing but what has failed.",
    )
    parser.add_argument(
        "--repair",
        action="store_true",
        help="Replace files that are a true beginning of the one to copy, as a run that "
        "was killed may leave where files are written in place. (Not in local "
        "directories, S3, Google, Azure: there copies appear whole.) Without it they "
        "are told as failed.",
    )


def handle(storage: FallbackStorage, options: Options, command: BaseCommand) -> int:
    """Copy, and say what was done."""
    prefixes = clean_prefixes(storage, options["prefixes"])
    home, *_ = engine_of(storage).writer.require_writable("sync", "")
    if home is storage.backends[-1]:
        if not options["quiet"]:
            text = f"Nothing to sync: {home.name!r} has no backend after it."
            command.stdout.write(text)
        return OK
    try:
        with closing(Report(home, options, command)) as report:
            for prefix in prefixes:
                report.prefix = prefix
                if not report.stopped:
                    _sync(storage, prefix, options, report)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            "Interrupted. Every copy is whole; run the same command again to go on."
        ) from None
    return FAILED if report.progress.failed else OK


def _sync(
    storage: FallbackStorage, prefix: str, options: Options, report: Report
) -> None:
    is_known = not prefix
    steps = sync(
        storage,
        prefix,
        dry_run=options["dry_run"],
        jobs=options["jobs"],
        verify=options["verify"],
        repair=options["repair"],
        max_size=options["max_size"],
        newer=options["newer"],
    )
    with closing(steps):
        for step in steps:
            is_known = True
            report.add(step)
    if not is_known and next(pages(report.home, prefix), None) is None:
        report.progress.miss(prefix)


class Report:
    """What a run has done so far."""

    def __init__(self, home: Backend, options: Options, command: BaseCommand) -> None:
        self.home = home
        self.stopped = False
        # The directory that is copied now.
        self.prefix = ""
        self._verify = options["verify"]
        self._names_files = options["verbosity"] > 1 and not options["quiet"]
        self._sums_up = options["dry_run"]
        self._command = command
        self._quiet = options["quiet"]
        quiet = self._quiet or not options["verbosity"]
        self.progress = Progress(command.stderr, quiet=quiet)
        self._verb = "Would copy" if options["dry_run"] else "Copied"
        self._counts: Counter[Result] = Counter()
        self._bytes = 0
        # By directory: how many files are to be copied, and their bytes.
        self._sums: dict[str, tuple[int, int]] = {}

    def add(self, step: Step) -> None:
        """Count a step, and say what the user has to know of it."""
        self._counts[step.result] += 1
        if step.result is Result.COPIED:
            self._add_copy(step)
        elif step.result is Result.DIFFERENT:
            tell = self.progress.fail if self._verify else self._command.stderr.write
            if self._verify or not self._quiet:
                tell(
                    f"Different, kept: {step.name} is another file in "
                    f"{self.home.name!r} than in {step.backend!r}"
                )
        elif step.result is Result.PASSED_OVER:
            self.progress.fail(
                f"Passed over: {step.backend!r} lists {step.name}, which is the name of no "
                "file that a storage reaches"
            )
        elif step.result is Result.FAILED:
            what = step.name or "everything"
            self.progress.fail(f"Failed: {what} ({step.backend}: {reason(step.error)})")
        if step.final:
            self.stopped = True
            self._command.stderr.write("Stopped: nothing else would succeed.")
        self.progress.update(self._counts.total(), self._copied)

    def _add_copy(self, step: Step) -> None:
        self._bytes += step.size or 0
        if self._sums_up:
            directory = self._directory(step.name)
            files, total = self._sums.get(directory, (0, 0))
            self._sums[directory] = files + 1, total + (step.size or 0)
        if self._names_files:
            size = "" if step.size is None else f", {in_bytes(step.size)}"
            text = f"{self._verb}: {step.name} ({step.backend}{size})"
            self._command.stdout.write(text)

    def close(self) -> None:
        """Print the counts."""
        self.progress.close()
        if self._quiet:
            return
        for directory, (files, size) in sorted(self._sums.items()):
            self._command.stdout.write(
                f"{self._verb}: {directory} ({counted(files, 'file')}, {in_bytes(size)})"
            )
        done = f"{self._copied()} to {self.home.name!r}"
        self._command.stdout.write(summed(done, self._counts, COUNTS))

    def _copied(self) -> str:
        files = counted(self._counts[Result.COPIED], "file")
        return f"{self._verb} {files} ({in_bytes(self._bytes)})"

    def _directory(self, name: str) -> str:
        """Return the directory below the prefix that a file is in, however deep.

        Of what lies in the prefix itself: that.
        """
        above = f"{self.prefix}/" if self.prefix else ""
        first, slash, _ = name.removeprefix(above).partition("/")
        return f"{above}{first}/" if slash else above or "./"


def _jobs(text: str) -> int:
    jobs = int(text) if text.isdecimal() else 0
    if jobs < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on.")
    return jobs


def _moment(text: str) -> datetime | timedelta:
    try:
        if text[-1:] not in amounts.TIMES:
            return datetime.fromisoformat(text)
        ago = timedelta(seconds=amounts.seconds(text))
        Limits.of(None, ago)
    except (ValueError, OverflowError, argparse.ArgumentTypeError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a date (2024-05-01, 2024-05-01T12:00) nor a time (30m, "
            "12h, 7d, 2w)."
        ) from None
    return ago
