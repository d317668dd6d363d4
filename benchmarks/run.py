"""The benchmarks: tox run -e bench [-- --quick]

Prints a table and writes a JSON file. Exits with 1 if something counted is not what
is claimed (requests, walks), if a row could not be measured, or if a row lost more than
15 % against the last snapshot; targets are judged in the table only. Does not measure
beside others who keep the machine busy, except with --quick, which is for what is counted.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
import traceback
from pathlib import Path

import gate
import machine
import report
import rows  # noqa: F401 - registers them
from original import CACHE
from registry import ROWS
from world import World

HERE = Path(__file__).resolve().parent
SNAPSHOT = HERE / "snapshot.json"
RESULTS = CACHE / "results.json"


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
        default=RESULTS,
        help="where to write the figures (default: %(default)s)",
    )
    parser.add_argument(
        "--force", action="store_true", help="measure on a busy machine, and say so"
    )
    parser.add_argument(
        "--gate",
        action="store_true",
        help="then count the hot paths, and fail if one became slower (see gate.py)",
    )
    for flag, what in (
        ("--rst", "print the manual's table from"),
        ("--readme", "print the README's table from"),
        ("--publish", "make the snapshot, and the tables in both, from"),
    ):
        parser.add_argument(
            flag,
            metavar="PATH",
            type=Path,
            nargs="?",
            const=SNAPSHOT if flag != "--publish" else RESULTS,
            help=f"measure nothing: {what} a JSON file (default: %(const)s)",
        )
    return parser.parse_args(arguments)


def read(path):
    """Return what ``report.from_json`` does."""
    try:
        return report.from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        sys.exit(f"{path.name} cannot be used: {error}")


def publish(path):
    """Let the manual and the README show other figures, which become the snapshot."""
    old, new = read(SNAPSHOT), read(path)
    tables = {
        "docs/figures.rst": lambda it: report.to_rst(it[0], it[2], quick=it[1]),
        "README.rst": lambda it: report.to_readme(it[2]),
    }
    for page, table in tables.items():
        file = HERE.parent / page
        text = file.read_text(encoding="utf-8")
        if table(old) not in text:
            sys.exit(f"{page} has not the table of the snapshot")
        file.write_text(text.replace(table(old), table(new)), encoding="utf-8")
    SNAPSHOT.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")


def measure(names, *, quick, force):
    """Print row after row.

    Return (what it was measured on, results by name, names of rows that raised).
    """
    results, crashed = {}, []
    busy = None if quick else machine.loaded()
    if busy and not force:
        sys.exit(f"Not measured: {busy}. Try again when it is idle, or with --force.")
    with World(quick=quick) as world:
        described = machine.describe() | {"loaded": busy}
        print(machine.line(described))
        print("Best of several passes in turns; ratios to the first line of each row.")
        print(report.ORIGINAL_NOTE)
        if quick:
            print("A quick run: what is counted counts, times are indications.")
        for name in names:
            begin = time.monotonic()
            try:
                results[name] = _measured(name, world)
            except Exception:
                # The other rows are still worth having.
                crashed.append(name)
                print(f"\n{name}: NOT MEASURED")
                traceback.print_exc()
            else:
                report.print_result(name, results[name], time.monotonic() - begin)
            sys.stdout.flush()
    # Who came while it was measured has probably stayed.
    if not quick and (late := machine.loaded()):
        described["loaded"] = late
        print(f"\nNot for quoting, at the end {late}.")
    return described, results, crashed


def _measured(name, world):
    """Return a row's result; where it raises, another one: servers stumble when busy."""
    try:
        return ROWS[name](world)
    except Exception:
        traceback.print_exc()
        return ROWS[name](world)


def main(arguments=None):
    options = parse(arguments)
    if options.publish:
        publish(options.publish)
        return 0
    if options.rst or options.readme:
        described, quick, results = read(options.rst or options.readme)
        if options.rst:
            print(report.to_rst(described, results, quick=quick))
        else:
            print(report.to_readme(results))
        return 0
    # Files and servers are removed on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    names, begin = options.only or list(ROWS), time.monotonic()
    described, results, crashed = measure(
        names, quick=options.quick, force=options.force
    )
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(report.to_json(described, results, quick=options.quick))
    broken = [name for name in results if not all(c.held for c in results[name].claims)]
    judged = [result.reached for result in results.values() if result.target]
    print(
        f"\nTargets: {sum(judged)} reached, {len(judged) - sum(judged)} missed. "
        f"Claims broken in: {', '.join(broken) or 'no row'}. "
        f"Rows that failed: {', '.join(crashed) or 'none'}. "
        f"Took {(time.monotonic() - begin) / 60:.0f} minutes."
    )
    slower = gate.main([]) if options.gate else 0
    before, now = read(SNAPSHOT), (described, options.quick, results)
    lost = []
    if not report.comparable(before, now):
        print("Not compared with the snapshot: it is of other versions, or whole.")
    elif lost := report.losses(before, now):
        print(f"Slower than the snapshot by more than 15 %: {'; '.join(lost)}.")
    return 1 if broken or crashed or lost or slower else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
