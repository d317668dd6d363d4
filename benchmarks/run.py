"""The benchmarks: tox run -e bench [-- --quick]

Prints a table and writes a JSON file. Exits with 1 if something counted is not what
is claimed (requests, walks), or if a row could not be measured; times are judged
against their targets in the table only.
"""

from __future__ import annotations

import argparse
import signal
import sys
import traceback
from pathlib import Path

import machine
import report
import rows  # noqa: F401 - registers them
from original import CACHE
from registry import ROWS
from world import World

SNAPSHOT = Path(__file__).resolve().parent / "snapshot.json"


def parse(arguments):
    parser = argparse.ArgumentParser(prog="benchmarks/run.py", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="a smoke test: few repeats, small pages"
    )
    parser.add_argument(
        "--only", metavar="ROW", action="append", choices=ROWS, help=", ".join(ROWS)
    )
    parser.add_argument(
        "--json",
        metavar="PATH",
        type=Path,
        default=CACHE / "results.json",
        help="where to write the figures (default: .cache/benchmarks/results.json)",
    )
    parser.add_argument(
        "--rst",
        metavar="PATH",
        type=Path,
        nargs="?",
        const=SNAPSHOT,
        help="measure nothing: print the manual's table from a JSON file"
        " (default: benchmarks/snapshot.json)",
    )
    return parser.parse_args(arguments)


def measure(names, *, quick):
    """Print row after row; return (results by name, names of rows that raised)."""
    results, crashed = {}, []
    with World(quick=quick) as world:
        described = machine.describe()
        print(machine.line(described))
        print("Best of several passes in turns; ratios to the first line of each row.")
        print(report.ORIGINAL_NOTE)
        if quick:
            print("A quick run: what is counted counts, times are indications.")
        for name in names:
            try:
                results[name] = ROWS[name](world)
            except Exception:
                # The other rows are still worth having.
                crashed.append(name)
                print(f"\n{name}: NOT MEASURED")
                traceback.print_exc()
            else:
                report.print_result(name, results[name])
            sys.stdout.flush()
    return described, results, crashed


def main(arguments=None):
    options = parse(arguments)
    if options.rst:
        try:
            described, quick, results = report.from_json(options.rst.read_text())
        except (OSError, ValueError) as error:
            sys.exit(f"{options.rst.name} cannot be used: {error}")
        print(report.to_rst(described, results, quick=quick))
        return 0
    # Files and servers are removed on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    names = options.only or list(ROWS)
    described, results, crashed = measure(names, quick=options.quick)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(report.to_json(described, results, quick=options.quick))
    broken = [name for name in results if not all(c.held for c in results[name].claims)]
    judged = [result.reached for result in results.values() if result.target]
    print(
        f"\nTargets: {sum(judged)} reached, {len(judged) - sum(judged)} missed. "
        f"Claims broken in: {', '.join(broken) or 'no row'}. "
        f"Rows that failed: {', '.join(crashed) or 'none'}."
    )
    return 1 if broken or crashed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
