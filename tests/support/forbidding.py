"""An S3 endpoint that answers as AWS does to credentials that may not list.

A file that is not there is refused: a HEAD by a bare 403, a GET by ``AccessDenied``. As
described in Amazon's reference of HeadObject and GetObject ("If you don't have the
s3:ListBucket permission, Amazon S3 returns 403"). No emulator does.
"""

from __future__ import annotations

import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

ERROR = '<?xml version="1.0"?><Error><Code>{}</Code><Message>No</Message></Error>'


class ForbiddingS3:
    """A bucket named "bucket"; ``files`` are its objects, by their keys.

    ``code``: why a file that is not there is refused. ``requests`` counts by method.
    """

    def __init__(self, files=None, code="AccessDenied"):
        self.files = dict(files or {})
        self.code = code
        self.requests = Counter()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self):
                self.answer(with_body=False)

            def do_GET(self):
                self.answer(with_body=True)

            def answer(self, *, with_body):
                endpoint.requests[self.command] += 1
                key = urlsplit(self.path).path.removeprefix("/bucket").lstrip("/")
                body = endpoint.files.get(key)
                status = 403 if body is None else 200
                if body is None:
                    body = ERROR.format(endpoint.code).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Last-Modified", "Sun, 17 May 2020 12:00:00 GMT")
                self.end_headers()
                if with_body:
                    self.wfile.write(body)

            def log_message(self, *args):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def options(self):
        """OPTIONS of an S3Storage."""
        return {
            "bucket_name": "bucket",
            "endpoint_url": self.url,
            "access_key": "key",
            "secret_key": "secret",
            "addressing_style": "path",
        }
