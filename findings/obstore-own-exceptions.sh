#!/usr/bin/env bash
# obstore 0.12.1 exports NotFoundError and raises Python's FileNotFoundError instead: no
# "except NotFoundError" ever catches a missing object. Of an object that is there already
# it is the other way round: its own AlreadyExistsError, which is no FileExistsError.
#
# Guess before the run: both are raised as the library's own classes, and both are the
# OSErrors of Python as well.
# Seen: as above, for the store in memory and for that over a directory. (To delete what
# is missing is an error over a directory, and none in memory.)
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q obstore==0.12.1

found=$("$folder/venv/bin/python" - "$folder/files" <<'PYTHON'
import pathlib
import sys

from obstore import exceptions
from obstore.store import LocalStore, MemoryStore

pathlib.Path(sys.argv[1]).mkdir()


def raised(function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except Exception as error:
        own = isinstance(error, exceptions.BaseError)
        kind = "OSError" if isinstance(error, OSError) else "no OSError"
        return f"{type(error).__name__} ({'own' if own else 'built in'}, {kind})"
    return "nothing"


for store in (MemoryStore(), LocalStore(sys.argv[1])):
    store.put("there", b"data")
    print(
        type(store).__name__,
        raised(store.get, "missing"),
        raised(store.put, "there", b"more", mode="create"),
        raised(store.delete, "missing"),
        sep=", ",
    )
print(issubclass(exceptions.NotFoundError, FileNotFoundError))
PYTHON
)
echo "$found"
[[ $found == "\
MemoryStore, FileNotFoundError (built in, OSError), \
AlreadyExistsError (own, no OSError), nothing
LocalStore, FileNotFoundError (built in, OSError), \
AlreadyExistsError (own, no OSError), FileNotFoundError (built in, OSError)
False" ]]
