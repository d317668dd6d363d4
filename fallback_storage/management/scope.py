"""Who shares the memo of a chain: what a command sees and changes of it."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from django.core.cache.backends.locmem import LocMemCache

from fallback_storage.aliases import class_of
from fallback_storage.config import read_options
from fallback_storage.fingerprint import is_shareable
from fallback_storage.memospec import CACHE_SETTING, cache_backend

if TYPE_CHECKING:
    from fallback_storage.engine import Engine
    from fallback_storage.storage import FallbackStorage

ADVICE = f"Name a cache that all processes share in {CACHE_SETTING}."


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
    given = storage._given  # noqa: SLF001
    spec = read_options(type(storage), given).cache
    if spec is None or not engine.memo.remembers:
        return Scope.NONE
    cache_class = class_of(cache_backend(spec.alias)) if spec.alias else None
    if not engine.memo.is_shared or (
        cache_class is not None and issubclass(cache_class, LocMemCache)
    ):
        return Scope.PROCESS
    if not all(map(is_shareable, engine.backends)):
        return Scope.CHAIN
    return Scope.SHARED
