"""Watches the production bucket from outside, with a client of its own."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.conf import settings
from s3server import Bucket

WRITES = ("PUT", "POST", "DELETE")


@cache
def bucket() -> Bucket:
    """The bucket as an onlooker sees it; its requests are not the site's."""
    return Bucket(endpoint=settings.SITE["endpoint"], metrics=settings.SITE["metrics"])


def digest() -> str:
    """SHA-256 over the bucket's whole listing, ETags included."""
    return bucket().listing_digest()[0]


def integrity() -> dict[str, Any]:
    """The bucket now, compared with what it was when the demo started."""
    now, objects = bucket().listing_digest()
    before = settings.SITE["server_counts"]
    counts = bucket().server_counts()
    return {
        "objects": objects,
        "then": settings.SITE["digest"],
        "now": now,
        "unchanged": now == settings.SITE["digest"],
        # By the S3 server's own count, whoever sent them.
        "writes": sum(counts.get(kind, 0) - before.get(kind, 0) for kind in WRITES),
    }
