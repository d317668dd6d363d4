#!/usr/bin/env bash
# fsspec 2026.9.0, "simplecache" and "filecache": what is changed through the cache itself is
# read as it was. A file that was removed is opened and gives its old bytes, while exists
# says that there is none; after mv, cp, put_file and write_text the old bytes come with the
# new size.
#
# Guess before the run: only what others change is seen late; the cache's own writes replace
# or drop its copy.
# Seen: open(..., "wb") and pipe do replace it. The rest is handed on to the filesystem
# behind, write_text too, though it is an open(..., "w") to whoever calls it.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q fsspec==2026.9.0

found=$("$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
from pathlib import Path

import fsspec

folder = Path(sys.argv[1])
(folder / "new").write_bytes(b"new bytes")


def write(fs, path):
    with fs.open(path, "wb") as file:
        file.write(b"new bytes")


changes = {
    "open": write,
    "pipe": lambda fs, path: fs.pipe(path, b"new bytes"),
    "write_text": lambda fs, path: fs.write_text(path, "new bytes"),
    "put_file": lambda fs, path: fs.put_file(str(folder / "new"), path),
    "cp": lambda fs, path: fs.cp("/other", path),
    "mv": lambda fs, path: fs.mv("/other", path),
    "rm": lambda fs, path: fs.rm(path),
}
for kind in ("simplecache", "filecache"):
    for label, change in changes.items():
        behind = fsspec.filesystem("memory")
        behind.pipe({"/file": b"old", "/other": b"new bytes"})
        storage = str(folder / kind / label)
        fs = fsspec.filesystem(kind, fs=behind, cache_storage=storage)
        with fs.open("/file") as file:
            assert file.read() == b"old"
        change(fs, "/file")
        with fs.open("/file") as file:
            seen = file.read().decode()
        size = fs.size("/file") if fs.exists("/file") else "none"
        print(f"{kind} {label}: {size}, {seen}")
PYTHON
)
echo "$found"
[[ $found == "\
simplecache open: 9, new bytes
simplecache pipe: 9, new bytes
simplecache write_text: 9, old
simplecache put_file: 9, old
simplecache cp: 9, old
simplecache mv: 9, old
simplecache rm: none, old
filecache open: 9, new bytes
filecache pipe: 9, new bytes
filecache write_text: 9, old
filecache put_file: 9, old
filecache cp: 9, old
filecache mv: 9, old
filecache rm: none, old" ]]
