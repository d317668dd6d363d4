#!/usr/bin/env bash
# multi-storage-client 1.3.1: where a profile has a replica, read() and download_file() go on
# giving the first content after a second write(), to a new client as well, while open() gives
# the second, info() its size, and copy() copies it. An object that is gone is read as well,
# though is_file() says no.
#
# Guess before the run: a write changes the replica too, or makes its copy void; all ways to
# read give the same bytes.
# Seen: a read fills the replica, and from then on read and download_file ask it first.
# Nothing compares it with the primary; write leaves it as it is (delete does not).
# sync_replicas() sets it right, until the next write.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile multi-storage-client==1.3.1

found=$("$folder/venv/bin/python" - "$folder" <<'PYTHON' 2>"$folder/log"
import sys
import time
from pathlib import Path

from multistorageclient import StorageClient, StorageClientConfig

folder = Path(sys.argv[1])


def place(name):
    return {"type": "file", "options": {"base_path": str(folder / name)}}


profiles = {
    "primary": {
        "storage_provider": place("primary"),
        "replicas": [{"replica_profile": "replica", "read_priority": 1}],
    },
    "replica": {"storage_provider": place("replica")},
}


def client():
    settings = StorageClientConfig.from_dict({"profiles": profiles}, profile="primary")
    return StorageClient(settings)


def download(name):
    storage.download_file(name, str(folder / "download"))
    return (folder / "download").read_bytes()


def opened(name):
    with storage.open(name, "rb") as file:
        return file.read()


storage = client()
storage.write("file", b"one")
print("after one write:", storage.read("file"))
for _ in range(300):
    if (folder / "replica" / "file").exists():
        break
    time.sleep(0.1)
storage.write("file", b"second")
print("after two:", storage.read("file"), download("file"), client().read("file"))
print(opened("file"), storage.info("file").content_length)
storage.copy("file", "copy")
print("copy:", opened("copy"))
storage.sync_replicas("")
print("after sync:", storage.read("file"))
(folder / "primary" / "file").unlink()
print("gone:", storage.is_file("file"), storage.read("file"))
PYTHON
)
echo "$found"
[[ $found == "\
after one write: b'one'
after two: b'one' b'one' b'one'
b'second' 6
copy: b'second'
after sync: b'second'
gone: False b'second'" ]]
