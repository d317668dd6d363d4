#!/usr/bin/env bash
# mobius3 0.0.44 (keeps a folder and an S3 bucket alike, "similar to a Dropbox client"): when
# it starts, it deletes the files that are in the folder only and older than two minutes. So
# what was written while it did not run, or was not sent when it was ended, is lost at the
# next start (over moto 5.2.5's server).
#
# Guess before the run: what is only in the folder is sent to the bucket, or is left alone;
# its page says that the start "will copy the contents of the bucket to the local folder".
# Seen: as above; it cannot know whether a file is new here or was deleted there, and takes
# it for deleted. A file that is written while it runs is sent.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q mobius3==0.0.44 httpx==0.28.1 fifolock==0.0.20 \
    boto3==1.43.117 'moto[server]==5.2.5'
mkdir "$folder/files"

found=$("$folder/venv/bin/python" - "$folder/files" 2>"$folder/log" <<'PYTHON'
import asyncio
import io
import os
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path

import boto3
from mobius3 import Syncer
from moto.server import ThreadedMotoServer

folder = Path(sys.argv[1])
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
with redirect_stdout(io.StringIO()):
    server.start()
host, port = server.get_host_and_port()
url = f"http://{host}:{port}"
os.environ.update(AWS_ACCESS_KEY_ID="somebody", AWS_SECRET_ACCESS_KEY="something")
s3 = boto3.client("s3", endpoint_url=url, region_name="us-east-1")
s3.create_bucket(Bucket="media")
s3.put_object(Bucket="media", Key="remote", Body=b"")


def here():
    return sorted(path.name for path in folder.iterdir() if path.is_file())


def there():
    listed = s3.list_objects_v2(Bucket="media").get("Contents", [])
    return [thing["Key"] for thing in listed]


def write(name, ago):
    (folder / name).write_text("written here")
    os.utime(folder / name, (time.time() - ago,) * 2)


async def until(*expected):
    for _ in range(100):
        if (here(), there()) == expected:
            break
        await asyncio.sleep(0.1)
    print("folder", here(), "bucket", there())


async def main():
    write("before", ago=3600)
    options = folder, "media", url + "/{}/", "us-east-1"
    start, stop = Syncer(*options, download_interval=1)
    await start()
    await until(["remote"], ["remote"])
    write("running", ago=0)
    await until(["remote", "running"], ["remote", "running"])
    await stop()
    write("stopped", ago=3600)
    print("folder", here())
    start, stop = Syncer(*options, download_interval=1)
    await start()
    await until(["remote", "running"], ["remote", "running"])
    await stop()


asyncio.run(main())
server.stop()
PYTHON
)
echo "$found"
[[ $found == "\
folder ['remote'] bucket ['remote']
folder ['remote', 'running'] bucket ['remote', 'running']
folder ['remote', 'running', 'stopped']
folder ['remote', 'running'] bucket ['remote', 'running']" ]]
