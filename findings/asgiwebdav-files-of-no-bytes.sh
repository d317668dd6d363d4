#!/usr/bin/env bash
# ASGIWebDAV 2.1.0: HEAD says of every file that it has 0 bytes and is "text/html", so that
# size() of django-webdav-storage 1.0.0 is 0, and so is fsspec's over HTTP; and a COPY of a
# folder that does not name a depth is answered 204 and makes an empty folder (Django 5.2.9,
# fsspec 2026.9.0).
#
# Guess before the run: HEAD has the headers of GET, as PROPFIND has the true size; a COPY
# without "Depth" takes all that is in the folder, as RFC 4918 has it ("infinity").
# Seen: as above. With "Depth: infinity" the files are copied. Whoever copies and then deletes
# the source, because the copy went well, has lost them; whoever compares sizes by HEAD finds
# each file changed, or empty.
set -euo pipefail

folder=$(mktemp -d)
server=
trap '[[ -z $server ]] || kill "$server"; wait; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile asgiwebdav==2.1.0 backports.zstd==1.8.0 \
    uvicorn==0.54.0 django-webdav-storage==1.0.0 django==5.2.9 requests==2.34.2 \
    "fsspec[http]==2026.9.0" aiohttp==3.14.5
port=$("$folder/venv/bin/python" -c 'import socket
print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
mkdir "$folder/data"
"$folder/venv/bin/asgi-webdav" --host 127.0.0.1 --port "$port" --root-path "$folder/data" \
    --user example only-an-example >"$folder/log" 2>&1 &
server=$!

found=$("$folder/venv/bin/python" - "$port" <<'PYTHON'
import socket
import sys
import time

import fsspec
import requests
from django.conf import settings
from django.core.files.base import ContentFile

settings.configure()

from django_webdav_storage.storage import WebDavStorage

for _ in range(300):
    try:
        socket.create_connection(("127.0.0.1", int(sys.argv[1]))).close()
        break
    except OSError:
        time.sleep(0.1)
url = f"http://example:only-an-example@127.0.0.1:{sys.argv[1]}"


def ask(method, name, **headers):
    return requests.request(method, url + name, headers=headers, timeout=30)


storage = WebDavStorage(webdav_url=url)
ask("MKCOL", "/album")
storage.save("album/picture.jpg", ContentFile(b"a picture"))
for method in ("GET", "HEAD"):
    headers = ask(method, "/album/picture.jpg").headers
    print(method, headers["Content-Length"], headers["Content-Type"])
with storage.open("album/picture.jpg") as file:
    print(storage.size("album/picture.jpg"), file.read())
print(fsspec.filesystem("http").info(url + "/album/picture.jpg")["size"])
for name, headers in (("/one", {}), ("/two", {"Depth": "infinity"})):
    answer = ask("COPY", "/album", Destination=url + name, **headers)
    copies = ask("GET", name).status_code, ask("GET", name + "/picture.jpg").status_code
    print("COPY", answer.status_code, *copies)
PYTHON
)
echo "$found"
[[ $found == "\
GET 9 image/jpeg
HEAD 0 text/html
0 b'a picture'
0
COPY 204 200 404
COPY 204 200 200" ]]
