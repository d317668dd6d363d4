"""The entries of a chain: what may be written, and what is wrong with one."""

from __future__ import annotations

from os import PathLike
from types import NoneType
from typing import TYPE_CHECKING, Any

from django.core.files.storage import Storage, storages
from django.utils.functional import LazyObject

from fallback_storage.chain.profile import DJANGO
from fallback_storage.chain.profiles import PROFILES
from fallback_storage.conf.messages import quoted, shown, suggestion
from fallback_storage.conf.rules import (
    DICT,
    FLAG,
    NUMBER,
    TEXT,
    Rule,
    Rules,
    mistakes_in,
)
from fallback_storage.conf.settings import aliases
from fallback_storage.exceptions import ConfigurationError, Mistake

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# A year. (Waiting has a limit of its own, which depends on the system.)
MAX_SECONDS = 31_536_000

PAUSE = Rule(
    lambda value: 0 <= value <= MAX_SECONDS,
    "Write for how many seconds it is left alone when it cannot be reached, 0 for never.",
)
DEADLINE = Rule(
    lambda value: value is None or (NUMBER.holds(value) and 0 <= value <= MAX_SECONDS),
    "Write for how many seconds an answer is waited for, 0 for no bound.",
)
POLICY_KEYS: Rules = {
    "READ_ONLY": (FLAG,),
    "ALWAYS_PROBE": (FLAG,),
    "ABSENT_ON_403": (FLAG,),
    "LOOK_AGAIN": (FLAG,),
    "DEADLINE": (DEADLINE,),
    "RETRY_AFTER": (NUMBER, PAUSE),
}
# Of the profile, what is also a key of its own.
SHORT_KEYS: Rules = {"CONCURRENT": (FLAG,), "LAZY_OPEN": (FLAG,)}

PLACE = (
    "Write the storage that reads it. A site: "
    '{"BACKEND": "fallback_storage.http.HTTPStorage", "OPTIONS": {"base_url": ...}}. '
    'A directory: {"BACKEND": "django.core.files.storage.FileSystemStorage", '
    '"OPTIONS": {"location": ..., "base_url": ...}}.'
)
FUNCTION = Rule(
    lambda value: isinstance(value, str) or callable(value),
    "Write a function, or its dotted path.",
)
TEXTS = Rule(
    lambda value: isinstance(value, list | tuple) and all(map(TEXT.holds, value)),
    "Write a list of strings.",
)
# By the type of what the table of profiles says.
PROFILE_RULES = {bool: FLAG, str: TEXT, tuple: TEXTS, NoneType: FUNCTION}
PROFILE_KEYS: Rules = {
    fact.upper(): (PROFILE_RULES[type(getattr(DJANGO, fact))],)
    for fact in DJANGO._fields
}
KEYS: Rules = {
    "ALIAS": (TEXT,),
    "BACKEND": (TEXT,),
    "OPTIONS": (DICT,),
    "NAME": (TEXT,),
    "PROFILE": (DICT,),
    **POLICY_KEYS,
    **SHORT_KEYS,
}


def mistakes_in_entry(entry: Any, where: str) -> Iterator[ConfigurationError]:
    """Yield what is wrong with the entry of a chain that stands at ``where``."""
    # First: asking default_storage for its class would build it.
    if isinstance(entry, LazyObject):
        return
    if _is_a_place(entry):
        yield ConfigurationError(
            Mistake.NO_ENTRY, where, f"is {shown(entry)}, no storage.", PLACE
        )
        return
    entry = written_out(entry)
    if isinstance(entry, dict):
        yield from (
            mistakes_in(entry, KEYS, where)
            or mistakes_in(
                entry.get("PROFILE", {}), PROFILE_KEYS, f"{where}['PROFILE']"
            )
            or _conflicts(entry, where)
        )
    elif not isinstance(entry, Storage) and not callable(entry):
        yield ConfigurationError(
            Mistake.NO_ENTRY,
            where,
            f"is {shown(entry)}.",
            "Write an alias of STORAGES, a dotted path, a dict with ALIAS or BACKEND, a "
            "Storage instance, or a callable without arguments that returns one.",
        )


def _is_a_place(entry: Any) -> bool:
    """Whether it says where files are, and not by which storage they are read."""
    if isinstance(entry, str):
        return "/" in entry and entry not in aliases()
    return isinstance(entry, PathLike)


def written_out(entry: Any) -> Any:
    """Return the dict that a text stands for; what is no text stays what it is."""
    if not isinstance(entry, str):
        return entry
    return {"ALIAS" if entry in aliases() or "." not in entry else "BACKEND": entry}


def _conflicts(entry: Mapping[str, Any], where: str) -> Iterator[ConfigurationError]:
    has_alias, has_backend = "ALIAS" in entry, "BACKEND" in entry
    if has_alias == has_backend:
        yield ConfigurationError(
            Mistake.ALIAS_OR_BACKEND,
            where,
            f"has {'both ALIAS and' if has_alias else 'neither ALIAS nor'} BACKEND.",
            "Write ALIAS for a storage that STORAGES defines, or BACKEND (and OPTIONS) "
            "for one that is defined here.",
        )
    elif has_alias and "OPTIONS" in entry:
        yield ConfigurationError(
            Mistake.ALIAS_OR_BACKEND,
            where,
            "has OPTIONS beside ALIAS.",
            "Write them in STORAGES, where the alias is defined.",
        )
    elif entry.get("NAME") == "":
        yield ConfigurationError(
            Mistake.WRONG_VALUE,
            where,
            "has an empty NAME.",
            "Leave NAME out, or fill it.",
        )
    elif entry.get("ABSENT_ON_403") and not entry.get(
        "READ_ONLY", is_never_written(entry)
    ):
        yield ConfigurationError(
            Mistake.WRONG_VALUE,
            f"{where}['ABSENT_ON_403']",
            "is True for a backend that is not READ_ONLY.",
            "Grant its credentials the permission to list (S3: s3:ListBucket), or write "
            "READ_ONLY: a save must know which names are taken.",
        )
    elif has_alias:
        yield from _mistakes_in_alias(entry["ALIAS"], where)


def _mistakes_in_alias(alias: str, where: str) -> Iterator[ConfigurationError]:
    described = aliases().get(alias, {})
    if alias in storages.backends and not isinstance(described.get("BACKEND"), str):
        yield ConfigurationError(
            Mistake.MALFORMED_ALIAS,
            f"STORAGES[{alias!r}]",
            "does not describe a storage.",
            "Write a dict with BACKEND, a dotted path, and OPTIONS, a dict.",
        )
    elif alias not in aliases():
        yield ConfigurationError(
            Mistake.UNKNOWN_ALIAS,
            where,
            f"names the alias {quoted(alias)}, which STORAGES does not have.",
            suggestion(alias, aliases(), "aliases"),
        )
    else:
        yield from (
            ConfigurationError(
                Mistake.UNKNOWN_KEY,
                f"STORAGES[{alias!r}]",
                f"has the key {key!r}, which Django does not read.",
                f'Write it into the entry of the chain: {{"ALIAS": "{alias}", '
                f'"{key}": ...}}.',
            )
            for key in described
            if key in POLICY_KEYS or key in SHORT_KEYS or key == "PROFILE"
        )


def is_never_written(entry: Mapping[str, Any]) -> bool:
    """Whether its class takes no writes, as far as that is known by its path."""
    described = aliases().get(entry.get("ALIAS", ""), entry)
    path = described.get("BACKEND") if isinstance(described, dict) else None
    return isinstance(path, str) and not PROFILES.get(path, DJANGO).writable
