#!/usr/bin/env bash
# local-s3-server 0.2.2: the second upload of a key is answered 500 and has changed the
# object all the same: its bytes are the new ones, its size and ETag those of the first, so
# that it cannot be read any more if the new content is longer or shorter (boto3 1.43.117).
#
# Guess before the run: the object is replaced.
# Seen: the file is written first, then its metadata, which are "already there". A client
# that takes 500 for "nothing was stored" and goes on reading is cut off amid an answer;
# with the same length it reads new bytes under the old ETag.
set -euo pipefail

folder=$(mktemp -d)
server=
trap '[[ -z $server ]] || kill "$server"; wait; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile local-s3-server==0.2.2 boto3==1.43.117
port=$("$folder/venv/bin/python" -c 'import socket
print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
(cd "$folder" && exec venv/bin/local-s3-server --hostname 127.0.0.1 --port "$port" \
    --root-dir data >log 2>&1) &
server=$!

found=$("$folder/venv/bin/python" - "$port" <<'PYTHON'
import socket
import sys
import time

import boto3
from botocore.config import Config

for _ in range(300):
    try:
        socket.create_connection(("127.0.0.1", int(sys.argv[1]))).close()
        break
    except OSError:
        time.sleep(0.1)
client = boto3.client(
    "s3",
    endpoint_url=f"http://127.0.0.1:{sys.argv[1]}",
    aws_access_key_id="example",
    aws_secret_access_key="only-an-example",
    region_name="us-east-1",
    config=Config(retries={"max_attempts": 2}),
)
client.create_bucket(Bucket="files")


def upload(key, content):
    try:
        client.put_object(Bucket="files", Key=key, Body=content)
        return "stored"
    except client.exceptions.ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"]


def read(key):
    try:
        return client.get_object(Bucket="files", Key=key)["Body"].read()
    except Exception:
        return "cannot be read"


def tag(key):
    return client.head_object(Bucket="files", Key=key)["ETag"]


for key, content in (("equal", b"abcdefghij"), ("shorter", b"new")):
    print(key, upload(key, b"0123456789"), read(key))
    before = tag(key)
    print(key, upload(key, content), read(key), tag(key) == before)
PYTHON
)
echo "$found"
[[ $found == "\
equal stored b'0123456789'
equal 500 b'abcdefghij' True
shorter stored b'0123456789'
shorter 500 cannot be read True" ]]
