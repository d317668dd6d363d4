"""Files that nobody asks for yet, in the directory where they are to get a name.

Where the system can, such a file has no name at all: it is gone when its process ends,
however that ends, and no listing shows it. Elsewhere it lies in a folder of ours, which
is made for it and removed after it; what a killed process leaves there is swept later.
"""

from __future__ import annotations

import itertools
import os
import re
import stat
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from fallback_storage.chain.names import STAGING_FOLDER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Seconds after which a file in the folder is what a killed process left behind.
ABANDONED = 24 * 60 * 60

# What is swept: our files, and those that earlier versions locked. Nothing else is.
OURS = "[0-9a-f]{32}|lock-[0-9]{2}"

# How often the folder is made anew when another process has removed it as empty.
TRIES = 100

# Where the open files of a process are reached, also those that have no name.
DESCRIPTORS = "/proc/self/fd/"

ALL_MAY_WRITE = 0o666


@contextmanager
def draft(
    directory: str,
    *,
    named: bool = False,
    make: Callable[[], None] | None = None,
    fill: Callable[[str], object] = str,
) -> Iterator[str]:
    """Make an empty file, with the permissions that a new one has there; yield its path.

    ``named``: in the folder, even if the system can do without. ``make`` makes the
    directory, if it is missing. ``fill`` is called with the path first. Raises what these
    do, and ``OSError``; ``FileNotFoundError`` if there is no such directory.
    """
    opened: list[int] = []
    try:
        unnamed = not named and _open_unnamed(directory, opened)
        if not unnamed and make and not os.path.isdir(directory):
            make()
            unnamed = not named and _open_unnamed(directory, opened)
        if unnamed:
            path = f"{DESCRIPTORS}{opened[0]}"
            fill(path)
            yield path
            return
    finally:
        for descriptor in opened:
            os.close(descriptor)
    with in_folder(directory, _create) as path:
        fill(path)
        yield path


def is_unnamed(path: str) -> bool:
    """Whether it is a draft that has no name."""
    return path.startswith(DESCRIPTORS)


def place_of(path: str) -> str | int:
    """Return by what functions of ``os`` reach a draft, or another file, soonest."""
    descriptor = open_draft(path)
    return path if descriptor is None else descriptor


def open_draft(path: str) -> int | None:
    """Return the descriptor of a draft that has no name, by which all is quicker."""
    return int(path.removeprefix(DESCRIPTORS)) if is_unnamed(path) else None


def write_draft(path: str, chunks: Iterator[Any]) -> None:
    """Write a draft from its start, once: bytes or text, as its first chunk is."""
    # Opening it once more by its path takes longer than writing a small file.
    descriptor = open_draft(path)
    for first in chunks:
        if descriptor is not None and isinstance(first, bytes):
            for chunk in itertools.chain((first,), chunks):
                left = chunk
                while left:
                    left = left[os.write(descriptor, left) :]
            return
        # (Not by an ExitStack: what an interrupt left in a buffer would be written
        # later, to whatever has the descriptor by then.)
        place = path if descriptor is None else descriptor
        mode = "wb" if isinstance(first, bytes) else "w"
        with open(place, mode, closefd=descriptor is None) as file:
            file.write(first)
            file.writelines(chunks)


def _open_unnamed(directory: str, opened: list[int]) -> bool:
    """Open a file without a name, and note that; false if it is of no use.

    Tried every time: another directory may be on another file system, and may be
    mounted anew. Why it fails is of no interest: the folder's turn fails too, or not.
    """
    flag = getattr(os, "O_TMPFILE", None)
    if flag is None:
        return False
    with suppress(OSError):  # there may be no /proc
        opened += map(os.open, (directory,), (flag | os.O_RDWR,), (ALL_MAY_WRITE,))
        # Before Linux 6.0 the umask is forgotten on some file systems.
        mode = os.fstat(opened[0]).st_mode
        return stat.S_IMODE(mode) != ALL_MAY_WRITE and os.access(DESCRIPTORS, os.F_OK)
    return False


def _create(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, ALL_MAY_WRITE))


@contextmanager
def in_folder(directory: str, make: Callable[[str], object]) -> Iterator[str]:
    """Let ``make`` make a file in the folder, at the path it is given; yield the path.

    In the end the file is removed, if it is there, and the folder, if it is empty.
    """
    folder = os.path.join(directory, STAGING_FOLDER)
    path = os.path.join(folder, os.urandom(16).hex())
    try:
        _make_in(folder, path, make)
        yield path
    finally:
        try:
            _remove(path, folder)
        except BaseException:  # interrupted
            _remove(path, folder)
            raise


def _remove(path: str, folder: str) -> None:
    with suppress(FileNotFoundError, NotADirectoryError):
        os.unlink(path)
    _remove_if_empty(folder)


def _make_in(folder: str, path: str, make: Callable[[str], object]) -> None:
    for left in reversed(range(TRIES)):
        with suppress(FileExistsError):
            os.mkdir(folder)
            _give_to_owner_of(folder, os.path.dirname(folder))
        try:
            make(path)
        except FileNotFoundError:
            # Another process has just removed the folder: it was empty.
            if not left:
                raise
        else:
            return


def _give_to_owner_of(made: str, other: str) -> None:
    # A command that root runs must not keep the web server's user out.
    with suppress(OSError, AttributeError):  # AttributeError: no chown on Windows
        seen = os.stat(other)
        os.chmod(made, stat.S_IMODE(seen.st_mode))
        os.chown(made, seen.st_uid, seen.st_gid)


def _remove_if_empty(folder: str) -> None:
    with suppress(OSError):  # others have files in it, or it is gone
        os.rmdir(folder)


def sweep(directory: str) -> None:
    """Remove from the folder what killed processes, and earlier versions, have left."""
    folder = f"{directory}/{STAGING_FOLDER}"
    if not os.access(folder, os.F_OK):
        return
    try:
        entries = os.scandir(folder)
    except OSError:
        return
    deadline = time.time() - ABANDONED
    with entries:
        for entry in entries:
            with suppress(OSError):  # another process was faster
                # Not st_mtime: a copy has that of its original.
                if re.fullmatch(OURS, entry.name) and entry.stat().st_ctime < deadline:
                    os.unlink(entry.path)
    _remove_if_empty(folder)
