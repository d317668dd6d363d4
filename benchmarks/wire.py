"""Counts round trips to caches: what a client writes to a socket, in one go.

Redis and memcached answer what was written before anything else is; so one write is
one round trip, whatever the library. In ``traffic.SENT``, as the requests to S3 are:
hence only while a row asks for it, and not while S3 is spoken to.
"""

from __future__ import annotations

import contextlib
import socket
import threading

from traffic import SENT


@contextlib.contextmanager
def counted():
    """Count the writes of this thread (a near tier's own thread has its heartbeats)."""
    here = threading.get_ident()
    original = socket.socket.sendall

    def sendall(self, data, *args):
        if threading.get_ident() == here:
            SENT.append("write")
        return original(self, data, *args)

    socket.socket.sendall = sendall
    try:
        yield
    finally:
        del socket.socket.sendall
