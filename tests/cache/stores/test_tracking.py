"""What the tracker makes of a server's words, whatever they are and however they come."""

from __future__ import annotations

import os
import queue
import socket
import threading
import time
from contextlib import suppress

import pytest

from fallback_storage.cache.stores import tracking
from fallback_storage.cache.stores.tracking import Tracker

PREFIX = b"p:"
CONFIRMED = b"+OK\r\n"
HEADER = b">2\r\n$10\r\ninvalidate\r\n"


class Target:
    """Records what it is told."""

    def __init__(self):
        self.told = queue.SimpleQueue()

    def invalidate(self, names):
        self.told.put(names)

    def clear(self):
        self.told.put("clear")

    def next(self):
        return self.told.get(timeout=10)


class Connection:
    """Our end of a pair of sockets, with what the tracker uses of redis-py's."""

    def __init__(self, sock):
        self.pid = os.getpid()
        self._sock = sock

    def connect(self):
        pass

    def disconnect(self):
        self._sock.close()


class Server:
    """The other end: every connection that the tracker asks for, in turn."""

    def __init__(self):
        self.accepted = queue.SimpleQueue()
        self.idents = []
        self.ends = []

    def connect(self):
        self.idents.append(threading.get_ident())
        ours, theirs = socket.socketpair()
        theirs.settimeout(10)
        self.ends.append(theirs)
        self.accepted.put(theirs)
        return Connection(ours)

    def accept(self, confirm=CONFIRMED):
        """Take the next connection, read the question and answer it."""
        sock = self.accepted.get(timeout=10)
        question = sock.recv(4096)
        assert question == (
            b"*6\r\n$6\r\nCLIENT\r\n$8\r\nTRACKING\r\n$2\r\nON\r\n"
            b"$5\r\nBCAST\r\n$6\r\nPREFIX\r\n$2\r\np:\r\n"
        )
        sock.sendall(confirm)
        return sock


@pytest.fixture
def target():
    return Target()


@pytest.fixture
def server():
    server = Server()
    yield server
    for sock in server.ends:
        sock.close()


@pytest.fixture
def tracker(server, target, monkeypatch):
    monkeypatch.setattr(tracking, "FIRST_PAUSE", 0.001)
    tracker = Tracker(server.connect, lambda: PREFIX, target, heartbeat=5.0)
    tracker.start()
    yield tracker
    tracker.stop()
    tracker.join(10)
    assert not tracker._thread.is_alive()


def until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "It did not happen."
        time.sleep(0.0005)


def message(*keys):
    parts = [b"$%d\r\n%s\r\n" % (len(key), key) for key in keys]
    return HEADER + b"*%d\r\n" % len(keys) + b"".join(parts)


LONG = b"x" * 200_000


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (message(b"p:a"), [["a"]]),
        (message(b"p:a", b"p:b/c"), [["a", "b/c"]]),
        (message(b"p:a") + message(b"p:b"), [["a"], ["b"]]),
        (message(b"p:\xc3\xbc\r\n$1", b"p:"), [["ü\r\n$1", ""]]),
        (message(b"p:\xed\xb3\xbf"), [["\udcff"]]),
        (message(b"p:\xff", b"p:a"), [["a"]]),
        (message(b"p:" + LONG), [[LONG.decode()]]),
        (HEADER + b"_\r\n", ["clear"]),
        (HEADER + b"*0\r\n", [[]]),
        (b">2\r\n+other\r\n:5\r\n" + message(b"p:a"), None),
        (b">2\r\n$5\r\nother\r\n*1\r\n+x\r\n" + message(b"p:a"), [["a"]]),
        (b"+PONG\r\n" + message(b"p:a"), [["a"]]),
        (b"-ERR whatever\r\n" + message(b"p:a"), [["a"]]),
    ],
)
@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_messages_arrive_in_any_pieces(tracker, server, target, said, told, piece):
    """What is said is understood, however the network cuts it; the rest is ignored."""
    if len(said) > 1000:
        piece *= 1000
    sock = server.accept()
    with suppress(OSError):
        for start in range(0, len(said), piece):
            sock.sendall(said[start : start + piece])
    if told is None:
        # A type that a tracking connection is never sent: it begins anew.
        assert target.next() == "clear"
        server.accept()
        return
    for expected in told:
        assert target.next() == expected
    assert tracker.connected
    assert len(server.ends) == 1


@pytest.mark.parametrize(
    "said",
    [
        b"\r\n",
        b"HTTP/1.1 400 Bad Request\r\n",
        b"$x\r\n",
        b"*x\r\n",
        b">2\r\n",
        b"%1\r\n+a\r\n+b\r\n",
        b">1\r\n$10\r\ninvalidate\r\n",
        b"\x00" * 10_000,
        HEADER + b"$1\r\na\r\n",
    ],
    ids=repr,
)
def test_garbage_and_the_end_of_a_connection_begin_a_new_one(
    tracker, server, target, said
):
    """The target is emptied, and what is said on the new connection counts."""
    sock = server.accept()
    with suppress(OSError):
        sock.sendall(said)
        sock.close()
    while target.next() != "clear":
        pass
    server.accept().sendall(message(b"p:a"))
    while target.next() != ["a"]:
        pass
    until(lambda: tracker.connected)


