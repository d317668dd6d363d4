#!/usr/bin/env bash
# ftp-srv 4.6.3 (npm): an upload that is resumed (REST, then STOR) turns all that had been
# uploaded before into zeros, and is answered 226 (Python's ftplib). pyftpdlib 2.2.0
# keeps it. The size of an empty file is "213 File status", which is no number to ftplib.
#
# Guess before the run: the first four bytes stay, the rest comes after them; an empty
# file has the size 0.
# Seen: the file is made anew at each STOR, and then written from the place that REST
# named; a hole is left before it. The whole has the right length, so whoever checks an
# upload by SIZE takes it for whole.
set -euo pipefail

folder=$(mktemp -d)
servers=()
trap 'for each in "${servers[@]}"; do kill "$each"; done; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile pyftpdlib==2.2.0
npm install --prefix "$folder" --no-audit --no-fund --silent ftp-srv@4.6.3
read -r one two data < <("$folder/venv/bin/python" -c 'import socket
made = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
print(*(each.getsockname()[1] for each in made))')
mkdir "$folder/one" "$folder/two"
cat >"$folder/serve.js" <<'JS'
const { FtpSrv } = require('ftp-srv')
const [port, data, root] = process.argv.slice(2)
const server = new FtpSrv({
  url: `ftp://127.0.0.1:${port}`, pasv_url: '127.0.0.1', pasv_min: Number(data),
})
server.on('login', (login, resolve) => resolve({ root }))
server.listen()
JS
node "$folder/serve.js" "$one" "$data" "$folder/one" >"$folder/log" 2>&1 &
servers+=($!)
"$folder/venv/bin/python" -m pyftpdlib -i 127.0.0.1 -p "$two" -w -d "$folder/two" \
    -u user -P only-an-example >"$folder/log2" 2>&1 &
servers+=($!)

found=$("$folder/venv/bin/python" - "$one" "$two" <<'PYTHON'
import io
import socket
import sys
import time
from ftplib import FTP

for name, port in zip(("ftp-srv", "pyftpdlib"), sys.argv[1:], strict=True):
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", int(port))).close()
            break
        except OSError:
            time.sleep(0.1)
    with FTP(timeout=10) as ftp:
        ftp.connect("127.0.0.1", int(port))
        ftp.login("user", "only-an-example")
        ftp.voidcmd("TYPE I")
        ftp.storbinary("STOR file", io.BytesIO(b"0123"))
        answer = ftp.storbinary("STOR file", io.BytesIO(b"4567"), rest=4)
        parts = []
        ftp.retrbinary("RETR file", parts.append)
        ftp.storbinary("STOR empty", io.BytesIO())
        print(name, answer[:3], b"".join(parts), ftp.sendcmd("SIZE empty"))
PYTHON
)
echo "$found"
[[ $found == "\
ftp-srv 226 b'\\x00\\x00\\x00\\x004567' 213 File status
pyftpdlib 226 b'01234567' 213 0" ]]
