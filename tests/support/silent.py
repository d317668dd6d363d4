"""Storages whose server accepts and never answers, until a test says otherwise."""

from __future__ import annotations

import threading

from fakes import RecordingStorage


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
