#!/usr/bin/env bash
# sieve.cache 0.1.0 (SIEVE over dogpile.cache 1.5.0): a value that is asked for now and then
# never expires; and over dogpile's file, which other stores that hold bytes are like, the
# first hit raises TypeError.
#
# Guess before the run: a value is computed again when its time is over, hits or not; what
# is in a file is found there, by the next process, too.
# Seen: each hit marks the value as visited and stores it anew, with a new time. It is stored
# as a node of a list, which cannot be read back from bytes. (What it keeps and what it throws
# out is SIEVE's choice indeed.)
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q sieve.cache==0.1.0 dogpile.cache==1.5.0

found=$("$folder/venv/bin/python" - "$folder/values" <<'PYTHON'
import sys
import time

from dogpile.cache import make_region
from sieve_cache import sieve

LIFE = 1
arguments = {"memory": {}, "dbm": {"filename": sys.argv[1]}}
for store, settings in arguments.items():
    region = make_region().configure(
        f"dogpile.cache.{store}", expiration_time=LIFE, arguments=settings
    )
    computed = 0

    @sieve.Sieve(region).cache(max_size=10)
    def resolve(name):
        global computed
        computed += 1
        return f"/media/{name}"

    end = time.monotonic() + 3 * LIFE
    try:
        while time.monotonic() < end:
            resolve("photo")
            time.sleep(LIFE / 10)
        print(store, "computed in three lives:", computed)
    except Exception as error:
        print(store, type(error).__name__, "computed:", computed)
PYTHON
)
echo "$found"
[[ $found == "\
memory computed in three lives: 1
dbm TypeError computed: 1" ]]
