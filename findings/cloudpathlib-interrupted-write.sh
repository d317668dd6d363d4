#!/usr/bin/env bash
# cloudpathlib 0.26.0: an exception inside "with path.open('wb')" uploads what was
# written so far, over the whole object that was there (boto3 1.43.117, moto 5.2.5).
#
# Guess before the run: the upload is given up and the old object stays, as with
# smart-open 9.0.2, obstore and google-cloud-storage.
# Seen: of 40 bytes the 10 that were written before the exception are left; smart-open
# leaves the 40. A copy that breaks in the middle thus looks whole to whoever reads it.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile cloudpathlib==0.26.0 \
    "smart-open[s3]==9.0.2" "moto[s3]==5.2.5" boto3==1.43.117

found=$("$folder/venv/bin/python" - <<'PYTHON'
import os

os.environ.update(
    AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x", AWS_DEFAULT_REGION="us-east-1"
)

import boto3
import smart_open
from cloudpathlib import S3Client
from moto import mock_aws

with mock_aws():
    client = boto3.client("s3")
    client.create_bucket(Bucket="bucket")
    for name, opened in (
        ("cloudpathlib", lambda url: S3Client().CloudPath(url).open("wb")),
        ("smart-open", lambda url: smart_open.open(url, "wb")),
    ):
        client.put_object(Bucket="bucket", Key=name, Body=b"o" * 40)
        try:
            with opened(f"s3://bucket/{name}") as file:
                file.write(b"n" * 10)
                raise ValueError("the source broke")
        except ValueError as error:
            size = client.head_object(Bucket="bucket", Key=name)["ContentLength"]
            print(f"{name}: {error}, {size} bytes")
PYTHON
)
echo "$found"
[[ $found == "\
cloudpathlib: the source broke, 10 bytes
smart-open: the source broke, 40 bytes" ]]
