"""The types of what is configured, for whoever calls ``FallbackStorage`` in code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, TypedDict

from django.core.files.storage import Storage

OnDelete: TypeAlias = Literal["first", "all", "whiteout"]
Urls: TypeAlias = Literal["holder", "home"]


class Entry(TypedDict, total=False):
    """The dict that describes a backend: ``ALIAS``, or ``BACKEND`` and ``OPTIONS``."""

    ALIAS: str
    BACKEND: str
    OPTIONS: Mapping[str, Any]
    NAME: str
    PROFILE: Mapping[str, Any]
    READ_ONLY: bool
    ALWAYS_PROBE: bool
    ABSENT_ON_403: bool
    CONCURRENT: bool
    DEADLINE: float | None
    LAZY_OPEN: bool
    LOOK_AGAIN: bool
    RETRY_AFTER: float


class CacheOptions(TypedDict, total=False):
    """The dict that describes a memo; lifetimes are seconds."""

    ALIAS: str
    CLIENT: str
    STORE: str
    TTL: float
    NEGATIVE_TTL: float
    MAX_ENTRIES: int
    NEAR: bool
    GRACE: float
    VARY: str
    FACTS: bool


Backends: TypeAlias = Sequence[str | Entry | Storage | Callable[[], Storage]]
Cache: TypeAlias = str | CacheOptions | Literal[False]
