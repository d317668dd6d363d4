#!/usr/bin/env bash
# hishel 2.0.0: its httpx client takes no notice of the server's Cache-Control and Vary,
# nor of a DELETE, until it is given rfc=True; and then an answer with stale-if-error is
# not used when the server fails (httpx 0.28.1).
#
# Guess before the run: an HTTP cache as earlier releases were: answers expire, Vary
# tells them apart, a DELETE drops them, stale-if-error helps with a 500 and a server
# that is gone.
# Seen: by itself the client keeps a 200 past its max-age and hands it out by its URL
# alone. With rfc=True all of it is as guessed, but for stale-if-error: the 500 and the
# refused connection reach the caller.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "hishel[httpx]==2.0.0" httpx==0.28.1

found=$("$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from hishel import SqliteStorage
from hishel.httpx import CacheClient
from httpx import ConnectError

RULES = {
    "/expires": {"Cache-Control": "max-age=1"},
    "/deleted": {"Cache-Control": "max-age=60"},
    "/varies": {"Cache-Control": "max-age=60", "Vary": "Accept-Language"},
    "/stale": {"Cache-Control": "max-age=1, stale-if-error=60"},
}


class Origin(BaseHTTPRequestHandler):
    asked, status = 0, 200

    def do_GET(self):
        Origin.asked += 1
        body = str(Origin.asked).encode()
        self.send_response(Origin.status)
        for name, value in RULES[self.path].items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_DELETE = do_GET

    def log_message(self, *args):
        pass


for options in ({}, {"rfc": True}):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Origin)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Origin.status = 200
    storage = SqliteStorage(database_path=f"{sys.argv[1]}/{len(options)}.db")
    url = f"http://127.0.0.1:{server.server_port}"
    with CacheClient(storage=storage, base_url=url, **options) as client:

        def asked_again(path, **headers):
            before = Origin.asked
            client.get(path, headers=headers)
            return Origin.asked > before

        for path in ("/expires", "/stale", "/deleted", "/varies"):
            client.get(path, headers={"Accept-Language": "de"})
        client.delete("/deleted")
        time.sleep(2.1)
        print(options, "expired:", asked_again("/expires"), end=" ")
        print("deleted:", asked_again("/deleted"), end=" ")
        print("varies:", asked_again("/varies", **{"Accept-Language": "fr"}))
        Origin.status = 500
        print("when the server fails:", client.get("/stale").status_code, end=" ")
        server.shutdown()
        server.server_close()
        try:
            print("is gone:", client.get("/stale").status_code)
        except ConnectError:
            print("is gone: ConnectError")
PYTHON
)
echo "$found"
[[ $found == "\
{} expired: False deleted: False varies: False
when the server fails: 200 is gone: 200
{'rfc': True} expired: True deleted: True varies: True
when the server fails: 500 is gone: ConnectError" ]]
