"""A storage that says that it was asked, and then never answers."""

from __future__ import annotations

import os
import threading

from django.core.files.base import File
from fakes import RecordingStorage

NEVER = threading.Event()


class Blocking(RecordingStorage):
    def exists(self, name):
        os.write(2, b"asked\n")
        # Not one wait without end: a signal that comes just before it would be lost.
        while not NEVER.wait(0.05):
            pass


class BlockingSource(RecordingStorage):
    """Says that one of its files is read, and sends it byte by byte, for ever."""

    def _open(self, name, mode="rb"):
        opened = super()._open(name, mode)
        return Endless(opened.file, name) if name == "a/y.txt" else opened


class Endless(File):
    size = None
    is_first = True

    def read(self, size=-1):
        if self.is_first:
            self.is_first = False
            os.write(2, b"reading\n")
        return b"x"
