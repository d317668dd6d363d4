"""Local files: saved, deleted, opened, measured; and what is known of remote ones."""

from __future__ import annotations

import os
import shutil
import tempfile
from functools import partial
from pathlib import Path

from project import read
from registry import row
from result import DIRECT, OFF, ON, Result, Target
from timing import Contender, race
from world import FILE_BYTES

FOLDER = "saved"


def _result(title, target, laps, count, **described):
    result = Result(title, target=Target(target), **described)
    for label, found in laps.items():
        result.add_laps(label, found, count)
    return result


# What is written: both directories are local, so that nothing waits for S3.


def _written(world, title, target, operation, before):
    """``operation(storage, name)``; ``before(directory)`` comes before each pass."""
    from django.core.files.storage import FileSystemStorage

    from fallback_storage.storage import FallbackStorage

    names = [f"{FOLDER}/2024/05/{number:04d}.jpg" for number in range(world.page_size)]
    with tempfile.TemporaryDirectory(prefix="fallback-bench-") as lower:
        backends = [
            world.local,
            {
                "BACKEND": "django.core.files.storage.FileSystemStorage",
                "OPTIONS": {"location": lower},
                "READ_ONLY": True,
            },
        ]
        storages = {
            DIRECT: FileSystemStorage(),
            ON: FallbackStorage(backends),
            OFF: FallbackStorage(backends, cache=False),
        }
        again = partial(before, Path(world.media_root), names)
        contenders = [
            Contender(label, partial(operation, storage), again)
            for label, storage in storages.items()
        ]
        laps = race(contenders, names, world.rounds(25, 5))
    _emptied(Path(world.media_root), names)
    return _result(title, target, laps, len(names))


def _emptied(root, names):
    shutil.rmtree(root / FOLDER, ignore_errors=True)


def _filled(root, names):
    _emptied(root, names)
    (root / names[0]).parent.mkdir(parents=True)
    for name in names:
        (root / name).write_bytes(bytes(FILE_BYTES))


@row("save")
def save(world):
    from django.core.files.base import ContentFile

    content = os.urandom(FILE_BYTES)

    def saved(storage, name):
        assert storage.save(name, ContentFile(content)) == name

    return _written(world, "save 20 kB into a local directory", 1.3, saved, _emptied)


@row("delete")
def delete(world):
    def deleted(storage, name):
        storage.delete(name)

    return _written(world, "delete a local file", 2.5, deleted, _filled)


# What is read


def _read(world, title, target, bound):
    names = world.local_names
    contenders = [
        Contender(DIRECT, bound(world.local)),
        Contender(ON, bound(world.chain())),
        Contender(OFF, bound(world.chain(cache=False))),
    ]
    laps = race(contenders, names, world.rounds(60, 10))
    result = _result(title, target, laps, len(names))
    result.claim_requests(ON, 0)
    return result


@row("warm-open")
def warm_open(world):
    return _read(world, "open and read 20 kB of a local file, warm", 1.3, read)


@row("warm-size")
def warm_size(world):
    return _read(world, "size of a local file, warm", 1.5, lambda each: each.size)


@row("facts")
def facts(world):
    """``{{ file.size }}`` and the date of each: what is remembered with who holds it."""
    names = world.remote_names[:50]
    s3 = {"BACKEND": "traffic.CountedS3Storage", "READ_ONLY": True}

    def described(storage, name):
        return storage.size(name), storage.get_modified_time(name)

    contenders = [
        Contender(label, partial(described, storage))
        for label, storage in (
            (DIRECT, world.s3),
            (ON, world.chain(s3)),
            (OFF, world.chain(s3, cache=False)),
        )
    ]
    laps = race(contenders, names, world.rounds(5))
    title = f"size and date of {len(names)} files in S3, warm"
    result = _result(title, 0.1, laps, 1, per="page")
    result.claim_requests(ON, 0)
    return result
