"""Counts what a page asks of its backends and of a shared memo, and what goes to S3.

The classes below are Django's, django-storages' and redis-py's own; all they add is
the counting, so a project uses the ordinary ones in their place.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.core.files.storage import FileSystemStorage
from redis import ConnectionPool
from storages.backends.s3 import S3Storage

METHODS = {"delete", "exists", "listdir", "open", "path", "save", "size", "url"}


@dataclass(slots=True)
class Meter:
    """What happened while it was running, in this thread."""

    calls: int = 0
    requests: int = 0
    round_trips: int = 0
    ms: float = 0.0
    within: bool = False


# Where none runs, one that nobody reads.
_running: ContextVar[Meter] = ContextVar("meter", default=Meter())  # noqa: B039


@contextmanager
def metered(meter: Meter | None = None) -> Iterator[Meter]:
    """Count everything the block asks of the storages below, or count on."""
    meter = meter or Meter()
    token = _running.set(meter)
    begun = time.perf_counter()
    try:
        yield meter
    finally:
        meter.ms += (time.perf_counter() - begun) * 1000
        _running.reset(token)


class Counted:
    """A mixin: the storage's public methods, counted.

    Counted where they are looked up: the class's own methods stay what they were, by
    which the package knows what it may take a short cut with.
    """

    def __getattribute__(self, attribute: str) -> Any:
        found = super().__getattribute__(attribute)
        return partial(_call, found) if attribute in METHODS else found


def _call(method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    meter = _running.get()
    # A storage's methods call each other; only calls from outside count.
    if meter.within:
        return method(*args, **kwargs)
    meter.calls += 1
    meter.within = True
    try:
        return method(*args, **kwargs)
    finally:
        meter.within = False


class CountedFileSystemStorage(Counted, FileSystemStorage):
    """Django's FileSystemStorage, counted."""


class CountedS3Storage(Counted, S3Storage):
    """django-storages' S3Storage, its calls and its HTTP requests counted."""

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
