#!/usr/bin/env python3
"""Runs the demo: a picture gallery on a local directory over a real S3 server.

    python3 demo/run.py            serve it on localhost, until Ctrl-C
    python3 demo/run.py --once     check the whole story without a browser

With `--workers 4 --redis` several processes serve it, and share one memo.

Needs Python 3.11 and a package index. Everything else is installed into
demo/.venv, by the first run.
"""

# ruff: noqa: I002 - so that an old Python, too, gets as far as its message.

import argparse
import sys

if sys.version_info < (3, 11):  # noqa: UP036 - this is what tells the user
    sys.exit("demo: needs Python 3.11 or later, this is " + sys.version.split()[0])

import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
LEAVE_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

from bootstrap import ensure_environment  # noqa: E402
from processes import DemoError  # noqa: E402


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="run.py",
        description="A picture gallery on a local directory over a real S3 server.",
        epilog="Needs a package index for its first run only.",
    )
    parser.add_argument(
        "--once",
        action="store_true",
        help="check the whole story without a browser, print it, and exit: "
        "0 if every claim held",
    )
    parser.add_argument(
        "--port",
        type=number_up_to(65535),
        metavar="PORT",
        help="port of the web page (default: 8000, or one that is free)",
    )
    parser.add_argument(
        "--photos",
        type=number_up_to(1000),
        default=100,
        metavar="N",
        help="how many pictures the bucket gets (default: %(default)s)",
    )
    parser.add_argument(
        "--workers",
        type=number_up_to(32),
        default=1,
        metavar="N",
        help="how many processes serve the pages (default: %(default)s)",
    )
    parser.add_argument(
        "--redis",
        action="store_true",
        help="start a Valkey server for the memo, which all workers then share",
    )
    parser.add_argument(
        "--toolbar",
        action="store_true",
        help="show django-debug-toolbar with this package's panel on the pages, in "
        "place of the demo's own instruments",
    )
    parser.add_argument(
        "--keep",
        type=Path,
        metavar="DIR",
        help="keep the data (bucket, database, local directory, logs) in this new or "
        "empty directory",
    )
    parser.add_argument(
        "--here",
        action="store_true",
        help="use what is installed for this interpreter; install nothing",
    )
    options = parser.parse_args(arguments)
    if options.once and options.toolbar:
        parser.error("--toolbar is for a browser; --once has none")
    return options


def number_up_to(limit: int) -> Callable[[str], int]:
    """An argument's type: a whole number from 1 to `limit`."""

    def convert(text: str) -> int:
        if not text.isdecimal() or not 1 <= int(text) <= limit:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a number from 1 to {limit}"
            )
        return int(text)

    return convert


def data_directory(keep: Path | None) -> Path:
    """Where the data goes; new or empty, so that nothing is ever overwritten."""
    if keep is None:
        return Path(tempfile.mkdtemp(prefix="fallback-demo-")).resolve()
    try:
        keep.mkdir(parents=True, exist_ok=True)
        if any(keep.iterdir()):
            raise DemoError(f"--keep {keep}: the directory is not empty")
    except OSError as error:
        raise DemoError(f"--keep {keep}: {error.strerror}") from error
    return keep.resolve()


def main() -> int:
    """Bootstrap, then start everything, then stop everything."""
    options = parse()
    for number in LEAVE_ON:
        # Under nohup a hang-up is ignored, and stays so.
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _leave)
    if not options.here:
        ensure_environment(HERE, Path(__file__).resolve())

    # From here on the packages are there.
    from supervise import run

    data = data_directory(options.keep)
    try:
        return run(options, data)
    finally:
        if options.keep is None:
            shutil.rmtree(data, ignore_errors=True)
        else:
            print(f"The data is in {data}")


def _leave(number: int, _frame: object) -> None:
    # Once is enough: what comes after is the clean-up, which is not to be cut short.
    for each in LEAVE_ON:
        signal.signal(each, signal.SIG_IGN)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)


if __name__ == "__main__":
    if os.name != "posix":
        sys.exit("demo: runs on Linux and macOS")
    try:
        sys.exit(main())
    except DemoError as error:
        sys.exit(f"demo: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
