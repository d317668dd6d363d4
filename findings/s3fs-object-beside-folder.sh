#!/usr/bin/env bash
# s3fs 2026.9.0: where a bucket holds "a" and "a/b", moving "a" deletes it: no copy is
# made, nothing is raised (fsspec 2026.9.0, aiobotocore 3.10.0, over moto 5.2.5's
# server).
#
# Guess before the run: "a" is a file to all methods, get fetches it, mv moves it, and a
# listing of the bucket changes no answer.
# Seen: info says "file", and isdir says True. get fetches nothing. mv leaves out what
# isdir takes for a folder when it copies, and not when it deletes. After a listing of
# the bucket "a" is a folder of 0 bytes, and to open and read it gives no bytes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile s3fs==2026.9.0 \
    fsspec==2026.9.0 aiobotocore==3.10.0 "moto[s3]==5.2.5" boto3==1.43.117 \
    botocore==1.43.117 flask==3.1.3 flask-cors==6.0.5

found=$("$folder/venv/bin/python" - "$folder/got" 2>"$folder/log" <<'PYTHON'
import os
import sys

os.environ.update(
    AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x", AWS_DEFAULT_REGION="us-east-1"
)

import boto3
from moto.server import ThreadedMotoServer
from s3fs import S3FileSystem

server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
url = "http://{}:{}".format(*server.get_host_and_port())
client = boto3.client("s3", endpoint_url=url)
client.create_bucket(Bucket="bucket")
for key in ("a", "a/b"):
    client.put_object(Bucket="bucket", Key=key, Body=b"bytes")


def new():
    return S3FileSystem(endpoint_url=url, skip_instance_cache=True)


def look(files):
    info = files.info("bucket/a")
    with files.open("bucket/a") as file:
        return info["type"], info["size"], files.isdir("bucket/a"), file.read()


files = new()
print("before a listing:", *look(files))
files.get("bucket/a", sys.argv[1])
print("fetched:", os.path.exists(sys.argv[1]))
files.ls("bucket")
print("after a listing:", *look(files))
new().mv("bucket/a", "bucket/moved")
listing = client.list_objects_v2(Bucket="bucket")
print("after mv:", *(each["Key"] for each in listing["Contents"]))
server.stop()
PYTHON
) || { cat "$folder/log"; exit 1; }
echo "$found"
[[ $found == "\
before a listing: file 5 True b'bytes'
fetched: False
after a listing: directory 0 True b''
after mv: a/b" ]]
