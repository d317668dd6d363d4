#!/usr/bin/env bash
# s3rver 3.7.1 (npm, an S3 server for tests): asked for the last 3 bytes of an object it
# gives the first 4, and asked for the first byte alone it gives all of them, as 206 both
# (boto3 1.43.117). Readers of ZIP and Parquet begin with a file's end.
#
# Guess before the run: "bytes=-3" is "789", "bytes=0-0" is "0".
# Seen: a range without a start is taken for one that starts at 0, and an end of 0 for none.
# "bytes=1-1" and "bytes=7-" are right.
set -euo pipefail

folder=$(mktemp -d)
server=
trap '[[ -z $server ]] || kill "$server"; wait; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile boto3==1.43.117
npm install --silent --no-audit --prefix "$folder" s3rver@3.7.1
port=$("$folder/venv/bin/python" -c 'import socket
print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
node "$folder/node_modules/s3rver/bin/s3rver.js" --directory "$folder/data" \
    --address 127.0.0.1 --port "$port" --configure-bucket bucket >"$folder/log" 2>&1 &
server=$!

found=$("$folder/venv/bin/python" - "$port" <<'PYTHON'
import socket
import sys
import time

import boto3

for _ in range(300):
    try:
        socket.create_connection(("127.0.0.1", int(sys.argv[1]))).close()
        break
    except OSError:
        time.sleep(0.1)
client = boto3.client(
    "s3",
    endpoint_url=f"http://127.0.0.1:{sys.argv[1]}",
    aws_access_key_id="S3RVER",
    aws_secret_access_key="S3RVER",
    region_name="us-east-1",
)
client.put_object(Bucket="bucket", Key="key", Body=b"0123456789")
for asked in ("bytes=-3", "bytes=0-0", "bytes=1-1", "bytes=7-"):
    answer = client.get_object(Bucket="bucket", Key="key", Range=asked)
    print(asked, answer["ContentRange"], answer["Body"].read())
PYTHON
)
echo "$found"
[[ $found == "\
bytes=-3 bytes 0-3/10 b'0123'
bytes=0-0 bytes 0-9/10 b'0123456789'
bytes=1-1 bytes 1-1/10 b'1'
bytes=7- bytes 7-9/10 b'789'" ]]
