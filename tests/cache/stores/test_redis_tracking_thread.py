"""The tracker's thread: when it starts, pauses, says something, and ends."""

from __future__ import annotations

import socket
import threading

import pytest
from tracked import Connection, Server, Target

from fallback_storage.cache.stores import redis_tracking
from fallback_storage.cache.stores.redis_tracking import Tracker

PREFIX = b"p:"


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

    monkeypatch.setattr(redis_tracking.random, "uniform", lambda low, high: high)
    tracker = Tracker(connect, target)
    tracker._stopped = Stopped()
    tracker.start(PREFIX)
    tracker.start(PREFIX)
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
    tracker = Tracker(server.connect, target)
    tracker.stop()
    tracker.start(PREFIX)
    tracker.join(10)
    assert tracker._thread is None


def test_two_that_start_it_at_once_start_one_thread(server, target):
    """The second waits for the first, and sees its thread."""
    tracker = Tracker(server.connect, target)
    with tracker._lock:
        second = threading.Thread(target=tracker.start, args=(PREFIX,))
        second.start()
        tracker._thread = threading.current_thread()
    second.join(10)
    assert tracker._thread is threading.current_thread()
    assert server.ends == []


@pytest.mark.parametrize("connected", [True, False])
def test_stopped_while_it_connects_it_ends(target, connected):
    """The connection that it got by then is not used; one it has not got is no trouble."""
    ours, theirs = socket.socketpair()

    class Late(Connection):
        def connect(self):
            if not connected:
                self._sock.close()
                self._sock = None
            tracker.stop()

        def disconnect(self):
            if self._sock:
                self._sock.close()

    tracker = Tracker(lambda: Late(ours), target)
    tracker.start(PREFIX)
    tracker.join(10)
    with theirs:
        assert theirs.recv(100) == b""
    assert not tracker.connected
    assert tracker.connections == 0


def test_where_no_thread_can_be_started_there_is_none(server, target, monkeypatch):
    """At the interpreter's end; a later call tries again."""

    def refuse(self):
        raise RuntimeError("can't start new thread")

    tracker = Tracker(server.connect, target)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        tracker.start(PREFIX)
        assert tracker._thread is None
    tracker.start(PREFIX)
    server.accept()
    tracker.stop()
    tracker.join(10)


def test_a_fork_before_its_first_use_changes_nothing(server, target):
    """There is no connection to let go of; the child's tracker starts as any other."""
    tracker = Tracker(server.connect, target)
    tracker.after_fork()
    tracker.start(PREFIX)
    server.accept()
    tracker.stop()
    tracker.join(10)
    assert tracker.connections <= 1
