"""The wording of configuration errors, in one place.

No message shows a value of ``OPTIONS``: keys and types only.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fallback_storage.conf.settings import aliases, options_of
from fallback_storage.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from django.core.checks import Error

SEPARATORS = r"[/:@?&=;,\s]+"
SEPARATORS_OF_WORDS = r"[\W_]+"

# Of an address with a password in it.
PRIVATE_ADDRESS = r"://\S*@"

# Of values: up to how many characters they are common words, or syllables.
SHORT = 7
TINY = 3

# Of keys of OPTIONS: those of credentials.
CREDENTIALS = (
    "(?i)account|auth|cert|cred|key|login|pass|pin|priv|pwd|secret|sign|token|user"
)


def quoted(word: object) -> str:
    """Quote what was written, but for what may be an address with a password in it."""
    text = str(word)
    return "(an address)" if "://" in text or "@" in text else repr(word)


def shown(value: object) -> str:
    """Describe a value that stands where it does not belong, without its secrets."""
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    if isinstance(value, str):
        return f"the string {quoted(value)}"
    return f"a value of type {type(value).__name__}"


def as_error(mistake: ConfigurationError, place: str) -> Error:
    """Return the message of Django's checks for a mistake in ``place``."""
    from django.core.checks import Error

    found = f"{mistake.where}: {mistake.found}"
    return Error(found, mistake.instead, place, mistake.mistake.value)


def suggestion(word: str, choices: Collection[str], kind: str) -> str:
    """Say what could have been meant, and which names of a ``kind`` there are."""
    close = nearest(word, choices)
    meant = f"Did you mean {close!r}? " if close else ""
    there = f"Write one of the {kind}: {', '.join(sorted(choices))}."
    return meant + (there if choices else f"There are no {kind}.")


def nearest(word: str, choices: Collection[str], cutoff: float = 0.6) -> str | None:
    """Return what a word looks like, whatever its case and its separators are."""
    import difflib

    plain = {re.sub(SEPARATORS_OF_WORDS, "", each).lower(): each for each in choices}
    word = re.sub(SEPARATORS_OF_WORDS, "", word).lower()
    found = difflib.get_close_matches(word, plain, n=1, cutoff=cutoff)
    return plain[found[0]] if found else None


def _texts(value: object, *, credential: bool = False) -> Iterator[tuple[str, bool]]:
    """Yield what a text must not quote: every value, however deep it lies, and parts.

    With each, whether its key, or one around it, says that it is a credential.
    """
    if isinstance(value, dict):
        for key, inner in value.items():
            named = bool(re.search(CREDENTIALS, str(key)))
            yield from _texts(inner, credential=credential or named)
    elif isinstance(value, list | tuple | set | frozenset):
        for inner in value:
            yield from _texts(inner, credential=credential)
    elif isinstance(value, bytes):
        yield repr(value)[2:-1], credential
        yield from _texts(value.decode(errors="replace"), credential=credential)
    elif value is not None and not isinstance(value, bool):
        text = str(value)
        yield text, credential
        yield repr(text)[1:-1], credential
        # A password within a URL, say.
        yield from ((p, False) for p in re.split(SEPARATORS, text) if len(p) > SHORT)


def _quotes(text: str, secret: str, *, credential: bool) -> bool:
    """Whether a text quotes a value.

    What is short is in many a text by chance: it counts as a word of its own, and what
    is shorter still, or a number, only under the key of a credential.
    """
    if len(secret) > SHORT:
        return secret in text
    if not credential and (len(secret) <= TINY or secret.isdecimal()):
        return False
    word = rf"(?<![^\W_]){re.escape(secret)}(?![^\W_])"
    return bool(secret) and re.search(word, text) is not None


def presentable_cause(
    error: Exception, options: Mapping[str, Any]
) -> BaseException | None:
    """Return the error to chain to: none, if a traceback of it quotes an option.

    Or an address with a password, wherever that was written.
    """
    if isinstance(error, ConfigurationError):
        return error.__cause__
    given = [options, *map(options_of, aliases().values())]
    secrets = set(_texts([list(_secrets(each)) for each in given]))
    quotes = any(
        re.search(PRIVATE_ADDRESS, text)
        or any(_quotes(text, each, credential=named) for each, named in secrets)
        for text in _printed(error)
    )
    return None if quotes else error


def _secrets(options: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield what no text may show: not what the entries of a chain are called."""
    entries = options.get("backends")
    if not isinstance(entries, list | tuple):
        yield options
        return
    yield {key: value for key, value in options.items() if key != "backends"}
    for entry in entries:
        if isinstance(entry, dict) and isinstance(entry.get("OPTIONS"), dict):
            yield from _secrets(entry["OPTIONS"])


def _printed(error: BaseException) -> Iterator[str]:
    """Yield every text that a traceback prints, but for lines of source code."""
    for each in lineage(error):
        yield str(each)
        yield from getattr(each, "__notes__", ())
        if isinstance(each, BaseExceptionGroup):
            for inner in each.exceptions:
                yield from _printed(inner)


def lineage(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, what it came from, and so on."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
