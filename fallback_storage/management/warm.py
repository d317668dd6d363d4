"""``warm``: remember who holds which file, before anybody asks."""

from __future__ import annotations

import shlex
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from django.core.management.base import CommandError

from fallback_storage.exceptions import OperationNotSupportedError
from fallback_storage.jobs import warm as job
from fallback_storage.management.output import FAILED, OK, Progress, counted, reason
from fallback_storage.management.target import (
    Options,
    Scope,
    add_prefixes,
    clean_prefixes,
    scope_of,
)

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Sequence

    from django.core.management.base import BaseCommand

    from fallback_storage.storage import FallbackStorage

HELP = (
    "Fills the memo from listings, so that no visitor waits for a search. Every backend "
    "is listed, first to last; what is known already is renewed. For a memo that all "
    "processes share."
)


def add_arguments(parser: ArgumentParser) -> None:
    add_prefixes(parser, "remembered")
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


def handle(storage: FallbackStorage, options: Options, command: BaseCommand) -> int:
    """Fill the memo, and say how far."""
    scope = scope_of(storage)
    if scope is not Scope.SHARED:
        raise CommandError(f"{scope.value} What warm remembers ends with its process.")
    run = _Run(storage, options, command)
    try:
        with closing(run.progress):
            run.list_all()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"Interrupted {run.what_is_left()}") from None
    except Exception as error:
        said = reason(error).rstrip(".")
        raise CommandError(f"{said}, {run.what_is_left()}") from error
    return run.finish()


class _Run:
    """What is to be listed, and how far that is."""

    def __init__(
        self, storage: FallbackStorage, options: Options, command: BaseCommand
    ) -> None:
        self.progress = Progress(command.stderr, quiet=not options["verbosity"])
        self._storage = storage
        self._alias = options["storage"]
        self._command = command
        self._prefixes = clean_prefixes(storage, options["prefixes"])
        self._backends = _chosen(storage, options["backends"])
        (after,) = clean_prefixes(storage, [options["after"]])
        first = self._backends[0]
        # By prefix and backend, in the order in which they are listed.
        self._parts = {(self._prefixes[0], first): job.Progress(first, after)}

    def list_all(self) -> None:
        for prefix in self._prefixes:
            self._list(prefix)
            ends = [at.after for part, at in self._parts.items() if part[0] == prefix]
            if prefix and not any(ends):
                self.progress.miss(prefix)

    def _list(self, prefix: str) -> None:
        listed: list[str] = []
        for backend in self._backends:
            part = prefix, backend
            after = self._parts.setdefault(part, job.Progress(backend, "")).after
            try:
                for at in job.warm(
                    self._storage, prefix, backend=backend, after=after, listed=listed
                ):
                    self._parts[part] = at
                    self.progress.update(self._total("names"), partial(str, backend))
                listed.append(backend)
            except OperationNotSupportedError as error:
                self.progress.fail(f"{error} It is left out.")

    def _total(self, count: str) -> int:
        return sum(getattr(at, count) for at in self._parts.values())

    def finish(self) -> int:
        """Print what was done; return the exit status."""
        names, filled = self._total("names"), self._total("filled")
        known, unsure = self._total("known"), self._total("unsure")
        renewed = f"; up to date already: {known:,}" if known else ""
        self._command.stdout.write(
            f"Remembered {filled:,} of {counted(names, 'name')}{renewed}."
        )
        if unsure:
            *_, trouble = filter(None, (at.trouble for at in self._parts.values()))
            self.progress.fail(
                f"Not remembered, or not renewed: {counted(unsure, 'name')}, since a "
                f"backend further up could not be asked ({trouble})."
            )
        others = names - filled - known - unsure
        if others > 0:
            self._command.stderr.write(
                f"Not remembered: {counted(others, 'name')}, deleted here, written to "
                "meanwhile, in a backend with ALWAYS_PROBE, or not kept by the cache."
            )
        return FAILED if self.progress.failed else OK

    def what_is_left(self) -> str:
        """Return the end of a sentence: where it was, and how to go on."""
        *_, (prefix, backend) = self._parts
        left = self._backends[self._backends.index(backend) :]
        rest = self._prefixes[self._prefixes.index(prefix) + 1 :]
        lines = [self._command_line([prefix], left, self._parts[prefix, backend].after)]
        if rest:
            lines.append(self._command_line(rest, self._backends))
        return f"while listing {backend!r}. To go on: {' && '.join(lines)}"

    def _command_line(
        self, prefixes: Sequence[str], backends: Sequence[str], after: str = ""
    ) -> str:
        words = ["manage.py", "fallback_storage", "warm", *filter(None, prefixes)]
        if self._alias:
            words.append(f"--storage={self._alias}")
        if len(backends) < len(self._storage.backends):
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
