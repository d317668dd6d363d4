"""Watches production from outside."""

from __future__ import annotations

from typing import Any

from bucket import Bucket
from django.conf import settings
from website import Website


def watched() -> Bucket | Website:
    """Production, seen from outside."""
    site = settings.SITE
    return (Website if site["http"] else Bucket)(site["endpoint"], site["metrics"])


def integrity() -> dict[str, Any]:
    """The bucket now, compared with what it was when the demo started."""
    site = settings.SITE
    bucket, then = watched(), site["digest"]
    now, objects = bucket.digest()
    # By the S3 server's own count, whoever sent them.
    writes = bucket.writes() - site["writes"]
    told = {"objects": objects, "then": then[:12], "now": now[:12], "writes": writes}
    return {**told, "unchanged": now == then and not writes}
