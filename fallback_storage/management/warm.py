"""``warm``: remember who holds which file, before anybody asks."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from django.core.exceptions import SuspiciousOperation
from django.core.management.base import CommandError

from fallback_storage.chain.names import clean_name
from fallback_storage.exceptions import FallbackStorageError, OperationNotSupportedError
from fallback_storage.jobs.warm import Progress, warm
from fallback_storage.management.output import FAILED, OK
from fallback_storage.management.target import Scope, scope_of

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Mapping, Sequence

    from fallback_storage.management import output as printing
    from fallback_storage.storage import FallbackStorage

HELP = (
    "Fills the memo from listings, so that no visitor waits for a search. Every backend "
    "is listed, first to last; what is known already is renewed. For a memo that all "
    "processes share."
)


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "prefixes",
        nargs="*",
        metavar="prefix",
        help="A directory; what is below it is remembered. Default: everything.",
    )
    parser.add_argument(
        "--backend",
        dest="backends",
        action="append",
        metavar="NAME",
        help="List this backend only. May be given several times.",
    )
    parser.add_argument(
        "--after",
        default="",
        metavar="FILE",
        help="Go on after this file, in the first backend and prefix that are listed.",
    )


def handle(
    storage: FallbackStorage, options: Mapping[str, Any], output: printing.Output
) -> int:
    """Fill the memo, and say how far."""
    scope = scope_of(storage)
    if scope is not Scope.SHARED:
        raise CommandError(
            f"{scope.value} What this command would remember ends with its process."
        )
    run = _Run(storage, options)
    try:
        with output.progress("names") as progress:
            run.through(output, progress)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"Interrupted. {run.how_to_go_on()}") from None
    except CommandError:
        raise
    except Exception as error:
        raise CommandError(f"{run.said_of(error)} {run.how_to_go_on()}") from error
    return run.finish(output)


class _Run:
    """What is to be listed, and how far that is."""

    def __init__(self, storage: FallbackStorage, options: Mapping[str, Any]) -> None:
        self._storage = storage
        self._alias = options["storage"]
        self._prefixes = _clean(options["prefixes"]) or [""]
        self._backends = _chosen(storage, options["backends"])
        self._all = [backend.name for backend in storage.backends]
        (self._after,) = _clean([options["after"]])
        self._at = Progress(self._backends[0], self._after)
        self._prefix = self._prefixes[0]
        self._totals = dict.fromkeys(("names", "filled", "known", "unsure"), 0)
        self._trouble = ""
        self._status = OK

    def through(self, output: printing.Output, progress: printing.Progress) -> None:
        for prefix in self._prefixes:
            self._prefix = prefix
            if not self._lists(prefix, output, progress) and prefix:
                self._status = FAILED
                output.warn(
                    f"No backend has files below {prefix + '/'!r}. A prefix is a "
                    "directory, written from the storage's root on."
                )

    def _lists(
        self, prefix: str, output: printing.Output, progress: printing.Progress
    ) -> bool:
        """List a prefix in all backends; return whether that is known to any."""
        before = self._totals["names"]
        is_known = bool(self._after)  # perhaps nothing is left of it
        listed: list[str] = []
        for backend in self._backends:
            after, self._after = self._after, ""
            self._at = Progress(backend, after)
            try:
                self._list(backend, after, listed, progress)
                listed.append(backend)
            except OperationNotSupportedError as error:
                self._status = FAILED
                output.warn(f"{error} It is left out.")
        return is_known or self._totals["names"] > before

    def _list(
        self,
        backend: str,
        after: str,
        listed: Sequence[str],
        progress: printing.Progress,
    ) -> None:
        for at in warm(
            self._storage, self._prefix, backend=backend, after=after, listed=listed
        ):
            for key in self._totals:
                self._totals[key] += getattr(at, key) - getattr(self._at, key)
            self._trouble = at.trouble or self._trouble
            progress.advance(at.names - self._at.names, note=backend)
            self._at = at

    def finish(self, output: printing.Output) -> int:
        """Print what was done; return the exit status."""
        names, filled, known, unsure = self._totals.values()
        output.line(
            f"Remembered {filled:,} of {names:,} names; {known:,} were up to date."
        )
        if unsure:
            self._status = FAILED
            output.warn(
                f"{unsure:,} names are not remembered, or not renewed, since a backend "
                f"before theirs could not be asked ({self._trouble})."
            )
        others = names - filled - known - unsure
        if others > 0:
            output.warn(
                f"{others:,} names are not remembered: they were deleted here, written "
                "to meanwhile, are in a backend with ALWAYS_PROBE, or the cache did "
                "not keep them."
            )
        return self._status

    def said_of(self, error: Exception) -> str:
        """Return a sentence without what an exception may tell of a configuration."""
        if isinstance(error, FallbackStorageError):
            return str(error)
        name = type(error).__name__
        return f"The backend {self._at.backend!r} could not be listed: {name}."

    def how_to_go_on(self) -> str:
        """Return a sentence with the command lines for what is left."""
        left = self._backends[self._backends.index(self._at.backend) :]
        rest = self._prefixes[self._prefixes.index(self._prefix) + 1 :]
        lines = [self._command_line([self._prefix], left, self._at.after)]
        if rest:
            lines.append(self._command_line(rest, self._backends))
        return f"To go on: {' && '.join(lines)}"

    def _command_line(
        self, prefixes: Sequence[str], backends: Sequence[str], after: str = ""
    ) -> str:
        words = ["manage.py", "fallback_storage", "warm", *filter(None, prefixes)]
        if self._alias:
            words.append(f"--storage={self._alias}")
        if list(backends) != self._all:
            words += [f"--backend={name}" for name in backends]
        if after:
            words += [f"--after={after}"]
        return shlex.join(words)


def _chosen(storage: FallbackStorage, names: Sequence[str] | None) -> list[str]:
    """Return the names of the backends to list, in the order of the chain."""
    known = [backend.name for backend in storage.backends]
    for name in names or ():
        if name not in known:
            listed = ", ".join(map(repr, known))
            raise CommandError(f"No backend is named {name!r}. Write one of: {listed}.")
    return [name for name in known if not names or name in names]


def _clean(names: Sequence[str]) -> list[str]:
    try:
        return list(dict.fromkeys(clean_name(name).rstrip("/") for name in names))
    except SuspiciousOperation as error:
        raise CommandError(str(error)) from error
