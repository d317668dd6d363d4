#!/usr/bin/env bash
# gcp-storage-emulator 2026.7.19 takes no notice of generation preconditions: an upload
# "only if there is none" replaces what is there, a delete of another generation deletes
# (google-cloud-storage 3.17.1). A test of a locked or a create-only write passes or
# fails for the wrong reason.
#
# Guess before the run: PreconditionFailed (412), as the service answers; the emulator
# does keep generations, and gives each upload a new one.
# Seen: the new bytes are stored, and the object is gone. A listing that asks for two
# names (max_results) gets them all.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile gcp-storage-emulator==2026.7.19 \
    google-cloud-storage==3.17.1
port=$("$folder/venv/bin/python" -c 'import socket
print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')

found=$("$folder/venv/bin/python" - "$port" 2>"$folder/log" <<'PYTHON'
import sys

from gcp_storage_emulator.server import create_server
from google.api_core.exceptions import PreconditionFailed
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client

port = int(sys.argv[1])
server = create_server("127.0.0.1", port, in_memory=True, default_bucket="bucket")
server.start()
client = Client(
    project="test",
    credentials=AnonymousCredentials(),
    client_options={"api_endpoint": f"http://127.0.0.1:{port}"},
)
bucket = client.bucket("bucket")


def refused(method, *args, **kwargs):
    try:
        method(*args, **kwargs)
    except PreconditionFailed:
        return True
    return False


bucket.blob("name").upload_from_string(b"old")
first = bucket.get_blob("name").generation
create = refused(bucket.blob("name").upload_from_string, b"new", if_generation_match=0)
print("create refused:", create, bucket.blob("name").download_as_bytes())
print("generation changed:", bucket.get_blob("name").generation != first)
delete = refused(bucket.blob("name").delete, if_generation_match=first)
print("delete refused:", delete, "there:", bucket.blob("name").exists())
for name in ("a", "b", "c"):
    bucket.blob(name).upload_from_string(b"data")
listed = client.list_blobs("bucket", max_results=2)
print("two of a listing:", *(blob.name for blob in listed))
server.stop()
PYTHON
) || { cat "$folder/log"; exit 1; }
echo "$found"
[[ $found == "\
create refused: False b'new'
generation changed: True
delete refused: False there: False
two of a listing: a b c" ]]
