#!/usr/bin/env bash
# django-object-storage 0.2.0, MinIOStorage: a file that is uploaded under the name of another
# replaces it, so that two rows of the database show the second one's picture; deleting one
# takes the file of both. With minio 7.2.19, which pip takes, exists() and open() raise
# TypeError (Django 5.2.9, over moto 5.2.5's server).
#
# Guess before the run: the second file gets a name of its own ("photo_x7Gh2aQ.jpg"), as with
# every storage of Django unless it is told to overwrite.
# Seen: the class defines save and open themselves, not _save and _open, and so does without
# what Django's save does: choosing a free name. It calls minio by positions, which release
# 7.2.15 takes and 7.2.19 does not.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q django==5.2.9 django-object-storage==0.2.0 \
    minio==7.2.15 'moto[server]==5.2.5'
cat >"$folder/names.py" <<'PYTHON'
import io
from contextlib import redirect_stdout

import minio
from django.conf import settings
from moto.server import ThreadedMotoServer

settings.configure()
from django.core.files.base import ContentFile
from django.core.files.storage import InMemoryStorage
from django_object_storage.minio import MinIOStorage

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
with redirect_stdout(io.StringIO()):
    server.start()
host, port = server.get_host_and_port()
keys = {"access_key": "somebody", "secret_key": "something", "secure": False}
storage = MinIOStorage(bucket_name="media", endpoint=f"{host}:{port}", **keys)
storage.minio.make_bucket(bucket_name="media")
print("minio", minio.__version__)
for place in (InMemoryStorage(), storage):
    first = place.save("photo.jpg", ContentFile(b"first"))
    second = place.save("photo.jpg", ContentFile(b"second"))
    try:
        print(type(place).__name__, first == second, place.open(first).read())
        place.delete(second)
        print(type(place).__name__, place.exists(first))
    except TypeError as error:
        print(type(place).__name__, type(error).__name__)
server.stop()
PYTHON

found=$("$folder/venv/bin/python" "$folder/names.py" 2>"$folder/log")
"$folder/venv/bin/pip" install -q minio==7.2.19
found+=$'\n'$("$folder/venv/bin/python" "$folder/names.py" 2>"$folder/log")
echo "$found"
[[ $found == "\
minio 7.2.15
InMemoryStorage False b'first'
InMemoryStorage True
MinIOStorage True b'second'
MinIOStorage False
minio 7.2.19
InMemoryStorage False b'first'
InMemoryStorage True
MinIOStorage TypeError" ]]
