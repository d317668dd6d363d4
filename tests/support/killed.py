"""A run of ``sync`` in a process of its own, which stops at one point until it is killed.

    python killed.py HOME PRODUCTION KIND POINT JOBS REPAIR

It says "here" when it has come to the point. REPAIR: 1 or 0.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

from django.core.files.base import File
from django.core.files.storage import FileSystemStorage

NAMES = ["a/one.bin", "a/two.bin", "b/three.bin"]
# The one at which it stops.
NAME = "a/two.bin"


def block():
    os.write(1, b"here\n")
    threading.Event().wait()


class Half(File):
    """A file of which only half can be read."""

    def __init__(self, file):
        super().__init__(file)
        self.left = file.size // 2

    def read(self, size=-1):
        data = self.file.read(self.left if size < 0 else min(size, self.left))
        self.left -= len(data)
        if not data:
            block()
        return data

    def chunks(self, chunk_size=None):
        while True:
            yield self.read(1000)


class Production(FileSystemStorage):
    point = ""

    def listdir(self, path):
        if (self.point, path) == ("listing", "b"):
            block()
        return super().listdir(path)

    def _open(self, name, mode="rb"):
        opened = super()._open(name, mode)
        return Half(opened) if (self.point, name) == ("reading", NAME) else opened

    def get_modified_time(self, name):
        # The last that is asked before a staged copy gets its name.
        if (self.point, name) == ("checked", NAME):
            block()
        return super().get_modified_time(name)


class InPlace(FileSystemStorage):
    """A home that writes a file where it is read."""

    point = ""

    def _save(self, name, content):
        if (self.point, name) == ("saving", NAME):
            block()
        if (self.point, name) == ("writing", NAME):
            content = Half(content)
        saved = super()._save(name, content)
        if (self.point, name) == ("written", NAME):
            block()
        return saved

    def delete(self, name):
        super().delete(name)
        if (self.point, name) == ("removed", NAME):
            block()


KINDS = {"staged": FileSystemStorage, "in-place": InPlace}
POINTS = [
    *(("staged", point) for point in ("listing", "reading", "checked")),
    *(("in-place", point) for point in ("listing", "reading", "saving")),
    *(("in-place", point) for point in ("writing", "written")),
]
# When the file is half there already, and may be replaced.
REPAIR_POINTS = ["reading", "removed", "saving", "writing", "written"]


def make(home, production, kind, point=""):
    from overlay.parts import read_only, writable

    from fallback_storage.storage import FallbackStorage

    upper, lower = KINDS[kind](home), Production(production)
    upper.point = lower.point = point
    return FallbackStorage([writable(upper), read_only(lower)])


def run_until(home, production, kind, point, jobs=1, repair=0):
    """Start a run in a process; kill it when it has come to the point."""
    paths = [str(Path(__file__).parent), *filter(None, sys.path)]
    arguments = map(str, (home, production, kind, point, jobs, repair))
    with subprocess.Popen(
        [sys.executable, __file__, *arguments],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "DJANGO_SETTINGS_MODULE": "settings",
        },
        stdout=subprocess.PIPE,
    ) as process:
        try:
            assert process.stdout.readline() == b"here\n"
        finally:
            process.kill()


def main(home, production, kind, point, jobs, repair):
    import django

    django.setup()
    from fallback_storage.jobs.sync import sync

    chain = make(home, production, kind, point)
    for _ in sync(chain, jobs=int(jobs), repair=repair == "1"):
        pass


if __name__ == "__main__":
    main(*sys.argv[1:])
