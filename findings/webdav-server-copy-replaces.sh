#!/usr/bin/env bash
# webdav-server 2.6.3 (npm): a COPY that must not replace ("Overwrite: F") replaces the
# file that is there; a MOVE with the same header is refused. webdav4 0.11.0, asked for
# copy(..., overwrite=False), returns as if there had been none.
#
# Guess before the run: both are refused (412), and webdav4 raises
# ResourceAlreadyExists, as over rclone and wsgidav.
# Seen: COPY 201, and the old content is gone.
set -euo pipefail

folder=$(mktemp -d)
server=
trap '[[ -z $server ]] || kill "$server"; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile webdav4==0.11.0 httpx==0.28.1
npm install --prefix "$folder" --no-audit --no-fund --silent webdav-server@2.6.3
mkdir "$folder/data"
port=$("$folder/venv/bin/python" -c 'import socket
print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
cat >"$folder/serve.js" <<'JS'
const { v2 } = require('webdav-server')
const [port, path] = process.argv.slice(2)
const server = new v2.WebDAVServer({ port: Number(port), hostname: '127.0.0.1' })
server.setFileSystem('/', new v2.PhysicalFileSystem(path), () => server.start())
JS
node "$folder/serve.js" "$port" "$folder/data" >"$folder/log" 2>&1 &
server=$!

found=$("$folder/venv/bin/python" - "$port" <<'PYTHON'
import io
import socket
import sys
import time

from webdav4.client import Client

for _ in range(300):
    try:
        socket.create_connection(("127.0.0.1", int(sys.argv[1]))).close()
        break
    except OSError:
        time.sleep(0.1)
client = Client(f"http://127.0.0.1:{sys.argv[1]}")
for name in ("old", "new"):
    client.upload_fileobj(io.BytesIO(name.encode()), name)
for work in (client.move, client.copy):
    try:
        work("new", "old", overwrite=False)
        answer = "no error,"
    except Exception as error:
        answer = type(error).__name__
    content = io.BytesIO()
    client.download_fileobj("old", content)
    print(work.__name__, answer, content.getvalue())
PYTHON
)
echo "$found"
[[ $found == "\
move ResourceAlreadyExists b'old'
copy no error, b'new'" ]]
