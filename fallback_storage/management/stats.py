"""``stats``: what all processes have counted."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError

from fallback_storage.cache.counters import INTERVAL
from fallback_storage.cache.stores.base import SINCE
from fallback_storage.management.output import OK
from fallback_storage.management.target import Scope, engine_of, scope_of
from fallback_storage.operations.engine import counted_by

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Mapping

    from fallback_storage.management.output import Output
    from fallback_storage.storage import FallbackStorage

HELP = "Shows the counters of the memo and of each backend, of all processes."

# What is counted, and how it is called here.
COUNTERS = {
    "hits": "hits",
    "negative_hits": 'hits that say "no backend"',
    "misses": "misses",
    "walks": "names that backends were asked for",
    "coalesced": "callers that waited for another's walk",
    "lost_holders": "files that went away behind our back",
    "late_fills": "answers too late to be kept",
    "store_failures": "failures of the memo's cache",
    "bypassed": "calls that cache was spared after failures",
}
MICROSECONDS = 1_000_000

NO_COUNTERS = "But not the counters: only Redis adds them up."


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--json", action="store_true", help="Print a JSON object.")


def handle(storage: FallbackStorage, options: Mapping[str, Any], output: Output) -> int:
    """Print the counters."""
    scope = scope_of(storage)
    shared = scope is Scope.SHARED
    found = _read(storage) if shared else None
    if shared and storage.stats().get("store_failures"):
        raise CommandError("The memo's cache, which has the counters, does not answer.")
    why = f"{scope.value} {NO_COUNTERS}" if shared else scope.value
    alone = f"{why} Counters live in each process; see storage.stats() there."
    if options["json"]:
        output.json({"shared": found is not None, **(found or {})})
        if found is None:
            output.warn(alone)
    elif found is not None:
        _print(found, output)
    else:
        output.line(alone)
    return OK


def _read(storage: FallbackStorage) -> dict[str, Any] | None:
    engine = engine_of(storage)
    keys = {backend.name: list(counted_by(backend)) for backend in engine.backends}
    wanted = [*COUNTERS, *(key for each in keys.values() for key in each)]
    published = engine.memo.published(wanted)
    if published is None:
        return None
    since = published.get(SINCE)
    backends = {}
    for name, (calls, failures, microseconds) in keys.items():
        backends[name] = {
            "calls": published.get(calls, 0),
            "failures": published.get(failures, 0),
            "seconds": published.get(microseconds, 0) / MICROSECONDS,
        }
    return {
        "since": datetime.fromtimestamp(since, UTC).isoformat() if since else None,
        **{name: published.get(name, 0) for name in COUNTERS},
        "backends": backends,
    }


def _print(found: Mapping[str, Any], output: Output) -> None:
    since = found["since"]
    if since is None:
        output.line(
            f"No process has published anything yet; each does every {INTERVAL:.0f} "
            "seconds, and when it ends."
        )
        return
    output.line(f"Of all processes, since {since}:")
    output.line()
    output.table(
        [(f"{found[key]:,}", words) for key, words in COUNTERS.items()], indent="  "
    )
    output.line()
    rows = []
    for name, counts in found["backends"].items():
        calls, seconds = counts["calls"], counts["seconds"]
        each = f"{1000 * seconds / calls:.2f} ms" if calls else "-"
        failures = f"{counts['failures']:,}"
        rows.append((name, f"{calls:,}", failures, f"{seconds:.1f}", each))
    head = ("backend", "calls", "failures", "seconds", "a call")
    output.table(rows, head, indent="  ")
