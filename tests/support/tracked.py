"""The other end of a tracker's connection, and what it empties. Real sockets."""

from __future__ import annotations

import os
import queue
import socket
import threading

CONFIRMED = b"+OK\r\n"


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
