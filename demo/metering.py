"""Counts what a page asks of its backends, and what really goes to S3.

The two storages below are Django's and django-storages' own; all they add is the
counting, so a project uses the ordinary classes in their place.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from django.core.files.storage import FileSystemStorage
from storages.backends.s3 import S3Storage


@dataclass(slots=True)
class Meter:
    """What happened while it was running, in this thread."""

    calls: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)
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
            "url_ms": round(self.url_seconds * 1000, 2),
            "asking_ms": round(self.asking_seconds * 1000, 2),
            "ms": round(self.seconds * 1000, 2),
        }


_running: ContextVar[Meter | None] = ContextVar("running_meter", default=None)


@contextmanager
def metered() -> Iterator[Meter]:
    """Count everything the block asks of the storages below."""
    meter = Meter()
    token = _running.set(meter)
    begun = time.perf_counter()
    try:
        yield meter
    finally:
        meter.seconds = time.perf_counter() - begun
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


def _counting(method: str) -> Callable[..., Any]:
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        bound = getattr(super(Counted, self), method)
        meter = _running.get()
        if meter is None:
            return bound(*args, **kwargs)
        # A storage's methods call each other; only calls from outside count.
        if meter.depth == 0:
            meter.calls[f"{self.counted_as}.{method}"] += 1
        meter.depth += 1
        begun = time.perf_counter()
        try:
            return bound(*args, **kwargs)
        finally:
            meter.depth -= 1
            if meter.depth == 0:
                meter.add_time(method, time.perf_counter() - begun)

    call.__name__ = method
    return call


class Counted:
    """A mixin: the storage's public methods, counted."""

    counted_as = ""

    _open = _counting("_open")
    _save = _counting("_save")
    delete = _counting("delete")
    exists = _counting("exists")
    get_accessed_time = _counting("get_accessed_time")
    get_created_time = _counting("get_created_time")
    get_modified_time = _counting("get_modified_time")
    listdir = _counting("listdir")
    open = _counting("open")
    path = _counting("path")
    save = _counting("save")
    size = _counting("size")
    url = _counting("url")


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
