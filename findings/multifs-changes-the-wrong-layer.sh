#!/usr/bin/env bash
# PyFilesystem 2.4.16: a MultiFS deletes files in a filesystem that was not added for
# writing, and what is appended to a file of that filesystem replaces it (setuptools
# 80.9.0, which it still needs).
#
# Guess before the run: only the filesystem added with write=True is ever changed; to
# remove what another holds raises ResourceReadOnly.
# Seen: remove takes the file out of whichever filesystem holds it. append opens a new
# file in the writing one, with the appended text alone: read back, the old content is
# gone, until the new file is removed and the old one shows again.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q fs==2.4.16 setuptools==80.9.0

found=$("$folder/venv/bin/python" -W ignore - <<'PYTHON'
from fs.memoryfs import MemoryFS
from fs.multifs import MultiFS

old, new = MemoryFS(), MemoryFS()
for name in ("deleted", "appended"):
    old.writetext(name, "first line,")
both = MultiFS()
both.add_fs("old", old)
both.add_fs("new", new, write=True, priority=1)
both.remove("deleted")
print("deleted from the old one:", not old.exists("deleted"))
both.appendtext("appended", "second line")
print("appended:", both.readtext("appended"))
both.remove("appended")
print("removed:", both.readtext("appended"))
PYTHON
)
echo "$found"
[[ $found == "\
deleted from the old one: True
appended: second line
removed: first line," ]]
