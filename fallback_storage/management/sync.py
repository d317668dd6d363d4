"""``sync``: copy what only lower backends hold to the first writable one."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any

from django.core.exceptions import SuspiciousOperation
from django.core.management.base import CommandError

from fallback_storage.chain.listing import pages
from fallback_storage.chain.names import clean_name
from fallback_storage.exceptions import FallbackStorageError, OperationNotSupportedError
from fallback_storage.jobs.sync import Result, Step, sync
from fallback_storage.management.output import FAILED, OK

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Iterable, Mapping, Sequence

    from fallback_storage.chain.backend import Backend
    from fallback_storage.management.output import Output, Progress
    from fallback_storage.storage import FallbackStorage

HELP = (
    "Copies every file that only lower backends hold to the first writable backend, "
    "under its own name, whole or not at all, and checks the copies. Nothing is "
    "overwritten or deleted, but see --repair. What a run that was ended has left to "
    "do, the next one does."
)

# From this verbosity on, every copied file is a line.
NAMES_FILES = 2

# As disks and buckets are sold.
STEP = 1000

COUNTS = {
    Result.PRESENT: "already there",
    Result.DIFFERENT: "different, kept",
    Result.HIDDEN: "deleted here",
    Result.GONE: "deleted meanwhile",
    Result.FAILED: "failed",
}


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "prefixes",
        nargs="*",
        metavar="prefix",
        help="A directory; what is below it is copied. Default: everything.",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="Write nothing; say what would be copied.",
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
        "--repair",
        action="store_true",
        help="Replace files that are a true beginning of the one to copy, as a run that "
        "was killed may leave where files are written in place. (Not in local "
        "directories, S3, Google, Azure: there copies appear whole.) Without it they "
        "are told as failed.",
    )


def handle(storage: FallbackStorage, options: Mapping[str, Any], output: Output) -> int:
    """Copy, and say what was done."""
    prefixes = _clean_prefixes(options["prefixes"])
    home, *below = _from_home_on(storage.backends)
    if not below:
        output.line(
            f"Nothing to sync: {home.name!r} is the first writable backend, and no "
            "backend comes after it."
        )
        return OK
    report = Report(output, home, options)
    try:
        with output.progress("names") as progress:
            for prefix in prefixes:
                _sync(storage, prefix, options, report, progress)
                if report.stopped:
                    break
    except KeyboardInterrupt:
        report.summary()
        raise KeyboardInterrupt(
            "Interrupted. Every copy that was made is whole; run the same command "
            "again to go on."
        ) from None
    report.summary()
    return report.status


def _sync(
    storage: FallbackStorage,
    prefix: str,
    options: Mapping[str, Any],
    report: Report,
    progress: Progress,
) -> None:
    is_known = not prefix
    steps = sync(
        storage,
        prefix,
        dry_run=options["dry_run"],
        jobs=options["jobs"],
        verify=options["verify"],
        repair=options["repair"],
    )
    with closing(steps):
        for step in steps:
            is_known = True
            report.add(step)
            progress.advance(note=report.note)
    if not is_known and next(pages(report.home, prefix), None) is None:
        report.miss(prefix)


class Report:
    """What a run has done so far."""

    def __init__(
        self, output: Output, home: Backend, options: Mapping[str, Any]
    ) -> None:
        self.home = home
        self.stopped = False
        self._output = output
        self._dry_run = options["dry_run"]
        self._verify = options["verify"]
        self._names_files = options["verbosity"] >= NAMES_FILES
        self._counts: Counter[Result] = Counter()
        self._bytes = 0
        self._misses = 0

    def add(self, step: Step) -> None:
        """Count a step, and say what the user has to know of it."""
        self._counts[step.result] += 1
        if step.result is Result.COPIED:
            self._bytes += step.size or 0
            if self._dry_run or self._names_files:
                verb = "would copy" if self._dry_run else "copied"
                size = "" if step.size is None else f", {_in_bytes(step.size)}"
                self._output.line(f"{verb}: {step.name} ({step.backend}{size})")
        elif step.result is Result.DIFFERENT:
            self._output.warn(
                f"different, kept: {step.name} is another file in "
                f"{self.home.name!r} than in {step.backend!r}"
            )
        elif step.result is Result.FAILED:
            self._tell_failure(step)

    def _tell_failure(self, step: Step) -> None:
        reason = _reason(step.error)
        if isinstance(step.error, OperationNotSupportedError):
            said = str(step.error)
        elif step.final and step.backend != self.home.name:
            said = f"The backend {step.backend!r} could not be asked: {reason}."
        else:
            said = f"failed: {step.name or 'everything'} ({step.backend}: {reason})"
        self._output.warn(said)
        if step.final:
            self.stopped = True
            self._output.warn("Stopped: nothing else would succeed.")

    def miss(self, prefix: str) -> None:
        """Say that nothing is known of a prefix."""
        self._misses += 1
        self._output.warn(
            f"No backend has files below {prefix + '/'!r}. A prefix is a directory, "
            "written from the storage's root on."
        )

    @property
    def note(self) -> str:
        """A few words for the line of progress."""
        copied = self._counts[Result.COPIED]
        done = "to copy" if self._dry_run else "copied"
        return f"{copied:,} {done}  {_in_bytes(self._bytes)}"

    @property
    def status(self) -> int:
        """The exit status."""
        differs = self._verify and self._counts[Result.DIFFERENT]
        bad = self._counts[Result.FAILED] or self._misses or differs
        return FAILED if bad else OK

    def summary(self) -> None:
        """Print the counts."""
        verb = "Would copy" if self._dry_run else "Copied"
        copied = self._counts[Result.COPIED]
        rest = [
            f"{word}: {self._counts[result]:,}"
            for result, word in COUNTS.items()
            if self._counts[result]
        ]
        files = "file" if copied == 1 else "files"
        self._output.line(
            f"{verb} {copied:,} {files} ({_in_bytes(self._bytes)}) to "
            f"{self.home.name!r}" + "".join(f"; {each}" for each in rest) + "."
        )


def _from_home_on(backends: Sequence[Backend]) -> Sequence[Backend]:
    for index, backend in enumerate(backends):
        if not backend.read_only:
            return backends[index:]
    names = ", ".join(repr(backend.name) for backend in backends)
    raise CommandError(
        f"sync has nowhere to write: READ_ONLY is set for {names}. Put a writable "
        'backend before them, as in "backends": ["local", {"ALIAS": ..., '
        '"READ_ONLY": True}].'
    )


def _clean_prefixes(prefixes: Iterable[str]) -> list[str]:
    """Return the directories, without those that lie in another one."""
    try:
        cleaned = {clean_name(prefix).rstrip("/") for prefix in prefixes}
    except SuspiciousOperation as error:
        raise CommandError(str(error)) from error
    if not cleaned or "" in cleaned:
        return [""]
    return [
        prefix
        for prefix in sorted(cleaned)
        if not any(prefix.startswith(f"{other}/") for other in cleaned)
    ]


def _jobs(text: str) -> int:
    jobs = int(text) if text.isdecimal() else 0
    if jobs < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on.")
    return jobs


def _reason(error: Exception | None) -> str:
    """Return what may be said of an error: its type, and what the system calls it."""
    kind = type(error).__name__
    if isinstance(error, FallbackStorageError):
        # Ours tell nothing that they were not meant to.
        return f"{kind}: {getattr(error, 'strerror', None) or error}"
    if isinstance(error, OSError) and error.errno is not None:
        return f"{kind}: {os.strerror(error.errno)}"
    return kind


def _in_bytes(size: float) -> str:
    if size < STEP:
        return "1 byte" if size == 1 else f"{size} bytes"
    units = iter(("kB", "MB", "GB", "TB"))
    unit = ""
    while size >= STEP and unit != "TB":
        size, unit = size / STEP, next(units)
    return f"{size:.1f} {unit}"
