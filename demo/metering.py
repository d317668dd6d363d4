"""Counts what a page asks of its backends and of a shared memo, and what goes to S3.

The classes below are Django's, django-storages' and redis-py's own; all they add is
the counting, so a project uses the ordinary ones in their place.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.core.files.storage import FileSystemStorage
from redis import ConnectionPool
from redis.connection import Connection
from storages.backends.s3 import S3Storage

# What each process tells the others of its counters, twice a minute; for no name.
PUBLISHING = "HSETNX"


@dataclass(slots=True)
class Meter:
    """What happened while it was running, in this thread."""

    calls: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)
    commands: Counter[str] = field(default_factory=Counter)
    url_seconds: float = 0.0
    asking_seconds: float = 0.0
    seconds: float = 0.0
    depth: int = 0

    def add_time(self, method: str, seconds: float) -> None:
        """Signing a URL takes its time, whoever asks; kept apart from the rest."""
        if method == "url":
            self.url_seconds += seconds
        else:
            self.asking_seconds += seconds

    def report(self) -> dict[str, Any]:
        """The figures as the panel and `--once` read them."""
        return {
            "calls": sum(self.calls.values()),
            "calls_by_kind": dict(sorted(self.calls.items())),
            "requests": sum(self.requests.values()),
            "round_trips": self.commands.total() - self.commands[PUBLISHING],
            "round_trips_by_kind": dict(sorted(self.commands.items())),
            "url_ms": round(self.url_seconds * 1000, 2),
            "asking_ms": round(self.asking_seconds * 1000, 2),
            "ms": round(self.seconds * 1000, 2),
        }


_running: ContextVar[Meter | None] = ContextVar("running_meter", default=None)


@contextmanager
def metered(meter: Meter | None = None) -> Iterator[Meter]:
    """Count everything the block asks of the storages below, or count on."""
    meter = meter or Meter()
    token = _running.set(meter)
    begun = time.perf_counter()
    try:
        yield meter
    finally:
        meter.seconds += time.perf_counter() - begun
        _running.reset(token)


class SentRequests:
    """Every S3 request this process has sent, whoever asked for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def add(self, method: str) -> None:
        with self._lock:
            self._counts[method] += 1

    def counts(self) -> dict[str, int]:
        with self._lock:
            return dict(self._counts)


sent = SentRequests()


def _count_request(request: Any, **_: Any) -> None:
    """botocore's `before-send`: once for every HTTP request, retries included."""
    sent.add(request.method)
    meter = _running.get()
    if meter is not None:
        meter.requests[request.method] += 1


METHODS = frozenset(
    {
        *("_open", "_save", "delete", "exists", "listdir", "open", "path", "save"),
        *("get_accessed_time", "get_created_time", "get_modified_time", "size", "url"),
    }
)


class Counted:
    """A mixin: the storage's public methods, counted.

    Counted where they are looked up: the class's own methods stay what they were, by
    which the package knows what it may take a short cut with.
    """

    counted_as = ""

    def __getattribute__(self, attribute: str) -> Any:
        found = super().__getattribute__(attribute)
        if attribute not in METHODS:
            return found
        meter = _running.get()
        if meter is None:
            return found
        return partial(_call, meter, self.counted_as, attribute, found)


def _call(
    meter: Meter,
    counted_as: str,
    method: str,
    bound: Callable[..., Any],
    *args: Any,
    **kwargs: Any,
) -> Any:
    # A storage's methods call each other; only calls from outside count.
    if meter.depth == 0:
        meter.calls[f"{counted_as}.{method}"] += 1
    meter.depth += 1
    begun = time.perf_counter()
    try:
        return bound(*args, **kwargs)
    finally:
        meter.depth -= 1
        if meter.depth == 0:
            meter.add_time(method, time.perf_counter() - begun)


class CountedFileSystemStorage(Counted, FileSystemStorage):
    """Django's FileSystemStorage, counted."""

    counted_as = "local"


class CountedS3Storage(Counted, S3Storage):
    """django-storages' S3Storage, its calls and its HTTP requests counted."""

    counted_as = "production"

    @property
    def connection(self) -> Any:
        connection = super().connection
        connection.meta.client.meta.events.register(
            "before-send.s3", _count_request, unique_id="demo-meter"
        )
        return connection


class CountedConnection(Connection):
    """redis-py's Connection. What it sends in one go is answered in one: a round trip.

    The greetings of a new connection do not count: no page pays them twice. Neither
    does what other threads send: a near tier listens on its own.
    """

    _greeting = False

    def connect(self) -> None:
        self._greeting = True
        try:
            super().connect()
        finally:
            self._greeting = False

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        meter = _running.get()
        if meter is not None and not self._greeting:
            meter.commands[_first_word(command)] += 1
        super().send_packed_command(command, check_health)


def _first_word(command: Any) -> str:
    """The name of the (first) command: "*2 $3 GET ..." by lines."""
    packed = command if isinstance(command, bytes | str) else next(iter(command))
    text = packed if isinstance(packed, str) else bytes(packed).decode("latin-1")
    return text.split("\r\n", 3)[2]


class CountedPool(ConnectionPool):
    """redis-py's ConnectionPool, of connections that count."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"connection_class": CountedConnection, **options})
