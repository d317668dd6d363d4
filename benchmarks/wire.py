"""Counts round trips to caches: what a client writes to a socket before it reads.

A client writes a long command in several pieces, and reads an answer in several; so one
round trip is a write that follows a read, whatever the library. In ``traffic.SENT``, as the requests to S3 are:
hence only while a row asks for it, and not while S3 is spoken to.
"""

from __future__ import annotations

import contextlib
import socket
import threading

from traffic import SENT


@contextlib.contextmanager
def counted():
    """Count those of this thread (a near tier's own thread has its heartbeats)."""
    here = threading.get_ident()
    owed = set()  # the sockets that have not been read from since they were written to

    def sendall(self, *args):
        if threading.get_ident() == here and self not in owed:
            SENT.append("round trip")
            owed.add(self)
        return super(socket.socket, self).sendall(*args)

    def recv(self, *args):
        owed.discard(self)
        return super(socket.socket, self).recv(*args)

    def recv_into(self, *args):
        owed.discard(self)
        return super(socket.socket, self).recv_into(*args)

    patches = {"sendall": sendall, "recv": recv, "recv_into": recv_into}
    for method, patch in patches.items():
        setattr(socket.socket, method, patch)
    try:
        yield
    finally:
        for method in patches:
            delattr(socket.socket, method)
