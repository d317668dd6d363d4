#!/usr/bin/env bash
# zarr 3.1.6, CacheStore: an array that is created anew over an old one (overwrite=True) holds
# the old one's numbers; the first number that is written to it stores the old ones around it
# in the store behind the cache. An array that was deleted is still there, and readable.
#
# Guess before the run: what goes through the cache is known to it: only changes made behind
# its back are seen late. The new array is full of zeros, the deleted one raises KeyError.
# Seen: as above. Both remove whole folders (delete_dir), which the store behind does, and of
# which the cache takes no notice; single keys it forgets.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q zarr==3.1.6

found=$("$folder/venv/bin/python" - <<'PYTHON'
import zarr
from zarr.experimental.cache_store import CacheStore
from zarr.storage import MemoryStore

numbers = {"name": "numbers", "shape": (4,), "chunks": (4,), "dtype": "i1"}
for label, cache in (("without", None), ("with", MemoryStore())):
    source = MemoryStore()
    store = CacheStore(source, cache_store=cache) if cache else source
    zarr.create_array(store, **numbers)[:] = 5
    anew = zarr.create_array(store, **numbers, overwrite=True)
    print(label, "a cache, anew:", anew[:])
    anew[0] = 1
    print(" stored:", zarr.open_array(source, path="numbers", mode="r")[:])
    group = zarr.open_group(store)
    del group["numbers"]
    try:
        print(" deleted:", group["numbers"][:])
    except KeyError as error:
        print(" deleted:", type(error).__name__)
PYTHON
)
echo "$found"
[[ $found == "\
without a cache, anew: [0 0 0 0]
 stored: [1 0 0 0]
 deleted: KeyError
with a cache, anew: [5 5 5 5]
 stored: [1 5 5 5]
 deleted: [1 5 5 5]" ]]
