"""Files that appear whole or not at all, on a local file system.

``FileSystemStorage`` writes in place: a reader sees half a file meanwhile, and a killed
process leaves it. Here the storage's own ``_save`` writes to a name that nobody asks
for, below ``.fallback-staging``; then the finished file gets its name in one step that
fails if the name is taken.
"""

from __future__ import annotations

import errno
import os
import time
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.files import locks
from django.core.files.storage import FileSystemStorage

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = ".fallback-staging"

# Seconds after which a staged file is what a killed process left behind.
ABANDONED = 24 * 60 * 60

# Files to lock, shared by all names: few enough to be left lying around.
LOCK_FILES = 64


def can_stage(storage: Any) -> bool:
    """Whether the storage keeps plain files, and saves them as Django does."""
    return (
        isinstance(storage, FileSystemStorage)
        and type(storage)._save is FileSystemStorage._save  # type: ignore[attr-defined]
    )


@contextmanager
def staged(storage: Any, content: Any) -> Iterator[Path]:
    """Save ``content`` beside all names; yield the path, remove it in the end."""
    name = f"{FOLDER}/{uuid.uuid4().hex}"
    path = Path(storage.path(name))
    _sweep(path.parent)
    try:
        storage._save(name, content)
        yield path
    finally:
        path.unlink(missing_ok=True)


def publish(storage: Any, path: Path, name: str) -> None:
    """Give a staged file its name. Raises ``FileExistsError`` if that is taken."""
    final = Path(storage.path(name))
    if getattr(storage, "_allow_overwrite", False):
        path.replace(final)
        return
    try:
        final.hardlink_to(path)
    except FileExistsError:
        raise
    except OSError:
        # No hard links here (FAT, some network shares): a small gap remains.
        if os.path.lexists(final):
            raise FileExistsError(name) from None
        path.rename(final)


@contextmanager
def exclusive(storage: Any, name: str) -> Iterator[None]:
    """Hold a lock on ``name`` against other processes, where that can be done."""
    if not can_stage(storage):
        yield
        return
    number = sum(name.encode()) % LOCK_FILES
    path = Path(storage.path(f"{FOLDER}/lock-{number:02}"))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        locks.lock(file, locks.LOCK_EX)
        try:
            yield
        finally:
            locks.unlock(file)


def make_directories(storage: Any, name: str) -> None:
    """Make the directories that ``name`` lies in, as ``FileSystemStorage`` does."""
    directory = Path(storage.path(name)).parent
    mode = storage.directory_permissions_mode
    lineage = (directory, *directory.parents)
    missing = [] if mode is None else [each for each in lineage if not each.exists()]
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        # Not that the name is taken: another one would not help.
        raise FileExistsError(errno.EEXIST, "a file is in the way", name) from error
    for each in missing:
        # mkdir() does not apply a mode to the parents that it makes.
        each.chmod(mode)


def _sweep(directory: Path) -> None:
    """Remove what killed processes left behind."""
    if not directory.is_dir():
        return
    deadline = time.time() - ABANDONED
    for entry in directory.iterdir():
        if entry.name.startswith("lock-"):
            continue
        try:
            if entry.stat().st_mtime < deadline:
                entry.unlink()
        except OSError:
            continue  # another process was faster
