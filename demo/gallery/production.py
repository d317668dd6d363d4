"""Watches the production bucket from outside."""

from __future__ import annotations

from typing import Any

from bucket import Bucket
from django.conf import settings


def integrity() -> dict[str, Any]:
    """The bucket now, compared with what it was when the demo started."""
    site = settings.SITE
    bucket, then = Bucket(site["endpoint"], site["metrics"]), site["digest"]
    now, objects = bucket.digest()
    # By the S3 server's own count, whoever sent them.
    writes = bucket.writes() - site["writes"]
    told = {"objects": objects, "then": then[:12], "now": now[:12], "writes": writes}
    return {**told, "unchanged": now == then and not writes}
