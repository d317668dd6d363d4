"""Counts what a page asks of its backends and of a shared memo, and what goes to S3.

The classes below are django-storages' and redis-py's own; all they add is the counting,
so a project uses the ordinary ones in their place.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from redis import ConnectionPool
from storages.backends.s3 import S3Storage


@dataclass(slots=True)
class Meter:
    """What happened while it was running, in this thread; calls: of its chain."""

    calls: int = 0
    requests: int = 0
    round_trips: int = 0
    ms: float = 0.0


# Where none runs, one that nobody reads.
_running: ContextVar[Meter] = ContextVar("meter", default=Meter())  # noqa: B039


@contextmanager
def metered(storage: Any, meter: Meter | None = None) -> Iterator[Meter]:
    """Count everything the block asks of a chain's backends, or count on."""
    meter = meter or Meter()
    token = _running.set(meter)
    meter.calls -= sum(backend.calls for backend in storage.backends)
    begun = time.perf_counter()
    try:
        yield meter
    finally:
        meter.ms += (time.perf_counter() - begun) * 1000
        meter.calls += sum(backend.calls for backend in storage.backends)
        _running.reset(token)


class CountedS3Storage(S3Storage):
    """django-storages' S3Storage, its HTTP requests counted."""

    @property
    def connection(self) -> Any:
        connection = super().connection
        # Once for every HTTP request, retries included.
        connection.meta.client.meta.events.register(
            "before-send.s3", _count_request, unique_id="demo-meter"
        )
        return connection


def _count_request(**_: Any) -> None:
    _running.get().requests += 1


class CountedPool(ConnectionPool):
    """redis-py's ConnectionPool. A connection is taken from it for each round trip."""

    def get_connection(self, *args: Any, **kwargs: Any) -> Any:
        _running.get().round_trips += 1
        return super().get_connection(*args, **kwargs)
