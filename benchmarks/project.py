"""The Django project all contenders run in, on any version of Django.

Runs in the original's environment too, hence imports nothing of this package.
"""

from __future__ import annotations

#: A public bucket behind a content delivery network: URLs are put together, not
#: signed. The case in which our own share of the time is largest.
PUBLIC_DOMAIN = "media.example.com"


def configure(media_root, s3, caches=None):
    """Set Django up; ``s3`` are OPTIONS of S3Storage, ``caches`` the CACHES."""
    import django
    from django.conf import settings

    settings.configure(
        USE_TZ=True,
        # A shared memo's keys depend on it.
        SECRET_KEY="only for benchmarks",
        CACHES=caches or {},
        MEDIA_ROOT=media_root,
        MEDIA_URL="/media/",
        # The original can only be configured by settings.
        FALLBACK_STORAGES=[
            "django.core.files.storage.FileSystemStorage",
            "traffic.CountedS3Storage",
        ],
        AWS_S3_ACCESS_KEY_ID=s3["access_key"],
        AWS_S3_SECRET_ACCESS_KEY=s3["secret_key"],
        AWS_STORAGE_BUCKET_NAME=s3["bucket_name"],
        AWS_S3_ENDPOINT_URL=s3["endpoint_url"],
        AWS_S3_REGION_NAME=s3["region_name"],
        AWS_S3_ADDRESSING_STYLE=s3["addressing_style"],
        AWS_S3_SIGNATURE_VERSION=s3["signature_version"],
    )
    django.setup()


def read(storage):
    """Return a function that opens a file of a storage and reads it."""

    def call(name):
        with storage.open(name) as file:
            return file.read()

    return call
