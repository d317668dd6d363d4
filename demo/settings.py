"""An ordinary Django project: pictures in a local directory over an S3 bucket."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from production import ACCESS_KEY, BUCKET, REGION
from production import SECRET_KEY as S3_SECRET_KEY

# The demo has a temporary directory of its own, which goes with it.
DATA = Path(tempfile.gettempdir())
SITE = json.loads((DATA / "site.json").read_text(encoding="utf-8"))

# What the demo is about. (Only one class name is the demo's own: it is S3Storage, with a
# counter.)
STORAGES = {
    "default": {
        "BACKEND": "fallback_storage.storage.FallbackStorage",
        "OPTIONS": {
            "backends": ["local", {"ALIAS": "production", "READ_ONLY": True}],
            # A delete hides what production holds, and can be undone.
            "on_delete": "whiteout",
        },
    },
    "local": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "production": {
        "BACKEND": "metering.CountedS3Storage",
        "OPTIONS": {
            "bucket_name": BUCKET,
            "endpoint_url": SITE["endpoint"],
            "region_name": REGION,
            # These may write: what keeps the bucket unchanged is READ_ONLY.
            "access_key": ACCESS_KEY,
            "secret_key": S3_SECRET_KEY,
            "addressing_style": "path",
            "signature_version": "s3v4",
            "file_overwrite": False,
        },
    },
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

# `--http`: no credentials; the URLs of production's files are all that is known of it.
if SITE["http"]:
    STORAGES["default"]["OPTIONS"] |= {"urls": "home", "promote": True}
    STORAGES["production"] = {
        "BACKEND": "fallback_storage.http.HTTPStorage",
        "OPTIONS": {"base_url": f"{SITE['endpoint']}/media/"},
    }

# `--redis`: one memo for all workers, and one in each process in front of it.
if SITE["redis"]:
    CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        "media": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": SITE["redis"],
            # redis-py's own, with a counter.
            "OPTIONS": {"pool_class": "metering.CountedPool"},
        },
    }
    FALLBACK_STORAGE_CACHE = {"ALIAS": "media", "NEAR": True}

MEDIA_ROOT = DATA / "media"
MEDIA_URL = "/media/"
STATIC_URL = "/static/"

SQLITE = {"ENGINE": "django.db.backends.sqlite3", "NAME": DATA / "db.sqlite3"}
DATABASES = {"default": {**SQLITE, "OPTIONS": {"timeout": 20}}}

INSTALLED_APPS = [
    *("django.contrib.messages", "django.contrib.staticfiles"),
    *("fallback_storage", "gallery"),
]
MIDDLEWARE = [
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
if SITE["toolbar"]:
    INSTALLED_APPS += ["debug_toolbar"]
    MIDDLEWARE.insert(0, "debug_toolbar.middleware.DebugToolbarMiddleware")
    INTERNAL_IPS = ["127.0.0.1"]
    PANELS = ("timer.TimerPanel", "sql.SQLPanel", "cache.CachePanel")
    DEBUG_TOOLBAR_PANELS = ["fallback_storage.panels.FallbackStoragePanel"]
    DEBUG_TOOLBAR_PANELS += [f"debug_toolbar.panels.{name}" for name in PANELS]
MESSAGE_STORAGE = "django.contrib.messages.storage.cookie.CookieStorage"
CONTEXT_PROCESSORS = ["django.contrib.messages.context_processors.messages"]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": CONTEXT_PROCESSORS},
    }
]
ROOT_URLCONF = "gallery.urls"

SECRET_KEY = "of a demo that only this machine reaches"
DEBUG = True
