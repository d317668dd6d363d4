"""What the tracker makes of a server's words, whatever they are and however they come."""

from __future__ import annotations

import queue
from contextlib import suppress

import pytest
from nearby import until
from tracked import Server, Target

from fallback_storage.cache.stores import redis_tracking
from fallback_storage.cache.stores.redis_tracking import Tracker

PREFIX = b"p:"
HEADER = b">2\r\n$10\r\ninvalidate\r\n"


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
    monkeypatch.setattr(redis_tracking, "FIRST_PAUSE", 0.001)
    tracker = Tracker(server.connect, target, heartbeat=5.0)
    tracker.start(PREFIX)
    yield tracker
    tracker.stop()
    tracker.join(10)
    assert not tracker._thread.is_alive()


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
        (b">2\r\n+other\r\n(5\r\n" + message(b"p:a"), None),
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
    monkeypatch.setattr(redis_tracking, "FIRST_PAUSE", 0.001)
    seen = queue.SimpleQueue()

    class Looking(Target):
        def clear(self):
            seen.put(tracker.connected)

    tracker = Tracker(server.connect, Looking(), heartbeat=5.0)
    tracker.start(PREFIX)
    sock = server.accept()
    until(lambda: tracker.connected)
    sock.close()
    assert seen.get(timeout=10) is False
    tracker.stop()
    tracker.join(10)


@pytest.mark.slow
def test_silence_is_asked_about_once_and_then_believed(server, target):
    """It is asked for its ROLE after one heartbeat, an end after two; an answer starts anew."""
    tracker = Tracker(server.connect, target, heartbeat=0.25)
    tracker.start(PREFIX)
    sock = server.accept()
    for _ in range(3):
        assert sock.recv(100) == b"*1\r\n$4\r\nROLE\r\n"
        assert tracker.connected
        sock.sendall(b"*3\r\n$6\r\nmaster\r\n:100\r\n*0\r\n")
    assert sock.recv(100) == b"*1\r\n$4\r\nROLE\r\n"
    assert sock.recv(100) == b""
    assert target.next() == "clear"
    tracker.stop()
    tracker.join(10)
