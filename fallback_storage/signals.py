"""Signals for monitoring: what was resolved, what failed, what was copied.

Receivers are called where the thing happens, in its thread, and cost nothing while
there are none. What they raise is logged by Django (``Signal.send_robust``) and goes
no further. ``sender`` is the storage's class, ``storage`` the instance::

    @receiver(backend_failed)
    def count_failure(sender, storage, failure, **kwargs):
        metrics.increment(f"storage.{failure.backend}.{type(failure.exception).__name__}")

``resolved``
    ``operation``, ``resolution``: a call of ``operation`` (``url``, ``exists``,
    ``open``, ...) found out who holds a name; its trail tells what that cost. While
    somebody listens, calls that the memo answers are a few microseconds slower.
``called``
    ``backend``, ``seconds``, ``failed``: a backend's storage was called, by this
    package, in this thread. Of many names asked at once, one listing is one call.
``backend_failed``
    ``failure``: a backend raised something that does not mean "no such file".
``breaker_opened``
    ``backend``, ``cause``: a backend cannot be reached (``cause``: why, without its
    words), and is left alone for a while. Sent by the call that found out.
``breaker_closed``
    ``backend``, ``cause`` (None): it answers again.
``promoted``
    ``promotion``: a file was copied to the first writable backend.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.dispatch import Signal

from fallback_storage.utils.records import Record

if TYPE_CHECKING:
    import weakref


class Failure(Record):
    """A backend could not answer. ``exception`` may hold what logs should not show."""

    backend: str
    operation: str
    name: str
    exception: Exception
    seconds: float


class Promotion(Record):
    """A file was copied from one backend (``source``) to another (``target``)."""

    name: str
    source: str
    target: str
    seconds: float


resolved = Signal()
called = Signal()
backend_failed = Signal()
promoted = Signal()
breaker_opened = Signal()
breaker_closed = Signal()


def send(signal: Signal, owner: weakref.ref[object] | None, **data: Any) -> None:
    """Send for the storage that ``owner`` refers to, while there is one."""
    storage = owner() if owner is not None else None
    if storage is not None:
        signal.send_robust(sender=type(storage), storage=storage, **data)
