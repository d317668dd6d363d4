"""A mirror whose production never answers, as WSGI: what ``test_outage`` runs.

Its configuration is JSON in the environment variable ``OUTAGE``: ``media`` (the local
directory), ``endpoint`` (of a server in S3's place, or None for a chain without it).

    GET /             a page of 100 pictures: whether each is there, and its URL
    POST /<name>      an upload under a name that is kept; answers the name
"""

from __future__ import annotations

import json
import os
import time

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import path

PICTURES = [f"pictures/{number}.jpg" for number in range(100)]

config = json.loads(os.environ["OUTAGE"])
backends = ["local"]
if config["endpoint"]:
    backends.append({"ALIAS": "production", "READ_ONLY": True})
settings.configure(
    SECRET_KEY="only for tests",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MEDIA_ROOT=config["media"],
    STORAGES={
        "default": {
            "BACKEND": "fallback_storage.storage.FallbackStorage",
            "OPTIONS": {"backends": backends},
        },
        "local": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        # boto3's own time-outs and retries: a minute each, five times.
        "production": {
            "BACKEND": "storages.backends.s3.S3Storage",
            "OPTIONS": {
                "bucket_name": "media",
                "endpoint_url": config["endpoint"],
                "addressing_style": "path",
                "region_name": "us-east-1",
                "access_key": "key",
                "secret_key": "only for tests",
            },
        },
        "staticfiles": {
            "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        },
    },
)
application = get_wsgi_application()

from django.core.files.base import ContentFile  # noqa: E402
from django.core.files.storage import default_storage  # noqa: E402


def page(request):
    begin = time.perf_counter()
    found = sum(map(default_storage.exists, PICTURES))
    urls = len(set(map(default_storage.url, PICTURES)))
    seconds = time.perf_counter() - begin
    answer = {"pid": os.getpid(), "found": found, "urls": urls, "seconds": seconds}
    return JsonResponse(answer)


def upload(request, name):
    saved = default_storage.save(name, ContentFile(request.body))
    return JsonResponse({"pid": os.getpid(), "name": saved})


urlpatterns = [path("", page), path("<path:name>", upload)]
