"""A process of its own, told what to do line by line; each answer is a line.

    python worker.py HOME PRODUCTION

Lines in and out are JSON. ``Worker`` is the side of the tests.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

SECONDS = 60


class Worker:
    """A worker process, seen from the tests."""

    def __init__(self, home, production, **options):
        paths = [str(Path(__file__).parents[1]), *filter(None, sys.path)]
        self.process = subprocess.Popen(
            [sys.executable, __file__, str(home), str(production), json.dumps(options)],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(paths),
                "DJANGO_SETTINGS_MODULE": "settings",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def tell(self, command, *args):
        self.process.stdin.write(json.dumps([command, *args]) + "\n")
        self.process.stdin.flush()

    def hear(self):
        line = self.process.stdout.readline()
        assert line, "the worker has ended"
        return json.loads(line)

    def kill(self):
        """End it as a crash does: no handler of its runs."""
        self.process.kill()
        self.process.wait()


def say(answer):
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


class Work:
    """What a worker can be told to do."""

    def __init__(self, home, production, options):
        from overlay.parts import read_only, writable

        from fallback_storage.storage import FallbackStorage

        self.home = Path(home)
        lower = blocking_files()(production, base_url="/production/")
        upper = blocking_files()(home, base_url="/home/")
        self.storage = FallbackStorage(
            [writable(upper), read_only(lower)],
            **{"cache": False, "on_delete": "whiteout", "promote": True, **options},
        )

    def read(self, name):
        """Return the hash of what is read, or that there is nothing."""
        try:
            with self.storage.open(name) as file:
                return hashlib.sha256(file.read()).hexdigest()
        except FileNotFoundError:
            return None

    def watch(self, name, end):
        """Read again and again until the file ``end`` is there; return what was seen."""
        seen, raw = [], set()
        done = False
        while not done:
            done = Path(end).exists()
            with contextlib.suppress(FileNotFoundError):
                raw.add(hashlib.sha256((self.home / name).read_bytes()).hexdigest())
            found = self.read(name)
            if seen[-1:] != [found]:
                seen.append(found)
        return seen, sorted(raw)

    def delete(self, name, *when):
        """Delete a name, at once or when a file has appeared that one pattern names."""
        deadline = time.monotonic() + SECONDS
        while when and not any(list(self.home.glob(each)) for each in when):
            assert time.monotonic() < deadline
        self.storage.delete(name)
        return (self.home / name).exists()

    def save(self, name, text):
        from django.core.files.base import ContentFile

        return self.storage.save(name, ContentFile(text.encode()))

    def save_half(self, name):
        """Save content that never comes to its end."""
        self.storage.save(name, half_content())

    def read_half(self, name):
        """Promote a file that never comes to its end."""
        self.storage.backends[1].storage.blocks = True
        self.storage.open(name)

    def hidden(self):
        return sorted(self.storage.hidden())


def half_content():
    from django.core.files.base import ContentFile

    class Half(ContentFile):
        def chunks(self, chunk_size=None):
            yield b"half"
            block()

    return Half(b"half, and more", "half")


def block():
    """Say that half is done, and wait for ever."""
    say("half")
    sys.stdin.readline()


def blocking_files():
    from django.core.files.base import File
    from django.core.files.storage import FileSystemStorage

    class HalfFile(File):
        def chunks(self, chunk_size=None):
            yield self.read(4)
            block()

        def read(self, size=-1):
            if size < 0 or size > 4:
                data = self.file.read(4)
                if not data:
                    block()
                return data
            return self.file.read(size)

    class Blocking(FileSystemStorage):
        blocks = False

        def _open(self, name, mode="rb"):
            opened = super()._open(name, mode)
            return HalfFile(opened.file, name) if self.blocks else opened

    return Blocking


def main(home, production, options):
    import django

    django.setup()
    options = json.loads(options)
    if not options.pop("unnamed", True):
        vars(os).pop("O_TMPFILE", None)
    work = Work(home, production, options)
    say("ready")
    while line := sys.stdin.readline():
        command, *args = json.loads(line)
        say(getattr(work, command)(*args))


if __name__ == "__main__":
    main(*sys.argv[1:])
