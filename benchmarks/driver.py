"""Runs in the original's environment: one measurement per line of JSON on stdin.

The first line is the project; each further one asks for a measurement and is
answered by a line. Ends with stdin.
"""

from __future__ import annotations

import json
import sys
import warnings
from dataclasses import asdict

from project import PUBLIC_DOMAIN, configure, read
from timing import Contender, race, stampede


def _backends(public):
    """Return the original, and the two storages it is over."""
    from django.conf import settings
    from django.core.files.storage import FileSystemStorage
    from traffic import CountedS3Storage

    from fallback_storage.storage import FallbackStorage

    # The original builds its backends anew from settings at every call.
    settings.AWS_S3_CUSTOM_DOMAIN = PUBLIC_DOMAIN if public else None
    return FallbackStorage(), FileSystemStorage(), CountedS3Storage()


def _bound(storage, operation):
    return read(storage) if operation == "open" else getattr(storage, operation)


def measure(task):
    """Time the original beside the backend that holds the names."""
    original, local, s3 = _backends(task.get("public", False))
    operation = task["operation"]
    if task.get("threads"):
        laps = stampede(_bound(original, operation), task["names"][0], task["threads"])
        return {"original": asdict(laps)}
    direct = _bound(local if task["holder"] == "local" else s3, operation)
    contenders = [
        Contender("direct", direct),
        Contender("original", _bound(original, operation)),
    ]
    # It has no memo to warm, only modules to import: one call each does.
    for contender in contenders:
        contender.call(task["names"][0])
    laps = race(contenders, task["names"], task["rounds"], warm=False)
    return {label: asdict(lap) for label, lap in laps.items()}


def main():
    # get_storage_class is deprecated in Django 4.2, and said so at each call.
    warnings.simplefilter("ignore")
    configure(**json.loads(sys.stdin.readline()))
    for line in sys.stdin:
        print(json.dumps(measure(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
