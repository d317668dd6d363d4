"""Sites that hold their pictures in one bucket, each in a process of its own."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import os
import re
import subprocess
import sys

from paths import SUPPORT

S3 = "storages.backends.s3.S3Storage"


def chain(*backends):
    return {
        "BACKEND": "fallback_storage.storage.FallbackStorage",
        "OPTIONS": {"backends": list(backends)},
    }


#: What "default" of STORAGES is; the aliases "local" and "bucket" are always there.
KINDS = {
    "plain": {"BACKEND": S3},
    "uploader": chain({"ALIAS": "local", "READ_ONLY": True}, "bucket"),
    "mirror": chain("local", {"ALIAS": "bucket", "READ_ONLY": True}),
}
#: Settings of S3Storage, and what they are in a server's `storage_options`.
AWS = {
    "AWS_S3_ACCESS_KEY_ID": "access_key",
    "AWS_S3_SECRET_ACCESS_KEY": "secret_key",
    "AWS_STORAGE_BUCKET_NAME": "bucket_name",
    "AWS_S3_ENDPOINT_URL": "endpoint_url",
    "AWS_S3_REGION_NAME": "region_name",
    "AWS_S3_ADDRESSING_STYLE": "addressing_style",
    "AWS_S3_SIGNATURE_VERSION": "signature_version",
    "AWS_LOCATION": "location",
    "AWS_QUERYSTRING_AUTH": "querystring_auth",
}


def png(width=20, height=10):
    """Return a picture as bytes."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(buffer, "png")
    return buffer.getvalue()


def check_picture(site, url):
    """What a browser gets there is a PNG or a JPEG."""
    assert site.get(url)[:3] in {b"\x89PN", b"\xff\xd8\xff"}


@dataclasses.dataclass
class Done:
    """What a site did, and what that cost.

    ``requests``: (method, path) of each one to the bucket. ``calls``: how often each
    backend of its chains was asked, by name.
    """

    requests: list
    calls: dict
    value: object = None
    status: int = 0
    to: str = ""
    body: str = ""

    @property
    def cost(self):
        return len(self.requests)

    @property
    def pictures(self):
        """The addresses of the pictures that lie in a storage."""
        found = re.findall(r'<img[^>]*? src="([^"]+)"', self.body)
        return [address for address in found if not address.startswith("/static/")]


class Site:
    """One process of a project whose pictures lie in a folder of the bucket.

    ``kind``: of ``KINDS``. Sites with the same folder have the same rows: a mirror with
    production's database.
    """

    def __init__(self, kind, server, proxy, folder, directory):
        self.kind, self.folder, self._server, self._proxy = kind, folder, server, proxy
        self.media_root = directory / f"{kind}-{folder}"
        self.media_root.mkdir()
        options = server.storage_options(
            endpoint_url=proxy.endpoint_url, location=folder, querystring_auth=False
        )
        local = {"BACKEND": "django.core.files.storage.FileSystemStorage"}
        settings = {
            "database": str(directory / f"{folder}.sqlite3"),
            "media_root": str(self.media_root),
            "storages": {
                "default": KINDS[kind],
                "local": local,
                "bucket": {"BACKEND": S3},
            },
            "aws": {setting: options[name] for setting, name in AWS.items()},
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "consumers.serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "CONSUMERS_SITE": json.dumps(settings),
                "DJANGO_SETTINGS_MODULE": "consumers.settings",
                "PYTHONPATH": str(SUPPORT),
            },
        )
        if self._process.stdout.readline() != "ready\n":
            self.close()
            raise RuntimeError("The site did not start; stderr says why.")

    def _send(self, **command):
        self._proxy.clear()
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return Done(**answer, requests=list(self._proxy.requests))

    def visit(self, url, status=200, **data):
        """Get the page, or post the data; (name, bytes) is an upload."""
        command = {"visit": url}
        if data:
            command["data"] = {key: _plain(value) for key, value in data.items()}
        done = self._send(**command)
        assert done.status == status, (done.status, done.to, done.body)
        return done

    def do(self, function, *args):
        """Call a function of ``consumers/acts.py`` in the site's process."""
        return self._send(do=function, args=args)

    def first_visits(self, url):
        """Return what the page costs a new process, and at once again."""
        self.do("forget_everything")
        return self.visit(url), self.visit(url)

    # The site's folder of the bucket, past the proxy

    def put(self, name, content):
        self._server.put(f"{self.folder}/{name}", content)

    def names(self):
        """Return all names in it."""
        prefix, keys = f"{self.folder}/", self._server.keys()
        return {key.removeprefix(prefix) for key in keys if key.startswith(prefix)}

    def local_names(self):
        """Return all names in MEDIA_ROOT."""
        files = (path for path in self.media_root.rglob("*") if path.is_file())
        return {path.relative_to(self.media_root).as_posix() for path in files}

    def get(self, url):
        """Return the bytes that a browser gets."""
        if url.startswith("/media/"):
            return (self.media_root / url.removeprefix("/media/")).read_bytes()
        base = f"{self._proxy.endpoint_url}/{self._server.bucket}/"
        assert url.startswith(f"{base}{self.folder}/"), url
        return self._server.get(url.removeprefix(base))

    def close(self):
        with self._process as process:
            process.stdin.close()
            process.wait(20)


def _plain(value):
    if isinstance(value, tuple):
        name, content = value
        return {"file": [name, base64.b64encode(content).decode()]}
    return value
