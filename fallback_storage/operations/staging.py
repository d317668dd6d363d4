"""Files that appear whole or not at all, on a local file system.

``FileSystemStorage`` writes in place: a reader sees half a file meanwhile, and a killed
process leaves it. Here the storage's own ``_save`` writes to a name that nobody asks
for, below ``.fallback-staging``; then the finished file gets its name in one step that
fails if the name is taken.
"""

from __future__ import annotations

import errno
import os
import posixpath
import re
import shutil
import stat
import threading
import time
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.files import locks
from django.core.files.storage import FileSystemStorage

from fallback_storage.chain.names import STAGING_FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

# Seconds after which a staged file is what a killed process left behind.
ABANDONED = 24 * 60 * 60

# What a staged file is called. Nothing else is ever removed.
STAGED = re.compile("[0-9a-f]{32}")

# Files to lock, shared by all names: few enough to be left lying around.
LOCK_FILES = 64


def can_stage(storage: Any) -> bool:
    """Whether the storage keeps plain files, and saves them as Django does."""
    return (
        isinstance(storage, FileSystemStorage)
        and type(storage)._save is FileSystemStorage._save  # type: ignore[attr-defined]
        and _has_plain_paths(storage)
    )


def _has_plain_paths(storage: FileSystemStorage) -> bool:
    # Else our folder might be one that holds other files.
    if type(storage).path is FileSystemStorage.path:
        return True
    return Path(storage.path(f"{STAGING_FOLDER}/x")) == Path(
        storage.location, STAGING_FOLDER, "x"
    )


@contextmanager
def staged(storage: Any, content: Any, name: str) -> Iterator[Path]:
    """Save ``content``, which is to be ``name``, under another name; yield its path.

    The file is removed in the end, or goes back to where ``content`` was moved from.
    """
    place = f"{_folder(storage, name)}/{uuid.uuid4().hex}"
    path = Path(storage.path(place))
    _sweep(path.parent)
    origin = None
    if hasattr(content, "temporary_file_path"):
        origin = Path(content.temporary_file_path())
    try:
        storage._save(place, content)
        yield path
    except BaseException:
        if origin is not None and path.exists() and not origin.exists():
            # Who uploads may try again, and so may who called us.
            shutil.move(path, origin)
        raise
    finally:
        path.unlink(missing_ok=True)


def _folder(storage: Any, name: str) -> str:
    """Return where to stage: one folder, or beside the file if only that may be."""
    root = Path(storage.path(STAGING_FOLDER))
    try:
        if not root.is_dir():
            make_directories(storage, f"{STAGING_FOLDER}/x")
            _give_to_owner_of(root, root.parent)
        writable = os.access(root, os.W_OK | os.X_OK)
    except PermissionError:
        writable = False
    return (
        STAGING_FOLDER
        if writable
        else posixpath.join(posixpath.dirname(name), STAGING_FOLDER)
    )


def _give_to_owner_of(made: Path, other: Path) -> None:
    # A command that root runs must not keep the web server's user out.
    seen = other.stat()
    with suppress(OSError, AttributeError):  # AttributeError: no chown on Windows
        made.chmod(stat.S_IMODE(seen.st_mode))
        os.chown(made, seen.st_uid, seen.st_gid)


def publish(storage: Any, path: Path, name: str, *, replace: bool) -> None:
    """Give a staged file its name, in a directory that exists.

    Raises ``FileExistsError`` if the name is taken, unless that may be replaced.
    """
    final = Path(storage.path(name))
    if path.stat().st_dev == final.parent.stat().st_dev:
        try:
            _publish(storage, path, name, replace=replace)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            # Another mount of the same file system: a bind mount, as of a container.
        else:
            return
    with _brought_near(path, final) as near:
        _publish(storage, near, name, replace=replace)


def _publish(storage: Any, near: Path, name: str, *, replace: bool) -> None:
    final = Path(storage.path(name))
    if replace:
        near.replace(final)
        return
    try:
        final.hardlink_to(near)
    except FileExistsError:
        raise
    except OSError:
        # No hard links here (FAT, some network shares): writers that know nothing
        # of this lock find a small gap.
        with exclusive(storage, name):
            if os.path.lexists(final):
                raise FileExistsError(errno.EEXIST, "taken", name) from None
            near.rename(final)


@contextmanager
def _brought_near(path: Path, final: Path) -> Iterator[Path]:
    """Yield a copy of a staged file on the file system of ``final``."""
    near = final.parent / STAGING_FOLDER / path.name
    if not near.parent.is_dir():
        near.parent.mkdir(exist_ok=True)
        _give_to_owner_of(near.parent, final.parent)
    _sweep(near.parent)
    try:
        shutil.copy2(path, near)
        yield near
    finally:
        near.unlink(missing_ok=True)


# The lock files that a thread holds: it must not wait for itself.
_held = threading.local()


@contextmanager
def exclusive(storage: Any, name: str) -> Iterator[None]:
    """Hold a lock on ``name`` against other processes, where that can be done."""
    if not can_stage(storage):
        yield
        return
    number = sum(name.encode(errors="surrogateescape")) % LOCK_FILES
    place = f"{STAGING_FOLDER}/lock-{number:02}"
    held: set[str] = _held.__dict__.setdefault("places", set())
    path = storage.path(place)
    if path in held:
        yield
        return
    with _opened_lock(storage, place) as file:
        if file is not None:
            locks.lock(file, locks.LOCK_EX)
        held.add(path)
        try:
            yield
        finally:
            held.discard(path)
            if file is not None:
                locks.unlock(file)


@contextmanager
def _opened_lock(storage: Any, place: str) -> Iterator[BinaryIO | None]:
    """Yield a lock file; None where there can be none, as on a full or read-only disk.

    A file must be deleted from a full disk all the same.
    """
    path = Path(storage.path(place))
    try:
        make_directories(storage, place)
        file: BinaryIO
        try:
            file = path.open("ab")
        except PermissionError:  # another user's, which is enough to lock it
            file = path.open("rb")
    except OSError:
        yield None
        return
    with file:
        yield file


def has_directory(storage: Any, name: str) -> bool:
    """Whether the directory that ``name`` lies in is there, or none is needed."""
    return (
        not isinstance(storage, FileSystemStorage)
        or Path(storage.path(name)).parent.is_dir()
    )


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
        if not STAGED.fullmatch(entry.name):
            continue
        try:
            # Not st_mtime: a copy has that of its original.
            if entry.stat().st_ctime < deadline:
                entry.unlink()
        except OSError:
            continue  # another process was faster
