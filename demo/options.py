"""The command line."""

from __future__ import annotations

import argparse


def parse() -> argparse.Namespace:
    """Read it, or end with a message."""
    parser = argparse.ArgumentParser(
        prog="run.py",
        description="A picture gallery on a local directory over a real S3 server.",
        epilog="Needs a package index for its first run only.",
    )
    add = parser.add_argument
    numbers = (
        ("port", 65535, 0, "of the web page (default: 8000, or one that is free)"),
        ("photos", 1000, 100, "how many pictures there are (default: %(default)s)"),
        ("workers", 32, 1, "how many processes serve the pages (default: %(default)s)"),
    )
    switches = (
        ("http", "production is a public web site, of which nobody has credentials"),
        ("redis", "start a Valkey server for the memo, which all workers then share"),
        ("toolbar", "show the debug toolbar in place of the page's own instruments"),
        ("once", "visit the pages without a browser, tell what was seen, and end"),
        ("here", "use what is installed for this interpreter; install nothing"),
    )
    for name, _, default, text in numbers:
        add(f"--{name}", type=int, default=default, metavar="N", help=text)
    for name, text in switches:
        add(f"--{name}", action="store_true", help=text)
    options = parser.parse_args()
    for name, limit, default, _ in numbers:
        if getattr(options, name) not in {default, *range(1, limit + 1)}:
            parser.error(f"--{name}: not a number from 1 to {limit}")
    if options.http and options.toolbar:
        parser.error("--toolbar is for the story over S3")
    if options.once and options.toolbar:
        parser.error("--toolbar is for a browser; --once has none")
    return options
