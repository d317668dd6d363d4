"""Connections whose reads end in time, however slowly a server drips.

A client's time-out is for one read of the socket: a byte a second never reaches it, and
``http.client`` reads a whole line, or all that was asked for, before it returns. So each
read has what is left of a deadline, which the thread that reads has set.
"""

from __future__ import annotations

import io
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

if TYPE_CHECKING:
    from collections.abc import Iterator

_thread = threading.local()


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Let this thread's reads raise ``TimeoutError`` after so many seconds in all."""
    _thread.until = time.monotonic() + seconds
    try:
        yield
    finally:
        _thread.until = None


class _Reader(io.RawIOBase):
    """What is read from a socket, by this thread's deadline."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        # It keeps the socket open for as long as it is read from.
        self._raw = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        until = getattr(_thread, "until", None)
        if until is not None:
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            self._sock.settimeout(left)
        return self._raw.readinto(buffer)  # type: ignore[no-any-return]

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Socket:
    """A socket that is read from by a ``_Reader``."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._sock, attribute)

    def makefile(self, *_args: Any, **_kwargs: Any) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self._sock))


def connections_made() -> int:
    """Return how many connections this thread has made."""
    return getattr(_thread, "made", 0)


class _Connection(HTTPConnection):
    def connect(self) -> None:
        _thread.made = connections_made() + 1
        super().connect()
        self.sock: Any = _Socket(self.sock)


class _SecureConnection(HTTPSConnection):
    def connect(self) -> None:
        _thread.made = connections_made() + 1
        super().connect()
        self.sock: Any = _Socket(self.sock)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class Pools(urllib3.PoolManager):
    """Connections to sites, kept and used again; reads end by ``deadline``."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
