"""A Django site of one storage, as WSGI: what ``test_gunicorn`` runs in its workers.

Its configuration is JSON in the environment variable ``GALLERY``: ``caches`` and
``cache`` (the setting FALLBACK_STORAGE_CACHE), ``roots`` (two directories).

    POST /<name>      save; answers the name
    DELETE /<name>
    GET /<name>       what this worker knows of the name

Every answer is JSON, with ``pid``.
"""

from __future__ import annotations

import json
import os
import sys
import threading

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import re_path

DISK = "django.core.files.storage.FileSystemStorage"


def backend(name, root):
    options = {"location": root, "base_url": f"/{name}/"}
    return {"BACKEND": DISK, "OPTIONS": options}


config = json.loads(os.environ["GALLERY"])
upper, lower = config["roots"]
settings.configure(
    SECRET_KEY="only for tests",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    CACHES=config["caches"],
    FALLBACK_STORAGE_CACHE=config["cache"],
    STORAGES={
        "default": {
            "BACKEND": "fallback_storage.storage.FallbackStorage",
            "OPTIONS": {
                "backends": ["upper", {"ALIAS": "lower", "READ_ONLY": True}],
            },
        },
        "upper": backend("upper", upper),
        "lower": backend("lower", lower),
        "staticfiles": {"BACKEND": DISK},
    },
)
application = get_wsgi_application()

from django.core.files.base import ContentFile  # noqa: E402
from django.core.files.storage import default_storage  # noqa: E402


def gallery(request, name):
    answer = {"pid": os.getpid(), "thread": threading.get_ident()}
    if request.method == "POST":
        answer["name"] = default_storage.save(name, ContentFile(request.body))
    elif request.method == "DELETE":
        default_storage.delete(name)
    else:
        answer["exists"] = default_storage.exists(name)
        answer["url"] = default_storage.url(name)
        answer["stats"] = {
            key: value
            for key, value in default_storage.stats().items()
            if isinstance(value, int)
        }
        answer["listeners"] = sum(
            thread.name == "fallback-storage-tracker"
            for thread in threading.enumerate()
        )
    return JsonResponse(answer)


urlpatterns = [re_path("^(?P<name>.+)$", gallery)]

# --preload: this is the parent, which uses what its children inherit.
default_storage.exists("warm-up")
sys.stderr.write(f"preloaded in {os.getpid()}\n")
