"""A thread that hears from a Redis server which keys have changed, and empties a store.

Server-assisted client-side caching in broadcast mode: the server tells of every change
of a key under a prefix, by whom or what ever (a write, a deletion, expiry, eviction).
(redis-py's own client-side cache refuses Valkey, and Redis before 7.4.)

The store is only as good as this connection, so ``connected`` is true only while it
stands and the server has confirmed. It is lost when the server closes it or falls
silent: after ``heartbeat`` seconds without a word the thread asks for its ROLE, after as
many more it gives up. Within two heartbeats, then, a connection that died without a
word is noticed, and the store emptied; and so is a server that has become a replica: a
failover may leave the connection open, and nobody writes there any more. (Who may not
ask, by an ACL, is answered as well.)
"""

from __future__ import annotations

import logging
import os
import random
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

from fallback_storage.cache.stores.redis_protocol import decode
from fallback_storage.exceptions import ConfigurationError
from fallback_storage.utils.logs import Warner

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

logger = logging.getLogger("fallback_storage")

HEARTBEAT = 1.0

# Seconds between two attempts to connect: doubled from the first to the last.
FIRST_PAUSE, LAST_PAUSE = 0.05, 5.0

# Of an answer's line; keys may be longer.
MAX_LINE = 4096

PUSH: Final = ord(">")

# The first word of ROLE's answer; newer servers may use the newer one.
REPLICA = (b"slave", b"replica")


class TrackingRefusedError(ConnectionError):
    """Raised when the server does not track keys: an ACL, say, forbids it."""

    def __init__(self, answer: object) -> None:
        # The first word of an error is its code; the rest may name the user.
        words = answer.split() if isinstance(answer, bytes) else []
        super().__init__(f"it refuses CLIENT TRACKING: {b''.join(words[:1]).decode()}")


class ReplicaError(ConnectionError):
    """Raised when the server takes no writes any more, so that it has no news."""


class Emptied(Protocol):
    """What is emptied when keys change, as a ``Store`` is."""

    def invalidate(self, names: Collection[str]) -> None: ...

    def clear(self) -> None: ...


class Tracker:
    """Empties ``target`` of names whose keys change, as long as it is ``connected``.

    ``connect`` returns a connection of redis-py, not connected yet, that speaks RESP 3.
    It is called on the tracker's own thread, which ``start`` starts and ``stop`` ends; it
    holds the process open for nothing. ``prefix`` is the beginning of the keys, as it was
    for who started it; what follows is the name. ``demoted`` is called when the server
    says that it has become a replica.
    """

    def __init__(
        self,
        connect: Callable[[], Any],
        target: Emptied,
        heartbeat: float = HEARTBEAT,
        demoted: Callable[[], object] = bool,
    ) -> None:
        self._connect = connect
        self._demoted = demoted
        self._target = target
        self._heartbeat = heartbeat
        self._warner = Warner()
        self._start_afresh()

    def _start_afresh(self) -> None:
        # Read without the lock. Whoever reads True after taking a lease of the target
        # may fill: when this turns False the target is cleared afterwards, and when
        # it turned True the server was tracking already.
        self.connected = False
        self.prefix: bytes | None = None
        self.connections = self.invalidations = 0
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._connection: Any = None

    def after_fork(self) -> None:
        # The thread and the connection are the parent's.
        connection = self._connection
        self._start_afresh()
        if connection is not None:
            # Closes the child's descriptor; redis-py looks whose connection it is.
            with suppress(Exception):
                connection.disconnect()

    def start(self, prefix: bytes) -> None:
        """Start the thread, unless it was started or stopped before. Does not wait."""
        if self._thread is not None or self._stopped.is_set():
            return
        with self._lock:
            if self._thread is None:
                self.prefix = prefix
                name = "fallback-storage-tracker"
                thread = threading.Thread(target=self._run, name=name, daemon=True)
                # At the interpreter's end no thread can be started any more.
                with suppress(RuntimeError):
                    thread.start()
                    self._thread = thread

    def stop(self) -> None:
        """End the thread and its connection. Does not wait; may be called anywhere."""
        self._stopped.set()
        connection = self._connection
        own = connection is not None and connection.pid == os.getpid()
        if own and (sock := _socket_of(connection)) is not None:
            # The plain method also for TLS: it wakes the thread and no more.
            with suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def join(self, timeout: float) -> None:
        """Wait for the thread's end."""
        with suppress(RuntimeError):  # on the thread itself
            if self._thread is not None:
                self._thread.join(timeout)

    # On the thread

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopped.is_set():
            connections = self.connections
            try:
                self._track()
            except ConfigurationError as exc:
                logger.error("%s", exc)  # noqa: TRY400 - the message says it all
                return
            except (TrackingRefusedError, ReplicaError) as exc:
                self._log(str(exc))
            except Exception as exc:  # noqa: BLE001 - whatever it is, connect again
                self._log(type(exc).__name__)
            if self.connections > connections:
                pause = FIRST_PAUSE
            self._stopped.wait(pause * random.uniform(0.5, 1.0))  # noqa: S311
            pause = min(2 * pause, LAST_PAUSE)

    def _log(self, reason: str) -> None:
        if not self._stopped.is_set():
            self._warner.warn(
                "lost",
                "No invalidations arrive from the cache server (%s); nothing is kept in "
                "process until they do again.",
                reason,
            )

    def _track(self) -> None:
        """Connect and listen, until the connection is lost: always ends in an error."""
        connection = self._connect()
        self._connection = connection
        try:
            connection.connect()
            sock = _socket_of(connection)
            if sock is None or self._stopped.is_set():
                raise ConnectionAbortedError("Stopped.")
            sock.settimeout(self._heartbeat)
            answers = _Answers(sock)
            prefix = self.prefix or b""
            answers.ask(b"CLIENT", b"TRACKING", b"ON", b"BCAST", b"PREFIX", prefix)
            _, answer = answers.read()  # nothing is pushed before
            if answer != b"OK":
                raise TrackingRefusedError(answer)
            self.connections += 1
            self.connected = True
            for message in answers.pushed():
                self._obey(message, prefix)
        except ReplicaError:
            self._demoted()
            raise
        finally:
            self.connected = False
            self._target.clear()
            self._connection = None
            connection.disconnect()

    def _obey(self, message: Any, prefix: bytes) -> None:
        if message[0] != b"invalidate":
            return
        self.invalidations += 1
        keys = message[1]
        if keys is None:  # FLUSHALL, FLUSHDB
            self._target.clear()
        else:
            # (Also a change of such a key in another database; it costs a look-up.)
            self._target.invalidate(list(_names(keys, len(prefix))))


