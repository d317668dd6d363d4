"""Proxies in front of a server that can be in every kind of trouble.

proxy.refuse(); proxy.accept()   nobody listens; listens again, on the same port
proxy.hang(); proxy.go_on()      connections are accepted, nothing is answered
proxy.outage = True              every connection ends at its next request
proxy.drop()                     every open connection ends now
proxy.status = 503               every request is answered so
proxy.hides_missing = True       a missing file is 403, as AWS and Google have it for
                                 a key that may not list
proxy.break_after = 1000         after so many bytes of requests connections break
proxy.behave()                   all is well again
"""

from __future__ import annotations

import http.client
import socket
import threading

from servers import CountingProxy, _shut

# How AWS and Google deny.
AWS_DENIES = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
)
GOOGLE_DENIES = (
    b'{"error": {"code": 403, "message": "media@example.iam.gserviceaccount.com does not'
    b" have storage.objects.get access to the Google Cloud Storage object. Permission"
    b" 'storage.objects.get' denied on resource (or it may not exist).\","
    b' "errors": [{"message": "denied", "domain": "global", "reason": "forbidden"}]}}'
)


class FaultyProxy(CountingProxy):
    """Passes HTTP through, until it is told otherwise."""

    def __init__(self, upstream_host, upstream_port):
        super().__init__(upstream_host, upstream_port)
        self.denial = AWS_DENIES
        self._listens = self._is_used = False
        self._going = threading.Event()
        self.behave()

    def behave(self):
        self.outage = self.hides_missing = False
        self.status = self.break_after = None
        self._going.set()
        if self._is_used:
            self.accept()

    def __enter__(self):
        self._listens = self._is_used = True
        return super().__enter__()

    def __exit__(self, *exc_info):
        self._is_used = False
        self.refuse()

    def refuse(self):
        if self._listens:
            self._listens = False
            self._going.set()
            super().__exit__()

    def accept(self):
        if not self._listens:
            self.__enter__()

    def hang(self):
        self._going.clear()

    def go_on(self):
        self._going.set()

    def drop(self):
        with self._lock:
            for sock in self._open:
                _shut(sock)

    def _pass_on(self, reader, upstream, client):
        try:
            return super()._pass_on(reader, _Fuse(self, upstream), client)
        except ValueError:
            # A client that sends more than it said: no request begins so.
            return False

    def _admits(self, method, head, client):
        if not self._going.is_set():
            # What hangs ends with the test, not with the client.
            self._going.wait()
            return False
        status = self.status
        if status is None and self.hides_missing and method in {"GET", "HEAD"}:
            status = 403 if self._upstream_status(head) == 404 else None
        if status is None:
            return True
        body = self.denial if status == 403 and method != "HEAD" else b""
        reason = http.client.responses[status]
        client.sendall(
            f"HTTP/1.1 {status} {reason}\r\nContent-Type: {self._kind(body)}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
            + body
        )
        return False

    @staticmethod
    def _kind(body):
        return "application/json" if body.startswith(b"{") else "application/xml"

    def _upstream_status(self, head):
        with socket.create_connection(self.upstream, timeout=10) as sock:
            sock.sendall(head)
            with sock.makefile("rb") as answer:
                return int(answer.readline().split()[1])


class TCPProxy(FaultyProxy):
    """The same for any protocol; `requests` are the connections."""

    def _serve(self, client):
        self.requests.append(("connect", ""))
        super()._serve(client)

    def _pass_on(self, reader, upstream, client):
        data = reader.read1(65536)
        if not data or self.outage or not self._admits("", data, client):
            return False
        _Fuse(self, upstream).sendall(data)
        return True

    def _admits(self, method, head, client):
        if not self._going.is_set():
            self._going.wait()
            return False
        return True


class _Fuse:
    """The way to the server, which breaks after so many bytes."""

    def __init__(self, proxy, sock):
        self._proxy, self._sock = proxy, sock

    def sendall(self, data):
        left = self._proxy.break_after
        if left is None:
            self._sock.sendall(data)
            return
        self._sock.sendall(data[:left])
        self._proxy.break_after = max(0, left - len(data))
        if left <= len(data):
            raise ConnectionResetError("broken, as wanted")
