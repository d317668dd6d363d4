"""``stats``: what all processes have counted."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError

from fallback_storage.cache.counters import INTERVAL
from fallback_storage.cache.stores.base import SINCE
from fallback_storage.management.output import OK, print_json
from fallback_storage.management.target import Options, Scope, engine_of, scope_of
from fallback_storage.operations.engine import counted_by

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Mapping

    from django.core.management.base import BaseCommand, OutputWrapper

    from fallback_storage.storage import FallbackStorage

HELP = "Shows the counters of the memo and of each backend, of all processes."

# What is counted, and how it is called here.
COUNTERS = {
    "hits": "hits",
    "negative_hits": 'hits that say "no backend"',
    "grace_hits": "answers by what was known of a backend that cannot be reached",
    "misses": "misses",
    "walks": "names that backends were asked for",
    "coalesced": "callers that waited for another's walk",
    "lost_holders": "files that went away behind our back",
    "late_fills": "answers too late to be kept",
    "store_failures": "failures of the memo's cache",
    "bypassed": "calls that cache was spared after failures",
}


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="Print a JSON object.")


def handle(storage: FallbackStorage, options: Options, command: BaseCommand) -> int:
    """Print the counters."""
    scope = scope_of(storage)
    found = _read(storage) if scope is Scope.SHARED else None
    if scope is Scope.SHARED and storage.stats().get("store_failures"):
        raise CommandError("The memo's cache, which has the counters, does not answer.")
    if options["json"]:
        print_json(command.stdout, {"shared": found is not None, **(found or {})})
    elif found is not None:
        _print(found, command.stdout)
    if found is None:
        # (On the standard output is JSON, and nothing else.)
        stream = command.stderr if options["json"] else command.stdout
        stream.write(
            f"{scope.value} Each process has counters of its own, see storage.stats()."
        )
    return OK


def _read(storage: FallbackStorage) -> dict[str, Any] | None:
    engine = engine_of(storage)
    keys = {backend.name: counted_by(backend) for backend in engine.backends}
    published = engine.memo.published([*COUNTERS, *chain(*keys.values())])
    if published is None:
        return None
    backends = {}
    for name, (calls, failures, microseconds, given_up) in keys.items():
        backends[name] = {
            "calls": published.get(calls, 0),
            "failures": published.get(failures, 0),
            "seconds": published.get(microseconds, 0) / 1_000_000,
            "given_up": published.get(given_up, 0),
        }
    since = published.get(SINCE)
    return {
        "since": datetime.fromtimestamp(since, UTC).isoformat() if since else None,
        **{name: published.get(name, 0) for name in COUNTERS},
        "backends": backends,
    }


def _print(found: Mapping[str, Any], stdout: OutputWrapper) -> None:
    if found["since"] is None:
        stdout.write(f"No process has published anything yet (every {INTERVAL:.0f} s).")
        return
    stdout.write(f"Of all processes, since {found['since']}:")
    for key, words in COUNTERS.items():
        stdout.write(f"{found[key]:>9,}  {words}")
    for name, counts in found["backends"].items():
        calls, failures, seconds, given_up = counts.values()
        late = f", {given_up:,} given up" if given_up else ""
        each = 1000 * seconds / max(calls, 1)
        stdout.write(
            f"{calls:>9,}  calls of {name}: {failures:,} failed{late}; {seconds:,.1f} s, "
            f"{each:.2f} ms each"
        )
