"""Sizes and times, as a command line gives them."""

from __future__ import annotations

import argparse
import re
from typing import Final

SIZES: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
TIMES: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def size(text: str) -> int:
    """Return bytes. Raises ``ArgumentTypeError``."""
    return _number(text, SIZES, "a size: 500, 500K, 10M, 2G")


def seconds(text: str) -> int:
    """Return seconds. Raises ``ArgumentTypeError``."""
    return _number(text, TIMES, "a time: 30m, 12h, 7d, 2w")


def _number(text: str, units: dict[str, int], meant: str) -> int:
    number = r"([0-9]{1,18}(?:\.[0-9]{1,18})?)\s*([a-z]?)b?"
    match = re.fullmatch(number, text.strip().lower())
    if match is None or match[2] not in units:
        raise argparse.ArgumentTypeError(f"{text!r} is not {meant}.")
    return int(float(match[1]) * units[match[2]])
