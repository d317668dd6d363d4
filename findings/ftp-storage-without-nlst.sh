#!/usr/bin/env bash
# django-storages 1.14.6: FTPStorage says that a file is not there which it lists,
# measures and opens, and save() then writes over it, if the server has no NLST, as
# aioftp 0.28.3's has none (Django 5.2.9).
#
# Guess before the run: exists raises, for the server's answer is 502 ("not
# implemented").
# Seen: exists asks by NLST and takes every permanent error (5xx) for "no such file", so
# no name is ever taken. The rest goes by LIST, which the server has.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q django==5.2.9 django-storages==1.14.6 aioftp==0.28.3
mkdir "$folder/files"
echo -n first >"$folder/files/file"

found=$("$folder/venv/bin/python" - "$folder/files" 2>"$folder/log" <<'PYTHON'
import asyncio
import pathlib
import queue
import sys
import threading

import aioftp
from django.conf import settings

settings.configure()
from django.core.files.base import ContentFile
from storages.backends.ftp import FTPStorage

root = pathlib.Path(sys.argv[1])
started = queue.Queue()


async def serve():
    rights = aioftp.Permission("/", readable=True, writable=True)
    user = aioftp.User("user", "x", base_path=root, permissions=[rights])
    server = aioftp.Server([user])
    await server.start("127.0.0.1", 0)
    started.put(server.server.sockets[0].getsockname()[1])
    await asyncio.Event().wait()


threading.Thread(target=lambda: asyncio.run(serve()), daemon=True).start()
storage = FTPStorage(location=f"ftp://user:x@127.0.0.1:{started.get(timeout=30)}/")
print("listed:", storage.listdir("")[1], "size:", storage.size("file"))
print("read:", storage.open("file").read(), "exists:", storage.exists("file"))
print("saved as:", storage.save("file", ContentFile(b"second")))
print("on the disk:", {each.name: each.read_text() for each in root.iterdir()})
PYTHON
) || { cat "$folder/log"; exit 1; }
echo "$found"
[[ $found == "\
listed: ['file'] size: 5
read: b'first' exists: False
saved as: file
on the disk: {'file': 'second'}" ]]
