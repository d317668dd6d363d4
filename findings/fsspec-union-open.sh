#!/usr/bin/env bash
# fsspec-union 0.1.0: of a file that only the second layer has, the union says that it
# exists, and raises FileNotFoundError when it is opened (fsspec 2026.9.0).
#
# Guess before the run: reading goes through the layers, ls merges them, writing goes to
# the first.
# Seen: exists, isfile and info ask every layer; open, cat and ls the first one alone.
# (The class has an "open" that asks them all, but its __getattribute__ hands the name
# on to the first layer before it is found.)
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q fsspec-union==0.1.0 fsspec==2026.9.0
mkdir "$folder/upper" "$folder/lower"
echo -n up >"$folder/upper/first.txt"
echo -n low >"$folder/lower/second.txt"

found=$("$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys

from fsspec.core import url_to_fs

folder = sys.argv[1]
layers = f"union::dir::file://{folder}/upper::dir::file://{folder}/lower"
union, _ = url_to_fs(layers)


def answer(method, *args):
    try:
        return method(*args)
    except FileNotFoundError:
        return "FileNotFoundError"


def read(name):
    with union.open(name) as file:
        return file.read()


for name in ("first.txt", "second.txt"):
    print(name, union.exists(name), union.info(name)["size"], answer(read, name))
print("cat", answer(union.cat, "second.txt"))
print("ls", union.ls("", detail=False))
PYTHON
)
echo "$found"
[[ $found == "\
first.txt True 2 b'up'
second.txt True 3 FileNotFoundError
cat FileNotFoundError
ls ['first.txt']" ]]
