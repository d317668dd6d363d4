#!/usr/bin/env bash
# nanio 0.1.7 (an S3 server): a listing by pages leaves keys out that the same listing
# in one page has, and If-None-Match and If-Match of a PUT go unheeded (boto3 1.43.117).
#
# Guess before the run: keys come in the order of their bytes ("a-b" before "a/b"), page
# by page; a PUT that must not replace is answered 412.
# Seen: one page is sorted, but pages are cut from a walk through folders, "a/b" first:
# what sorts before the last key of a page, and was not on it, never comes. The PUT
# replaces.
set -euo pipefail

folder=$(mktemp -d)
server=
trap '[[ -z $server ]] || kill "$server"; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile nanio==0.1.7 boto3==1.43.117
port=$("$folder/venv/bin/python" -c 'import socket
print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
mkdir "$folder/data"
NANIO_ACCESS_KEY=example NANIO_SECRET_KEY=only-an-example "$folder/venv/bin/nanio" serve \
    --data-dir "$folder/data" --host 127.0.0.1 --port "$port" >"$folder/log" 2>&1 &
server=$!

found=$("$folder/venv/bin/python" - "$port" <<'PYTHON'
import socket
import sys
import time

import boto3
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
)
client.create_bucket(Bucket="bucket")
for key in ("a-b", "a.b", "a/b", "c"):
    client.put_object(Bucket="bucket", Key=key, Body=b"old")
paginator = client.get_paginator("list_objects_v2")
for size in (1000, 1):
    pages = paginator.paginate(Bucket="bucket", PaginationConfig={"PageSize": size})
    print(size, *(each["Key"] for page in pages for each in page.get("Contents", [])))
for condition in ({"IfNoneMatch": "*"}, {"IfMatch": '"of-another-content"'}):
    try:
        client.put_object(Bucket="bucket", Key="c", Body=b"new", **condition)
        print(*condition, "replaced")
    except ClientError as error:
        print(*condition, error.response["Error"]["Code"])
PYTHON
)
echo "$found"
[[ $found == "\
1000 a-b a.b a/b c
1 a/b c
IfNoneMatch replaced
IfMatch replaced" ]]
