"""The options of an HTTPStorage: what cannot be right is refused before any request.

No message shows a value: they hold credentials, and the address of a site as well.
"""

from __future__ import annotations

import re
import ssl
from os import PathLike
from typing import TYPE_CHECKING, Any, Final

from fallback_storage.conf.rules import Rule, Rules, broken, is_a, refuse
from fallback_storage.exceptions import ConfigurationError, Mistake

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from urllib3.util import Url

WHERE: Final = "HTTPStorage"

# Third numbers of versions that are not urllib3's.
FUTURE: Final = 900

# What a socket waits for at the most is said in the system's numbers.
DAY: Final = 86_400

# A "%" that quotes nothing: what comes after it would be quoted twice.
HALF_QUOTED: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
UNQUOTED: Final = frozenset(" \\")

TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def _parsed(value: Any) -> Url:
    """Return the parts of a URL, as they are connected to. Raises what it likes."""
    from urllib3.util import parse_url

    return parse_url(value)


def _is_base(value: Any) -> bool:
    try:
        parts = _parsed(value)
    except (TypeError, ValueError, AttributeError):
        return False
    return (
        isinstance(value, str)
        and value.isascii()
        and value.isprintable()
        and not UNQUOTED & set(value)
        and not HALF_QUOTED.search(value)
        and parts.scheme in {"http", "https"}
        and bool(parts.host)
    )


def _is_bare(value: str) -> bool:
    parts = _parsed(value)
    return (parts.auth, parts.query, parts.fragment) == (None, None, None)


def _is_site(value: Any) -> bool:
    return (
        _is_base(value) and _is_bare(value) and _parsed(value).path in {None, "", "/"}
    )


def _is_header(key: Any, value: Any) -> bool:
    return (
        isinstance(key, str)
        and isinstance(value, str)
        and bool(TOKEN.fullmatch(key))
        and value.isprintable()
        and value.isascii()
    )


def _holds_certificates(path: Any) -> bool:
    if not isinstance(path, str | PathLike):
        return False
    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ValueError):
        return False
    return True


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
    # No name begins with a slash: nothing would match.
    _all_are(lambda value: isinstance(value, str) and not value.startswith("/")),
    "Write a list of strings, like names without a slash before them.",
    "is not a list of strings, or has one that no name matches.",
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
    "timeout": (
        Rule(is_a(int, float), "Write seconds, a number."),
        Rule(
            lambda value: 0 < value <= DAY,
            "Write a number above 0, and at the most that of a day.",
        ),
    ),
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
            lambda value: isinstance(value, bool) or _holds_certificates(value),
            "Write True, False, or the path of a file with certificates (PEM).",
            "is no bool, and no file of certificates that is there.",
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
        Rule(lambda value: value is None or _TEXTS.holds(value), _TEXTS.instead),
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
