"""The options of the media view."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fallback_storage.conf.rules import (
    FLAG,
    TEXT,
    Rule,
    Rules,
    broken,
    is_a,
    refuse,
    unknown,
)
from fallback_storage.conf.settings import is_debug
from fallback_storage.exceptions import ConfigurationError, Mistake

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

WHERE = "the media view"


@dataclass(frozen=True, slots=True)
class MediaOptions:
    """How files are served; see ``views.media``."""

    storage: str = "default"
    prefixes: Sequence[str] | None = None
    redirect: bool = False
    x_accel_redirect: str | None = None
    x_sendfile: bool = False
    placeholder: str | bool = False
    max_remote: int = 8
    unknown_per_second: float = 50.0


_PREFIXES = Rule(
    lambda value: (
        value is None
        or (
            isinstance(value, list | tuple)
            and all(isinstance(each, str) for each in value)
        )
    ),
    'Write a list of what names begin with; [""] is all of them.',
)
_POSITIVE = Rule(lambda value: value > 0, "Write a number above 0.")

# Apart from the rules: that it is missing concerns who would have got it.
_READABLE = Rule(
    lambda value: (
        not isinstance(value, str)
        or (os.access(value, os.R_OK) and Path(value).is_file())
    ),
    "Write the path of a picture that the server may read, or True.",
)

RULES: Rules = {
    "storage": (TEXT,),
    "prefixes": (_PREFIXES,),
    "redirect": (FLAG,),
    "x_accel_redirect": (
        Rule(
            lambda value: (
                value is None or (isinstance(value, str) and value[:1] == "/")
            ),
            'Write the place of nginx\'s internal location: "/protected/".',
        ),
    ),
    "x_sendfile": (FLAG,),
    "placeholder": (Rule(is_a(str, bool), "Write True, or the path of a picture."),),
    "max_remote": (Rule(is_a(int), "Write a whole number."), _POSITIVE),
    "unknown_per_second": (Rule(is_a(int, float), "Write a number."), _POSITIVE),
}


def mistakes_in_options(given: Mapping[str, Any]) -> list[ConfigurationError]:
    """Return what is wrong with options as they are written."""
    return [*unknown(given, RULES, WHERE, "option"), *broken(given, RULES, WHERE)]


def mistakes_in_view(given: Mapping[str, Any]) -> list[ConfigurationError]:
    """Return what is wrong with them, with what they publish, or what they name."""
    return [*_mistakes_in_use(given), *mistakes_in_placeholder(given)]


def mistakes_in_placeholder(given: Mapping[str, Any]) -> Iterator[ConfigurationError]:
    """Yield a mistake if there is no such picture."""
    return broken(given, {"placeholder": (_READABLE,)}, WHERE)


def read_options(given: Mapping[str, Any]) -> MediaOptions:
    """Return the options. Raises ``ConfigurationError`` for the first mistake."""
    refuse(_mistakes_in_use(given))
    return MediaOptions(**given)


def _mistakes_in_use(given: Mapping[str, Any]) -> list[ConfigurationError]:
    """Return these, or what is wrong where nobody said what is public.

    A bucket may hold more than that.
    """
    found = mistakes_in_options(given)
    if found or given.get("prefixes") is not None or is_debug():
        return found
    return [
        ConfigurationError(
            Mistake.PUBLISHES_ALL,
            f"{WHERE}['prefixes']",
            "is missing, and DEBUG is False.",
            'Write which names are public: prefixes=["photos/"]; [""] is all of them.',
        )
    ]
