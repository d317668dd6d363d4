#!/usr/bin/env bash
# django-minio-backend 4.4.4: with replace_existing=True a save that fails has deleted the
# file which it was to replace. While the server is down exists() says False and size() 0;
# so is the size of what is not there (Django 5.2.9, minio 7.2.19, over moto 5.2.5's server).
#
# Guess before the run: the old file stays until the new one is stored, as with every S3
# storage that simply puts; exists() and size() raise, for nobody knows.
# Seen: the object is deleted, then the content is read and sent. What cannot be found out is
# False and 0: code that copies "what is not there yet", or compares sizes, goes wrong in an
# outage.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q django==5.2.9 django-minio-backend==4.4.4 minio==7.2.19 \
    'moto[server]==5.2.5'

found=$("$folder/venv/bin/python" - 2>"$folder/log" <<'PYTHON'
import io
from contextlib import redirect_stdout

from django.conf import settings
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
with redirect_stdout(io.StringIO()):
    server.start()
host, port = server.get_host_and_port()
options = {
    "MINIO_ENDPOINT": f"{host}:{port}",
    "MINIO_ACCESS_KEY": "somebody",
    "MINIO_SECRET_KEY": "something",
    "MINIO_USE_HTTPS": False,
    "MINIO_DEFAULT_BUCKET": "media",
    "MINIO_PRIVATE_BUCKETS": ["media"],
}
backend = "django_minio_backend.models.MinioBackend"
settings.configure(STORAGES={"default": {"BACKEND": backend, "OPTIONS": options}})
from django.core.files.base import ContentFile, File
from django_minio_backend import MinioBackend


class Upload(io.BytesIO):
    def read(self, *args):
        raise OSError("the browser went away")


storage = MinioBackend(replace_existing=True)
storage.check_bucket_existence()
for name in ("picture", "other"):
    storage.save(name, ContentFile(b"old"))
print("before:", storage.exists("picture"), storage.exists("other"), storage.size("other"))
try:
    storage.save("picture", File(Upload(b"new bytes")))
except OSError as error:
    print("save:", error)
print("after:", storage.exists("picture"), storage.size("picture"))
server.stop()
print("server down:", storage.exists("other"), storage.size("other"))
PYTHON
)
echo "$found"
[[ $found == "\
before: True True 3
save: the browser went away
after: False 0
server down: False 0" ]]
