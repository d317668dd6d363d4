"""The types of what ``FallbackStorage.stats`` returns."""

from __future__ import annotations

from typing import NotRequired, TypedDict


class BackendStats(TypedDict):
    """How often a storage was called, how often it failed, and how long it took.

    ``given_up``: calls that were not waited for to their end. ``breaker``: "closed",
    "open" while it is left alone, "trial" while one call tries; ``retry_in``: seconds
    until the next one may, or None.
    """

    calls: int
    failures: int
    seconds: float
    given_up: int
    breaker: str
    retry_in: float | None


class Stats(TypedDict):
    """What ``FallbackStorage.stats`` returns; some memos count less, or more."""

    hits: int
    negative_hits: int
    misses: int
    fills: int
    late_fills: int
    walks: int
    coalesced: int
    lost_holders: int
    grace_hits: int
    backends: dict[str, BackendStats]
    # In process memory
    entries: NotRequired[int]
    negative_entries: NotRequired[int]
    # In a shared cache
    store_failures: NotRequired[int]
    bypassed: NotRequired[int]
    undelivered: NotRequired[int]
    breaker_open: NotRequired[int]
    # NEAR
    near_connected: NotRequired[int]
    near_connections: NotRequired[int]
    near_messages: NotRequired[int]
