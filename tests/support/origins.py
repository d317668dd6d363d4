"""A site over HTTP that says, byte for byte, what a test has written."""

from __future__ import annotations

import socketserver
import threading
from contextlib import contextmanager
from email.utils import formatdate

BODY = b"a picture, or what passes for one"
STAMP = 1_700_000_000


class Request:
    """What was asked: method, target and headers (lower case).

    ``lines``: all values of each header.
    """

    def __init__(self, method, target, lines):
        self.method, self.target, self.lines = method, target, lines
        self.headers = {key: values[-1] for key, values in lines.items()}

    def __repr__(self):
        return f"{self.method} {self.target}"


class Origin:
    """Answers by ``self.answer(request)``, which returns bytes, or yields them.

    An answer that is None closes the connection. ``closed`` is called when a client has
    closed one. ``requests``: what was asked, over so
    many ``connections``.
    """

    def __init__(self, port, files):
        self.port = port
        self.base_url = f"http://127.0.0.1:{port}/media/"
        self.files = files
        self.requests = []
        self.connections = 0
        self.answer = self.serve
        self.closed = lambda: None

    def serve(self, request):
        """Serve ``files`` as a decent server does."""
        body = self.files.get(request.target)
        if body is None:
            return reply(404, b"nothing here", request=request)
        headers = {"Last-Modified": formatdate(STAMP, usegmt=True), "ETag": '"1"'}
        asked = request.headers.get("range")
        if asked and request.method == "GET":
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, stop = int(first), min(int(last or len(body)) + 1, len(body))
            if start >= len(body):
                headers["Content-Range"] = f"bytes */{len(body)}"
                return reply(416, b"", request=request, **headers)
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(body)}"
            return reply(206, body[start:stop], request=request, **headers)
        return reply(200, body, request=request, **headers)


def reply(status, body=b"", *, request=None, **headers):
    """Return an answer with its length; without body to a HEAD."""
    written = {"Content-Length": str(len(body)), "Content-Type": "image/jpeg"}
    written |= {key.replace("_", "-"): value for key, value in headers.items()}
    lines = [f"HTTP/1.1 {status} -"]
    lines += [f"{key}: {value}" for key, value in written.items() if value is not None]
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    return head if request is not None and request.method == "HEAD" else head + body


@contextmanager
def origin(files=None):
    """Run a site on loopback."""
    site = None

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            site.connections += 1
            while line := self.rfile.readline().strip():
                method, target, _ = line.decode("latin-1").split(" ")
                lines = {}
                while header := self.rfile.readline().strip():
                    key, _, value = header.decode("latin-1").partition(":")
                    lines.setdefault(key.lower(), []).append(value.strip())
                request = Request(method, target, lines)
                site.requests.append(request)
                said = site.answer(request)
                if said is None:
                    return
                for part in [said] if isinstance(said, bytes) else said:
                    try:
                        self.wfile.write(part)
                    except OSError:
                        return
                if not isinstance(said, bytes):
                    return
            site.closed()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True
        request_queue_size = 64

        def handle_error(self, *_args):
            """A client that went away is none."""

    with Server(("127.0.0.1", 0), Handler) as server:
        site = Origin(server.server_address[1], files or {})
        thread = threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.01}
        )
        thread.start()
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()
