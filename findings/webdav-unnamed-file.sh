#!/usr/bin/env bash
# django-storage-webdav 0.1.2 stores 0 bytes of a File that has no name, and save()
# returns as if all was well (Django 5.2.9, requests 2.34.2, wsgidav 4.4.0).
#
# Guess before the run: four bytes arrive; what a file is called is no matter, its name
# in the storage is given.
# Seen: "named: 4 bytes, unnamed: 0 bytes". The storage hands the file to requests as the
# body. requests takes a false value for no body, and until Django 6.1 a File is false
# that has no name. (ContentFile is always true, so the usual test shows nothing.)
set -euo pipefail

folder=$(mktemp -d)
server=
trap '[[ -z $server ]] || kill "$server"; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q django==5.2.9 django-storage-webdav==0.1.2 \
    requests==2.34.2 wsgidav==4.4.0 cheroot==11.1.2
mkdir "$folder/files"
port=$("$folder/venv/bin/python" -c 'import socket
print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
"$folder/venv/bin/wsgidav" --host=127.0.0.1 --port="$port" --root="$folder/files" \
    --auth=anonymous --no-config --quiet >"$folder/log" 2>&1 &
server=$!

found=$("$folder/venv/bin/python" - "$port" <<'PYTHON'
import io, sys, time, urllib.request

from django.conf import settings

settings.configure()
from django.core.files.base import File
from django_storage_webdav.storage import WebDavStorage

url = f"http://127.0.0.1:{sys.argv[1]}/"
for _ in range(100):
    try:
        urllib.request.urlopen(url, timeout=1).close()
        break
    except OSError:
        time.sleep(0.1)
storage = WebDavStorage(webdav_url=url)
storage.save("named", File(io.BytesIO(b"data"), "x"))
storage.save("unnamed", File(io.BytesIO(b"data")))
print(", ".join(f"{name}: {storage.size(name)} bytes" for name in ("named", "unnamed")))
PYTHON
)
echo "$found"
[[ $found == "named: 4 bytes, unnamed: 0 bytes" ]]
