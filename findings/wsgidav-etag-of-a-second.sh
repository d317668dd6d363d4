#!/usr/bin/env bash
# wsgidav 4.4.0: two contents of equal length that are stored within one second have one
# ETag. A client that asks again is told 304, and a PUT that names the old ETag in
# If-Match writes over what it has never seen (with cheroot 11.1.2).
#
# Guess before the run: the ETag has the file's modification time in it as the disk
# gives it, with fractions of a second, so every PUT makes another one.
# Seen: inode, whole seconds and size ("2433341-1795816365-4"). A file that is written
# in place keeps all three.
set -euo pipefail

folder=$(mktemp -d)
server=
trap '[[ -z $server ]] || kill "$server"; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q wsgidav==4.4.0 cheroot==11.1.2
mkdir "$folder/files"
port=$("$folder/venv/bin/python" -c 'import socket
print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
"$folder/venv/bin/wsgidav" --host=127.0.0.1 --port="$port" --root="$folder/files" \
    --auth=anonymous --no-config --quiet >"$folder/log" 2>&1 &
server=$!

found=$("$folder/venv/bin/python" - "$port" <<'PYTHON'
import sys
import time
from http.client import HTTPConnection


def ask(method, body=None, **headers):
    connection = HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=5)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, "/file", body, named)
    response = connection.getresponse()
    data = response.read()
    connection.close()
    return response.status, response.headers, data


for _ in range(100):
    try:
        ask("HEAD")
        break
    except OSError:
        time.sleep(0.1)
for _ in range(20):  # Until both are stored in one second.
    ask("PUT", b"one!")
    old = ask("HEAD")[1]
    ask("PUT", b"two!")
    new = ask("HEAD")[1]
    if old["Last-Modified"] == new["Last-Modified"]:
        break
print("content:", ask("GET")[2], "same ETag:", old["ETag"] == new["ETag"])
print("If-None-Match:", ask("GET", If_None_Match=old["ETag"])[0])
print("If-Match:", ask("PUT", b"six!", If_Match=old["ETag"])[0], ask("GET")[2])
PYTHON
)
echo "$found"
[[ $found == "\
content: b'two!' same ETag: True
If-None-Match: 304
If-Match: 204 b'six!'" ]]
