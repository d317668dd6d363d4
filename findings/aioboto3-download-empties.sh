#!/usr/bin/env bash
# aioboto3 15.5.0: download_file of an object that is not there empties the local file of that
# name, and so does one that breaks off. boto3 1.40.61, whose method it stands in for, leaves
# the old file as it was both times (aiobotocore 2.25.1).
#
# Guess before the run: the call raises, and the old copy stays.
# Seen: aioboto3 opens the file for writing before it has asked for the object. boto3 asks
# first, downloads to a name of its own beside the file, and renames. A mirror that refreshes
# its copies thus loses those whose source is gone, or cannot be reached: they are there
# still, and empty.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile aioboto3==15.5.0 aiobotocore==2.25.1 \
    boto3==1.40.61 botocore==1.40.61

found=$("$folder/venv/bin/python" - "$folder/copy" <<'PYTHON'
import asyncio
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import aioboto3
import boto3
from botocore.config import Config


class Server(BaseHTTPRequestHandler):
    """Stands for S3: "gone" is not there, of "broken" half is sent."""

    def log_message(self, *arguments):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        missing = "gone" in self.path
        self.send_response(404 if missing else 200)
        self.send_header("Content-Length", "0" if missing else "8")
        self.send_header("ETag", '"tag"')
        self.end_headers()
        if not missing and self.command == "GET":
            self.wfile.write(b"half")
            self.close_connection = True


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
settings = {
    "endpoint_url": f"http://127.0.0.1:{server.server_port}",
    "aws_access_key_id": "example",
    "aws_secret_access_key": "only-an-example",
    "region_name": "us-east-1",
    "config": Config(retries={"max_attempts": 0}, s3={"addressing_style": "path"}),
}
copy = Path(sys.argv[1])


def with_boto3(key):
    boto3.client("s3", **settings).download_file("bucket", key, str(copy))


def with_aioboto3(key):
    async def download():
        async with aioboto3.Session().client("s3", **settings) as client:
            await client.download_file("bucket", key, str(copy))

    asyncio.run(download())


for work in (with_boto3, with_aioboto3):
    for key in ("gone", "broken"):
        copy.write_bytes(b"the old copy")
        try:
            work(key)
            error = "no error"
        except Exception as raised:
            error = type(raised).__name__
        print(work.__name__, key, error, copy.read_bytes())
server.shutdown()
PYTHON
)
echo "$found"
[[ $found == "\
with_boto3 gone ClientError b'the old copy'
with_boto3 broken RetriesExceededError b'the old copy'
with_aioboto3 gone ClientError b''
with_aioboto3 broken ClientPayloadError b''" ]]