def test_an_answer_without_an_end_is_not_waited_for(tracker, server, target):
    """Memory is not given to a server that speaks another language."""
    server.accept().sendall(b"x" * 10_000)
    assert target.next() == "clear"
    server.accept()


@pytest.mark.parametrize("said", [b"-ERR unknown\r\n", b"+QUEUED\r\n", b"$-1\r\n", b""])
def test_without_a_confirmation_it_is_not_connected(tracker, server, target, said):
    """A server that does not say OK does not track."""
    server.accept(said).close()
    assert target.next() == "clear"
    assert tracker.connections == 0
    server.accept()
    until(lambda: tracker.connected)
    assert tracker.connections == 1


def test_it_is_not_connected_any_more_when_the_target_is_emptied(server, monkeypatch):
    """First the flag, then the emptying: a fill in between would outlive both."""
    monkeypatch.setattr(tracking, "FIRST_PAUSE", 0.001)
    seen = queue.SimpleQueue()

    class Looking(Target):
        def clear(self):
            seen.put(tracker.connected)

    tracker = Tracker(server.connect, lambda: PREFIX, Looking(), heartbeat=5.0)
    tracker.start()
    sock = server.accept()
    until(lambda: tracker.connected)
    sock.close()
    assert seen.get(timeout=10) is False
    tracker.stop()
    tracker.join(10)


def test_silence_is_asked_about_once_and_then_believed(server, target):
    """A PING after one heartbeat, an end after two; an answer starts anew."""
    tracker = Tracker(server.connect, lambda: PREFIX, target, heartbeat=0.25)
    tracker.start()
    sock = server.accept()
    for _ in range(3):
        assert sock.recv(100) == b"*1\r\n$4\r\nPING\r\n"
        assert tracker.connected
        sock.sendall(b"+PONG\r\n")
    assert sock.recv(100) == b"*1\r\n$4\r\nPING\r\n"
    assert sock.recv(100) == b""
    assert target.next() == "clear"
    tracker.stop()
    tracker.join(10)


def test_it_connects_on_its_own_thread_with_growing_pauses(monkeypatch, target):
    """From 50 ms doubled to 5 s, whoever asks meanwhile; one that stood resets them."""
    pauses, results = [], []

    class Stopped(threading.Event):
        def wait(self, timeout=None):
            pauses.append(timeout)
            return super().wait(0)

    def connect():
        results.append(threading.current_thread().name)
        if len(results) == 12:
            tracker.connections += 1
        if len(results) == 15:
            tracker.stop()
        raise ConnectionError("There is nobody.")

    monkeypatch.setattr(tracking.random, "uniform", lambda low, high: high)
    tracker = Tracker(connect, lambda: PREFIX, target)
    tracker._stopped = Stopped()
    tracker.start()
    tracker.start()
    tracker.join(10)
    rising = [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2]
    assert pauses == [*rising, 5.0, 5.0, 5.0, 5.0, *rising[:4]]
    assert set(results) == {"fallback-storage-tracker"}


def test_trouble_is_logged_once_a_minute(server, tracker, target, caplog):
    """A connection that comes and goes does not fill the log."""
    for _ in range(5):
        server.accept().close()
        assert target.next() == "clear"
    server.accept()
    assert len(caplog.records) == 1
    assert "nothing is kept in process" in caplog.text


def test_a_stopped_tracker_does_not_start(server, target):
    """``stop`` before ``start``: there is never a thread."""
    tracker = Tracker(server.connect, lambda: PREFIX, target)
    tracker.stop()
    tracker.start()
    assert tracker._thread is None


def test_stopped_while_it_connects_it_ends(target):
    """The connection that it got by then is not used."""
    ours, theirs = socket.socketpair()

    class Late(Connection):
        def connect(self):
            tracker._stopped.set()

    tracker = Tracker(lambda: Late(ours), lambda: PREFIX, target)
    tracker.start()
    tracker.join(10)
    with theirs:
        assert theirs.recv(100) == b""
    assert not tracker.connected


def test_where_no_thread_can_be_started_there_is_none(server, target, monkeypatch):
    """At the interpreter's end; a later call tries again."""

    def refuse(self):
        raise RuntimeError("can't start new thread")

    tracker = Tracker(server.connect, lambda: PREFIX, target)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        tracker.start()
        assert tracker._thread is None
    tracker.start()
    server.accept()
    tracker.stop()
    tracker.join(10)