def _names(keys: Iterable[bytes], start: int) -> Iterator[str]:
    for key in keys:
        # A key that is no text is nobody's name.
        with suppress(UnicodeDecodeError):
            yield decode(key[start:])


class _Answers:
    """Reads RESP 3: the few types that a tracking connection is sent.

    Anything else, a connection that ends and one that falls silent raise an error.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._buffer = bytearray()
        self._awaits_pong = False

    def ask(self, *words: bytes) -> None:
        parts = [b"*%d\r\n" % len(words)]
        parts += [b"$%d\r\n%s\r\n" % (len(word), word) for word in words]
        self._socket.sendall(b"".join(parts))

    def pushed(self) -> Iterator[Any]:
        """Yield what the server sends of its own accord."""
        while True:
            kind, value = self.read()
            if kind == PUSH:
                yield value
            elif value and value[0] in REPLICA:
                raise ReplicaError("it has become a replica")

    def read(self) -> tuple[int, Any]:
        """Return what comes next, behind the byte that tells its type."""
        line = self._read_line()
        kind, rest = line[0], line[1:]
        if kind in b"+-:":
            return kind, rest
        if kind == ord("_"):
            return kind, None
        if kind == ord("$"):
            return kind, self._read_bytes(int(rest))
        if kind in b"*>":
            return kind, [self.read()[1] for _ in range(int(rest))]
        raise ValueError("An answer of an unknown type.")

    def _read_line(self) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if len(self._buffer) > MAX_LINE:
                raise ValueError("An answer without an end.")
            self._receive()
        line = self._take(end)
        if not line:
            raise ValueError("An empty answer.")
        return line

    def _read_bytes(self, size: int) -> bytes:
        while len(self._buffer) < size + 2:
            self._receive()
        return self._take(size)

    def _take(self, size: int) -> bytes:
        value = bytes(self._buffer[:size])
        del self._buffer[: size + 2]
        return value

    def _receive(self) -> None:
        """Wait for more to read, or ask for a word; the caller looks what there is."""
        try:
            received = self._socket.recv(65536)
        except TimeoutError:
            if self._awaits_pong:
                raise
            self._awaits_pong = True
            self.ask(b"ROLE")
            return
        if not received:
            raise ConnectionResetError("The server closed the connection.")
        self._awaits_pong = False
        self._buffer += received


def _socket_of(connection: Any) -> socket.socket | None:
    # redis-py can read pushes itself, in a different way in every major version, and
    # forgets half an answer at a time-out. This attribute it always had.
    return connection._sock  # type: ignore[no-any-return]  # noqa: SLF001
