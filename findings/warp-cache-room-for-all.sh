#!/usr/bin/env bash
# warp-cache 0.7.0 ("SIEVE eviction"): a cache of 1,001 places does not hold 1,001 values.
# Where all names would fit in, a tenth of them and more is computed again in every round,
# while of 5,005 more are kept than there are places. backend="shared" does as it says.
#
# Guess before the run: 1,001 names asked for three times are computed once each, as with
# functools.lru_cache, and no more than 1,001 values are ever kept.
# Seen: the places are split into shards by the name's hash, and a shard that is full throws
# out while others have room. As SIEVE gives new entries no credit, a shard that is one
# place short and asked in turn throws out all of its values, time after time.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q warp-cache==0.7.0

found=$(PYTHONHASHSEED=0 "$folder/venv/bin/python" - <<'PYTHON'
import functools

import warp_cache

PLACES = 1001


def computed(cached, names, rounds):
    count = 0

    @cached
    def resolve(name):
        nonlocal count
        count += 1
        return name

    for _ in range(rounds):
        for number in range(names):
            resolve(f"media/{number}.jpg")
    return count, resolve


kinds = {
    "lru_cache": functools.lru_cache(PLACES),
    "memory": warp_cache.cache(max_size=PLACES),
    "shared": warp_cache.cache(max_size=PLACES, backend="shared"),
}
for label, cached in kinds.items():
    count, _ = computed(cached, PLACES, rounds=3)
    again = (count - PLACES) / 2 / PLACES
    print(label, "again and again" if again > 0.1 else f"again: {again}")
for label in ("memory", "shared"):
    _, resolve = computed(kinds[label], 5 * PLACES, rounds=1)
    kept = resolve.cache_info().current_size
    print(label, "too many" if kept > PLACES else "as many as asked for")
PYTHON
)
echo "$found"
[[ $found == "\
lru_cache again: 0.0
memory again and again
shared again: 0.0
memory too many
shared as many as asked for" ]]
