"""Fails if a hot path became slower: tox run -e bench -- --quick --gate

What our call costs is counted, not timed, and divided by what the peer's costs in the
same process: instructions by valgrind's callgrind, or without it steps of the
interpreter, which see what Python code does and nothing else. Both are the same on a busy
machine. Compared with ``counts.json``, as far as that was counted with the same tool, and
the same versions of Python, Django and django-storages.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
RECORDED = HERE / "counts.json"
#: More than this is a loss; two runs differ by less than 1 %.
MOST_LOSS = 1.15
TOOLS = ("callgrind", "bytecodes")
SECONDS = 240


class NotCounted(Exception):
    """Raised where a tool does not count; the text says why."""


def count(tool, slower=0):
    """Return {row: ratio of our count to the peer's}.

    ``slower``: each so-manieth call of ours is made twice, to see that it is noticed.
    """
    child = [sys.executable, str(HERE / "counted.py"), tool, str(slower)]
    with tempfile.TemporaryDirectory(prefix="fallback-gate-") as directory:
        out = Path(directory, "out")
        if tool == "callgrind":
            child = [*_valgrind(), f"--callgrind-out-file={out}", *child]
        rows = json.loads(_run(child))
        if tool == "callgrind":
            dumps = [Path(f"{out}.{n + 1}") for n in range(2 * len(rows))]
            found = [int(_total(dump)) for dump in dumps]
            rows = dict(
                zip(rows, zip(found[::2], found[1::2], strict=True), strict=True)
            )
    return {row: ours / peers for row, (ours, peers) in rows.items()}


def _valgrind():
    valgrind = shutil.which("valgrind")
    if valgrind is None or platform.machine() != "x86_64":
        raise NotCounted("there is no valgrind for x86-64")
    return [valgrind, "-q", "--tool=callgrind", "--instr-atstart=no"]


def _total(dump):
    try:
        return re.search(r"^totals: (\d+)$", dump.read_text(), re.MULTILINE)[1]
    except (OSError, TypeError):
        raise NotCounted("callgrind wrote no total") from None


def _run(command):
    # What a run could depend on is left out.
    kept = {
        key: os.environ[key]
        for key in ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "TMPDIR")
        if key in os.environ
    }
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            env={**kept, "PYTHONHASHSEED": "0"},
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NotCounted(f"it took more than {SECONDS} s") from None
    if done.returncode:
        print(done.stdout, done.stderr, file=sys.stderr)
        raise NotCounted(f"exit status {done.returncode}")
    return done.stdout


def versions():
    """Return what a count holds for, beside its tool."""
    import django
    import storages

    python = f"{platform.python_implementation()} {sys.version_info[0]}.{sys.version_info[1]}"
    theirs = ".".join(storages.__version__.split(".")[:2])
    return (
        f"{python}, Django {django.VERSION[0]}.{django.VERSION[1]}, storages {theirs}"
    )


def judge(recorded, found):
    """Return (lines on every row, names of rows that are lost)."""
    lines, lost = [], []
    for row, ratio in found.items():
        line = f"    {row:<24} {ratio:>8.3f} x"
        if row in recorded:
            change = ratio / recorded[row]
            line += f"   {100 * (change - 1):+.1f} %"
            if change > MOST_LOSS:
                lost.append(row)
                line += "   LOST"
        lines.append(line)
    return lines, lost


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="benchmarks/gate.py", description=__doc__)
    parser.add_argument("--tool", choices=TOOLS, help="default: the first that counts")
    parser.add_argument("--slower", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument(
        "--record", action="store_true", help="compare later runs with this one"
    )
    parser.add_argument(
        "--counts", type=Path, default=RECORDED, help="default: %(default)s"
    )
    options = parser.parse_args(arguments)
    kept = json.loads(options.counts.read_text()) if options.counts.exists() else {}
    if options.record:
        for tool in [options.tool] if options.tool else TOOLS:
            found = count(tool, options.slower)
            kept[f"{tool}, {versions()}"] = {k: round(v, 4) for k, v in found.items()}
        options.counts.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n")
        return 0
    return compare(kept, [options.tool] if options.tool else TOOLS, options.slower)


def compare(kept, tools, slower):
    """Print how the first tool that counts finds things; return the exit status."""
    for tool in tools:
        what = f"{tool}, {versions()}"
        if what not in kept:
            print(f"Nothing is recorded for {what}.")
            continue
        try:
            found = count(tool, slower)
        except NotCounted as error:
            print(f"Not counted by {tool}: {error}.")
            if tool == TOOLS[-1]:  # which lacks nothing
                return 1
            continue
        lines, lost = judge(kept[what], found)
        print(f"Our calls' cost / their peer's ({what}), and against the recorded one:")
        print(*lines, sep="\n")
        if lost:
            print(
                f"More than 15 % was lost: {'; '.join(lost)}. If that is the price of"
            )
            print("something that is worth it: benchmarks/gate.py --record")
        return 1 if lost else 0
    print("Nothing was compared.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
