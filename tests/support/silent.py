"""Servers that accept and never answer, and storages of such ones."""

from __future__ import annotations

import contextlib
import socket
import threading

from fakes import RecordingStorage
from servers import HOST


class SilentStorage(RecordingStorage):
    """Keeps files; while ``hangs`` is set, each call waits until ``answer`` is called.

    ``arrived`` counts the calls that wait, or waited: ``wait_for(number)`` of them.
    """

    def __init__(self, label="silent", files=None):
        super().__init__(label, files)
        self.hangs = False
        self.arrived = 0
        self.released = threading.Event()
        self.changed = threading.Condition()

    def act(self, method, name):
        self.calls.append((method, name))
        if self.hangs:
            released = self.released
            with self.changed:
                self.arrived += 1
                self.changed.notify_all()
            assert released.wait(60)
        if method in self._failures:
            raise self._failures[method]

    def hang(self):
        self.released = threading.Event()
        self.hangs = True

    def answer(self):
        self.hangs = False
        self.released.set()

    def wait_for(self, number):
        with self.changed:
            assert self.changed.wait_for(lambda: self.arrived >= number, 60)


def silent(**policy):
    """The entry of one that hangs no longer than a moment for who asks."""
    return {"BACKEND": "silent.SilentStorage", "DEADLINE": 0.05, **policy}


class SilentServer:
    """A server that accepts whatever comes, and never answers."""

    def __enter__(self):
        self.connections = []
        self._server = socket.create_server((HOST, 0), backlog=128)
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                self.connections.append(self._server.accept()[0])

    def __exit__(self, *exc_info):
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for connection in self.connections:
            connection.close()
