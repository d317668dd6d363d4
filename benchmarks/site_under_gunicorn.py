"""A site under gunicorn, with S3 behind its directory and without: a page, an upload.

``/with/page``, ``/without/page``: 100 pictures that only S3 could have, ``/with/upload``:
a file is saved under its name. Configured by the environment (``SITE``, JSON).
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

PAGE = 100


def _application():
    import project

    given = json.loads(os.environ["SITE"])
    project.configure(given["media_root"], given["s3"])
    from django.core.files.base import ContentFile

    from fallback_storage.storage import FallbackStorage

    logging.getLogger("fallback_storage").setLevel(logging.ERROR)
    local = "django.core.files.storage.FileSystemStorage"
    # As a site has it: boto3's own time-outs. (And URLs that are not signed, or that would
    # be all of the time.)
    options = {"custom_domain": project.PUBLIC_DOMAIN}
    s3 = {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": options}
    s3 |= {"READ_ONLY": True}
    chains = {"with": FallbackStorage([local, s3]), "without": FallbackStorage([local])}

    def page(chain, number):
        for picture in range(PAGE):
            name = f"photos/{number}-{picture}.jpg"
            chain.exists(name)
            chain.url(name)
        return ""

    def upload(chain, number):
        return chain.save(f"uploads/{number}.txt", ContentFile(number.encode()))

    views = {"page": page, "upload": upload}

    def application(environ, start_response):
        _, which, view, number = environ["PATH_INFO"].split("/")
        answer = views[view](chains[which], number)
        start_response("200 OK", [("X-Pid", str(os.getpid()))])
        return [answer.encode()]

    return application


if "SITE" in os.environ:
    application = _application()


def command(port, directory):
    """Return what starts the site on a port: two workers, gunicorn's own time-out."""
    import sys

    here = Path(__file__).resolve().parent
    return [
        *(sys.executable, "-m", "gunicorn", "site_under_gunicorn:application"),
        *("--workers", "2", "--bind", f"127.0.0.1:{port}", "--pythonpath", str(here)),
        *("--worker-tmp-dir", str(directory), "--log-level", "warning"),
    ]
