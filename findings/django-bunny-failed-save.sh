#!/usr/bin/env bash
# django-bunny 1.1.6: save() of a file that the service refuses (401, 500) returns its
# name as if all was well, and what open() gives reads as no bytes at all (Django 5.2.9,
# requests 2.34.2, over a small server that stands for the service).
#
# Guess before the run: save raises; open gives the content.
# Seen: the status of the PUT is never looked at. open fetches the whole answer, and
# then hands out the socket's end of it, which has been read already.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q django==5.2.9 django-bunny==1.1.6 requests==2.34.2 \
    python-dateutil==2.9.0.post0

found=$("$folder/venv/bin/python" - <<'PYTHON'
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from django.conf import settings

settings.configure()
from django.core.files.base import ContentFile
from django_bunny.storage import BunnyStorage

status = {"GET": 404, "PUT": 201}


class Service(BaseHTTPRequestHandler):
    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(status[self.command])
        self.send_header("Content-Length", "7")
        self.end_headers()
        self.wfile.write(b"content")

    do_PUT = do_GET

    def log_message(self, *args):
        pass


server = HTTPServer(("127.0.0.1", 0), Service)
threading.Thread(target=server.serve_forever, daemon=True).start()
storage = BunnyStorage(username="zone", password="x", hostname="/")
storage.base_url = f"http://127.0.0.1:{server.server_port}/"
for status["PUT"] in (201, 401, 500):
    print(status["PUT"], storage.save("file", ContentFile(b"content")))
status["GET"] = 200
print("exists:", storage.exists("file"), "read:", storage.open("file").read())
server.shutdown()
PYTHON
)
echo "$found"
[[ $found == "\
201 file
401 file
500 file
exists: True read: b''" ]]
