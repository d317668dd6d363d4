"""What a command line names: a storage, and files."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, TypeAlias

from django.core.cache.backends.locmem import LocMemCache
from django.core.exceptions import SuspiciousOperation
from django.core.management.base import CommandError
from django.utils.functional import LazyObject

from fallback_storage.cache.stores.alias import cache_backend
from fallback_storage.chain.fingerprint import is_shareable
from fallback_storage.chain.names import clean_name
from fallback_storage.conf.backends import build_alias
from fallback_storage.conf.options import configured_chains, read_options
from fallback_storage.conf.settings import (
    CACHE_SETTING,
    aliases,
    chain_class_of,
    class_of,
)
from fallback_storage.exceptions import ConfigurationError
from fallback_storage.storage import FallbackStorage

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Iterable, Mapping

    from fallback_storage.operations.engine import Engine

# What Django makes of a command line.
Options: TypeAlias = "Mapping[str, Any]"

HOW_TO = 'Give one the BACKEND "fallback_storage.storage.FallbackStorage".'
ADVICE = f"Name a cache that all processes share in {CACHE_SETTING}."


def storage_of(alias: str | None) -> FallbackStorage:
    """Return the chain under an alias of ``STORAGES``; None: the one there is.

    That is ``default`` if it is a chain, else the first alias that is one, else what
    ``FALLBACK_STORAGES`` describes. Raises ``CommandError`` where there is no chain.
    """
    found = aliases()
    if alias is None:
        for storage in _chains().values():
            return storage
        for _, chain_class, _ in configured_chains():
            chain: FallbackStorage = chain_class()
            return chain
        problem = "No alias of STORAGES is a FallbackStorage"
    elif alias not in found:
        problem = f"STORAGES has no alias {alias!r}"
    else:
        named = _chain_of(alias)
        if named is not None:
            return named
        path = found[alias].get("BACKEND")
        problem = f"STORAGES[{alias!r}] is no FallbackStorage but {path}"
    chains, others = (", ".join(map(repr, sorted(each))) for each in (_chains(), found))
    if chains:
        raise CommandError(f"{problem}. Write one of: {chains}.")
    raise CommandError(f"{problem} (found: {others or 'none'}). {HOW_TO}")


def clean_names(storage: FallbackStorage, names: Iterable[str]) -> list[str]:
    """Return the canonical spelling of names of files of a storage, each once.

    Raises ``CommandError`` for one that the storage would refuse.
    """
    cleaned = list(dict.fromkeys(_clean(storage, name) for name in names))
    if "" in cleaned:
        raise CommandError("A name is empty: that is the storage's root, not a file.")
    return cleaned


def add_prefixes(parser: ArgumentParser, what_is_done: str) -> None:
    """Add the argument ``prefixes``, for ``clean_prefixes``."""
    parser.add_argument(
        "prefixes",
        nargs="*",
        metavar="prefix",
        help=f"A directory; what is below it is {what_is_done}. Default: everything.",
    )


def clean_prefixes(storage: FallbackStorage, prefixes: Iterable[str]) -> list[str]:
    """Return directories without those that lie in another one; ``""`` is everything.

    Raises ``CommandError`` for one that the storage would refuse.
    """
    cleaned = dict.fromkeys(_clean(storage, prefix).rstrip("/") for prefix in prefixes)
    if not cleaned or "" in cleaned:
        return [""]
    return [
        prefix
        for prefix in cleaned
        if not any(prefix.startswith(f"{other}/") for other in cleaned)
    ]


def _clean(storage: FallbackStorage, name: str) -> str:
    try:
        return clean_name(name, engine_of(storage).overlay.location)
    except SuspiciousOperation as error:
        raise CommandError(str(error)) from error


def _chains() -> Mapping[str, FallbackStorage]:
    """Return every alias of ``STORAGES`` that is a chain, ``default`` first."""
    chains = {}
    for alias in sorted(aliases(), key=lambda alias: alias != "default"):
        try:
            storage = _chain_of(alias)
        except ConfigurationError:
            if chain_class_of(aliases()[alias].get("BACKEND")):
                raise
            continue  # what is wrong with other storages is not our business
        if storage is not None:
            chains[alias] = storage
    return chains


def _chain_of(alias: str) -> FallbackStorage | None:
    """Return the chain under an alias, or None. Builds nothing that cannot be one."""
    found = class_of(aliases()[alias].get("BACKEND"))
    # What is no class may be a function that returns a chain.
    if found and not issubclass(found, FallbackStorage | LazyObject):
        return None
    storage = build_alias(alias, f"STORAGES[{alias!r}]")
    return storage if isinstance(storage, FallbackStorage) else None


class Scope(enum.Enum):
    """Who shares the memo; the value says it in a sentence."""

    NONE = "This storage has no memo (its cache is off)."
    PROCESS = f"The memo is in process memory: every process has its own. {ADVICE}"
    CHAIN = (
        "The memo is shared by no other process: a storage of the chain lives in process "
        "memory, or does not tell how it was made (see Django's @deconstructible)."
    )
    SHARED = "The memo is shared."


def engine_of(storage: FallbackStorage) -> Engine:
    """Return what the storage works with."""
    return storage._get_engine()  # noqa: SLF001 - the commands look behind the scenes


def scope_of(storage: FallbackStorage) -> Scope:
    """Return who shares the memo of a chain."""
    engine = engine_of(storage)
    spec = read_options(type(storage), storage._given).cache  # noqa: SLF001
    if spec is None or not engine.memo.remembers:
        return Scope.NONE
    cache_class = class_of(cache_backend(spec.alias)) if spec.alias else None
    if not engine.memo.is_shared or issubclass(cache_class or object, LocMemCache):
        return Scope.PROCESS
    if not all(map(is_shareable, engine.backends)):
        return Scope.CHAIN
    return Scope.SHARED
