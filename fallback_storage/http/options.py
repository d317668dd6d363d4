"""The options of an HTTPStorage: what cannot be right is refused before any request.

No message shows a value: they hold credentials, and the address of a site as well.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from fallback_storage.conf.rules import Rule, Rules, broken, is_a, refuse
from fallback_storage.exceptions import ConfigurationError, Mistake

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

WHERE: Final = "HTTPStorage"

# Third numbers of versions that are not urllib3's.
FUTURE: Final = 900

TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def _is_base(value: Any) -> bool:
    try:
        parts = urlsplit(value)
        _ = parts.port  # raises ValueError for one that is none
    except (TypeError, ValueError, AttributeError):
        return False
    return (
        isinstance(value, str)
        and value.isascii()
        and value.isprintable()
        and " " not in value
        and parts.scheme in {"http", "https"}
        and bool(parts.hostname)
    )


def _is_bare(value: str) -> bool:
    parts = urlsplit(value)
    return not (parts.query or parts.fragment or "@" in parts.netloc)


def _is_site(value: Any) -> bool:
    return _is_base(value) and _is_bare(value) and urlsplit(value).path in {"", "/"}


def _is_header(key: Any, value: Any) -> bool:
    return (
        isinstance(key, str)
        and isinstance(value, str)
        and bool(TOKEN.fullmatch(key))
        and value.isprintable()
        and value.isascii()
    )


def _all_are(holds: Any) -> Any:
    return lambda value: isinstance(value, list | tuple) and all(map(holds, value))


def _is_pair(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == len(("user", "password"))
        and all(isinstance(each, str) for each in value)
        and ":" not in value[0]
    )


_TEXTS = Rule(
    _all_are(lambda value: isinstance(value, str)),
    "Write a list of strings.",
    "is not a list of strings.",
)
_POSITIVE = Rule(lambda value: value > 0, "Write a number above 0.")

RULES: Rules = {
    "base_url": (
        Rule(
            _is_base,
            "Write the URL that the files' own begin with, quoted where it must be: "
            '"https://www.example.com/media/".',
            "is no URL of http or https.",
        ),
        Rule(
            _is_bare,
            "Leave them out; what protects the site goes into auth or headers.",
            "has a user, a query or a fragment.",
        ),
    ),
    "timeout": (Rule(is_a(int, float), "Write seconds, a number."), _POSITIVE),
    "headers": (
        Rule(
            lambda value: (
                value is None
                or (
                    isinstance(value, dict)
                    and all(_is_header(*item) for item in value.items())
                )
            ),
            "Write a dict of names and values, printable ASCII both.",
            "has what is no header.",
        ),
    ),
    "auth": (
        Rule(
            lambda value: value is None or _is_pair(value),
            "Write a pair: user (without a colon) and password.",
            "is no pair of strings.",
        ),
    ),
    "verify": (
        Rule(
            lambda value: (
                isinstance(value, bool)
                or (isinstance(value, str | os.PathLike) and Path(value).is_file())
            ),
            "Write True, False, or the path of a file with certificates (PEM).",
            "is no bool, and no file that is there.",
        ),
    ),
    "user_agent": (
        Rule(
            lambda value: _is_header("User-Agent", value),
            "Write a string of printable ASCII.",
            "is no header.",
        ),
    ),
    "max_size": (Rule(is_a(int), "Write bytes, a whole number."), _POSITIVE),
    "prefixes": (
        Rule(lambda value: value is None or _TEXTS.holds(value), *_TEXTS[1:]),
    ),
    "exclude": (_TEXTS,),
    "max_requests": (Rule(is_a(int), "Write a whole number."), _POSITIVE),
    "redirects": (
        Rule(
            _all_are(_is_site),
            'Write a list of sites without a path: ["https://cdn.example.com"].',
            "is no list of sites.",
        ),
    ),
}


def refuse_mistakes(given: Mapping[str, Any]) -> None:
    """Raise ``ConfigurationError`` for the first option that cannot be right."""
    refuse(broken(given, RULES, WHERE))


def refuse_client() -> None:
    """Raise ``ConfigurationError`` if there is no urllib3, or another one in its place."""
    refuse(_mistakes_of_client())


def _mistakes_of_client() -> Iterator[ConfigurationError]:
    try:
        import urllib3
    except ImportError:
        yield ConfigurationError(
            Mistake.CANNOT_IMPORT,
            WHERE,
            "needs urllib3, which is not installed.",
            'Install "django-fallback-storage[http]".',
        )
        return
    # urllib3-future, which niquests brings along, takes its place, with other defaults
    # and protocols; its versions have 900 and more in the third place.
    patch = str(vars(urllib3)["__version__"]).split(".")[2:3]
    if patch and patch[0].isdigit() and int(patch[0]) >= FUTURE:
        yield ConfigurationError(
            Mistake.CANNOT_IMPORT,
            WHERE,
            "finds urllib3-future in the place of urllib3.",
            "Uninstall what brought it (niquests, as a rule), and install urllib3 again.",
        )
