"""``ping``: who can be reached, how long that takes, and what the credentials may do."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING, Any

from fallback_storage.jobs.ping import PATIENCE, Answer, Finding, Said, ping
from fallback_storage.management.output import FAILED, OK, print_json
from fallback_storage.management.target import Options, clean_names, engine_of

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Iterator

    from django.core.management.base import BaseCommand

    from fallback_storage.storage import FallbackStorage

HELP = (
    "Asks each backend and a shared memo whether they are there, and what may be done "
    "with them. Writes nothing; neither breakers nor what is remembered count."
)

# What stands in one line each, and how it is called here.
ANSWERS = {
    "missing": "a missing name",
    "place": "its bucket",
    "lists": "listing",
    "reads": "reading",
}
TIME_OUTS = {True: "chosen", False: "those of its client (see W018 of manage.py check)"}


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "--name",
        metavar="FILE",
        help="Read this file, wherever it is. Default: one that a listing shows.",
    )
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=PATIENCE,
        metavar="SECONDS",
        help=f"For all questions to one backend. Default: {PATIENCE:g}.",
    )
    parser.add_argument("--json", action="store_true", help="Print a JSON object.")


def handle(storage: FallbackStorage, options: Options, command: BaseCommand) -> int:
    """Print what is found; 0 if a chain can work with all of them."""
    name = options["name"]
    if name is not None:
        (name,) = clean_names(storage, [name])
    findings = []
    for finding in ping(engine_of(storage), name, options["timeout"]):
        findings.append(finding)
        if not options["json"]:
            _print(finding, command)
    if options["json"]:
        print_json(command.stdout, list(map(_told, findings)))
    is_held = name is None or any(each.reads.said is Said.YES for each in findings)
    if not (is_held or options["json"]):
        command.stdout.write(f"{name}: read from no backend", command.style.ERROR)
    return OK if is_held and all(each.is_well for each in findings) else FAILED


def _told(finding: Finding) -> dict[str, Any]:
    """Return a finding as --json prints it."""
    return {
        "name": finding.name,
        "reachable": finding.reachable,
        "milliseconds": _milliseconds(finding.missing),
        "well": finding.is_well,
        **{each: _answer(getattr(finding, each)) for each in ANSWERS},
        "has_time_outs": finding.backend and finding.backend.has_time_outs,
        **_breaker(finding),
    }


def _breaker(finding: Finding) -> dict[str, Any]:
    stats = finding.backend.stats() if finding.backend else {}
    return {key: stats.get(key) for key in ("breaker", "retry_in")}


def _answer(answer: Answer) -> dict[str, Any]:
    return {
        "answer": answer.said.value,
        "exception": type(answer.error).__name__ if answer.error else None,
        "file": answer.name,
    }


def _milliseconds(answer: Answer) -> float | None:
    return None if answer.seconds is None else round(answer.seconds * 1000, 3)


def _print(finding: Finding, command: BaseCommand) -> None:
    words = {True: "reachable", False: "not reachable", None: "failed"}
    style = command.style.SUCCESS if finding.is_well else command.style.ERROR
    taken = _milliseconds(finding.missing)
    after = "" if taken is None else f", {taken:.2f} ms"
    command.stdout.write(f"{finding.name}: {words[finding.reachable]}{after}", style)
    for called, said in _lines(finding):
        command.stdout.write(f"  {called:<14}  {said}")


def _lines(finding: Finding) -> Iterator[tuple[str, str]]:
    if finding.backend is None:
        return
    for each, called in ANSWERS.items():
        answer = getattr(finding, each)
        # Where there is no such thing, or nobody to ask any more.
        if answer.said is not Said.UNKNOWN or each == "reads":
            error = f" ({type(answer.error).__name__})" if answer.error else ""
            file = f" ({answer.name})" if answer.name else ""
            yield called, f"{answer.said.value}{error}{file}"
    chosen = finding.backend.has_time_outs
    if chosen is not None:
        yield "time-outs", TIME_OUTS[chosen]
    breaker, wait = _breaker(finding).values()
    if breaker not in {None, "closed"}:
        again = f", asked again in {wait:.0f} s" if wait else ""
        yield "breaker", f"{breaker}{again}"


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not (0 < seconds < math.inf):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0.")
    return seconds
