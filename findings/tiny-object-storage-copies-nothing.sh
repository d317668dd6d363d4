#!/usr/bin/env bash
# tiny-object-storage 0.1.1 (an S3 server): a copy is answered 200 and stores an object of
# no bytes, over what was there. An object that is copied onto itself, to change its type,
# is empty afterwards, and one that is moved (copied, then deleted) is gone (boto3 1.43.117).
#
# Guess before the run: the copy has the content, or the server refuses what it cannot do.
# Seen: "x-amz-copy-source" goes unread, so the request is a PUT without a body; a copy of
# what is not there succeeds as well. (Making a bucket is answered 500, and has worked.)
set -euo pipefail

folder=$(mktemp -d)
server=
trap '[[ -z $server ]] || kill "$server"; wait; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile tiny-object-storage==0.1.1 boto3==1.43.117
port=$("$folder/venv/bin/python" -c 'import socket
print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
(cd "$folder" && exec venv/bin/tos-server --no-reload --host 127.0.0.1 --port "$port" \
    --data-dir data --log-dir logs >log 2>&1) &
server=$!

found=$("$folder/venv/bin/python" - "$port" <<'PYTHON'
import contextlib
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
with contextlib.suppress(client.exceptions.ClientError):
    client.create_bucket(Bucket="files")


def copied(source, target, **settings):
    source = {"Bucket": "files", "Key": source}
    answer = client.copy_object(
        Bucket="files", Key=target, CopySource=source, **settings
    )
    content = client.get_object(Bucket="files", Key=target)["Body"].read()
    return answer["ResponseMetadata"]["HTTPStatusCode"], content


client.put_object(Bucket="files", Key="photo", Body=b"a photo")
client.put_object(Bucket="files", Key="older", Body=b"another")
print("to a new key:", *copied("photo", "copy"))
print("over another:", *copied("photo", "older"))
kind = {"MetadataDirective": "REPLACE", "ContentType": "image/png"}
print("onto itself:", *copied("photo", "photo", **kind))
print("of nothing:", *copied("missing", "copy"))
PYTHON
)
echo "$found"
[[ $found == "\
to a new key: 200 b''
over another: 200 b''
onto itself: 200 b''
of nothing: 200 b''" ]]
