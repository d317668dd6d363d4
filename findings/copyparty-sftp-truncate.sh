#!/usr/bin/env bash
# copyparty 1.20.26, its SFTP server: a file that is cut to its first 4 bytes (truncate)
# holds four zero bytes. So it is with every server that leaves a file's attributes to
# paramiko's own helper, SFTPServer.set_file_attr (paramiko 5.0.0).
#
# Guess before the run: the first four bytes are left.
# Seen: the helper opens the file anew ("w+"), which empties it, and then gives it the
# length that was asked for. The answer is that all is well.
set -euo pipefail

folder=$(mktemp -d)
server=
trap '[[ -z $server ]] || kill "$server"; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile copyparty==1.20.26 paramiko==5.0.0
read -r port web < <("$folder/venv/bin/python" -c 'import socket
made = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(each.getsockname()[1] for each in made))')
mkdir "$folder/data"
cd "$folder"
export XDG_CONFIG_HOME="$folder" HOME="$folder"
venv/bin/python -m copyparty -q --no-crt -i 127.0.0.1 -p "$web" --sftp "$port" --sftp-pw \
    -a user:only-an-example -v data::A,user >log 2>&1 &
server=$!

found=$(venv/bin/python - "$port" "$folder" 2>log2 <<'PYTHON'
import io
import socket
import sys
import time

import paramiko

port = int(sys.argv[1])
for _ in range(300):
    try:
        socket.create_connection(("127.0.0.1", port)).close()
        break
    except OSError:
        time.sleep(0.1)
client = paramiko.SSHClient()
client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
client.connect(
    "127.0.0.1", port, "user", "only-an-example", allow_agent=False, look_for_keys=False
)
sftp = client.open_sftp()
sftp.putfo(io.BytesIO(b"0123456789"), "file")
sftp.truncate("file", 4)
with sftp.open("file") as file:
    print("over SFTP:", file.read())
path = f"{sys.argv[2]}/own"
with open(path, "wb") as file:
    file.write(b"0123456789")
attributes = paramiko.SFTPAttributes()
attributes.st_size = 4
attributes._flags = attributes.FLAG_SIZE
paramiko.SFTPServer.set_file_attr(path, attributes)
with open(path, "rb") as file:
    print("the helper:", file.read())
client.close()
PYTHON
) || { cat log2; exit 1; }
echo "$found"
[[ $found == "\
over SFTP: b'\\x00\\x00\\x00\\x00'
the helper: b'\\x00\\x00\\x00\\x00'" ]]
