#!/usr/bin/env bash
# obstore 0.12.1: a LocalStore over a directory does not list files whose names end in
# "#" and digits, and refuses to read, look at or delete them ("invoice#7"). It takes
# such names for those of its own unfinished uploads.
#
# Guess before the run: put, get and head work, and only the listing leaves them out.
# Seen: the listing leaves them out, without a word; everything else raises
# GenericError. "x#", "x#y" and "v1#2024.txt" are names as any other.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q obstore==0.12.1

found=$("$folder/venv/bin/python" - "$folder/files" <<'PYTHON'
import pathlib
import sys

from obstore.exceptions import GenericError
from obstore.store import LocalStore

folder = pathlib.Path(sys.argv[1])
folder.mkdir()
names = ["invoice#7", "x#", "x#y", "v1#2024.txt"]
for name in names:
    (folder / name).write_bytes(b"data")
store = LocalStore(str(folder))
listed = {each["path"] for page in store.list() for each in page}


def works(method, name):
    try:
        method(name)
    except GenericError:
        return False
    return True


for name in names:
    can = [works(method, name) for method in (store.get, store.head, store.delete)]
    print(name, "listed" if name in listed else "not listed", *can)
PYTHON
)
echo "$found"
[[ $found == "invoice#7 not listed False False False
x# listed True True True
x#y listed True True True
v1#2024.txt listed True True True" ]]
