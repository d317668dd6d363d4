"""Files that appear whole or not at all, on a local file system.

``FileSystemStorage`` writes in place: a reader sees half a file meanwhile, and a killed
process leaves it. Here its ``_save`` is done in two steps: the content is written to a
draft, and the finished file gets its name at once, unless that is taken. A temporary
upload is its own draft: it is moved, as Django moves it.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.files.storage import FileSystemStorage

from fallback_storage.chain.equivalents import has_djangos
from fallback_storage.chain.names import STAGING_FOLDER
from fallback_storage.chain.paths import path_of
from fallback_storage.exceptions import NoAvailableNameError
from fallback_storage.operations.directories import in_directory, make_directories
from fallback_storage.operations.drafts import (
    draft,
    in_folder,
    is_unnamed,
    open_draft,
    sweep,
    write_draft,
)
from fallback_storage.operations.naming import NAME_TRIES
from fallback_storage.operations.rootlock import exclusive

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager


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


# Content


def staged(
    storage: Any, content: Any, name: str, final: str | None = None
) -> AbstractContextManager[str]:
    """Return what writes ``content`` where nobody asks, and yields its path.

    It is to be ``name``, whose path is ``final``. What is not published goes in the end.
    An upload stays where it was received.
    """
    directory = os.path.dirname(final or path_of(storage, name))
    sweep(directory)
    if directory != storage.location:
        sweep(storage.location)
    if hasattr(content, "temporary_file_path"):
        if not os.path.isdir(directory):
            make_directories(storage, name)
        return nullcontext(os.fspath(content.temporary_file_path()))

    def fill(path: str) -> None:
        write_draft(path, iter(content.chunks()))
        _dress(storage, path)

    make = partial(make_directories, storage, name)
    return draft(directory, make=make, fill=fill)


def save_whole(
    storage: Any, another_name: Callable[[str], str], name: str, content: Any
) -> str:
    """Save a file under its name, or another one, whole; return that name.

    Raises what the system raises.
    """
    asked, final = name, path_of(storage, name)
    with staged(storage, content, name, final) as path:
        replace = getattr(storage, "_allow_overwrite", False)
        for _ in range(NAME_TRIES):
            try:
                publish(storage, path, name, replace=replace, final=final)
            except FileExistsError:
                # Somebody took the name since it was chosen: FileSystemStorage would
                # look for another one in its own files alone.
                name = another_name(name)
                final = path_of(storage, name)
            else:
                return name
    raise NoAvailableNameError(asked, NAME_TRIES, "get_available_name()")


def _dress(storage: Any, path: str) -> None:
    """Give a file the permissions and the group that ``FileSystemStorage`` gives it."""
    mode, descriptor = storage.file_permissions_mode, open_draft(path)
    if descriptor is None or not has_djangos(storage, "_ensure_location_group_id"):
        if mode is not None:
            os.chmod(path, mode)
        storage._ensure_location_group_id(path)
        return
    # As a rule it has both already.
    found = os.fstat(descriptor)
    if mode is not None and mode != stat.S_IMODE(found.st_mode):
        os.fchmod(descriptor, mode)
    if found.st_gid != os.stat(storage.location).st_gid:
        storage._ensure_location_group_id(path)


# Names


def publish(
    storage: Any, path: str, name: str, *, replace: bool, final: str | None = None
) -> None:
    """Move a staged file to its name, whose path is ``final``.

    Raises ``FileExistsError`` if the name is taken, unless that may be replaced.
    """
    final = final or path_of(storage, name)
    give_name = partial(_give_name, storage, final=final, replace=replace)
    try:
        in_directory(storage, name, partial(give_name, path))
    except FileExistsError:
        raise
    except OSError:
        # It is on another file system, or another mount of the same; or it has no name,
        # and there are no hard links.
        with draft(os.path.dirname(final), named=is_unnamed(path)) as near:
            _copy(path, near)
            _dress(storage, near)
            give_name(near)
        _remove(path)


def _give_name(storage: Any, path: str, *, final: str, replace: bool) -> None:
    """Move a file to its name, if that can be done without copying it."""
    if not is_unnamed(path):
        _move(storage, path, final, replace=replace)
        return
    try:
        _link_unnamed(path, final)
    except FileExistsError:
        if not replace:
            raise
        # Only what has a name can take the place of another file.
        with in_folder(os.path.dirname(final), partial(_link_unnamed, path)) as near:
            os.replace(near, final)


def _link_unnamed(path: str, final: str) -> None:
    # With a descriptor, which an absolute path makes no use of, Python calls linkat():
    # link() would link to what is a symbolic link in /proc.
    os.link(path, final, src_dir_fd=0, follow_symlinks=True)


def _move(storage: Any, path: str, final: str, *, replace: bool) -> None:
    if replace:
        os.replace(path, final)
    else:
        _move_if_free(storage, path, final)
    try:
        # Not before: others may look into the directory of an upload.
        _dress(storage, final)
    except FileNotFoundError:
        pass  # deleted already
    except BaseException:
        if os.path.lexists(path):  # it could be linked, and not be removed
            os.unlink(final)
        else:
            os.replace(final, path)
        raise


def _move_if_free(storage: Any, path: str, final: str) -> None:
    try:
        os.link(path, final)
    except FileExistsError:
        raise
    except OSError:
        # No hard links here (FAT, some network shares).
        with exclusive(storage) as locked:
            _rename_if_free(path, final, locked=locked)
    else:
        _remove(path)


def _rename_if_free(path: str, final: str, *, locked: bool) -> None:
    if not locked:
        # Nobody can be kept out. So the name is taken as Django takes it: better a file
        # that is empty for a moment than two of which one is lost.
        Path(final).touch(exist_ok=False)
    elif os.path.lexists(final):  # writers that know no lock find a small gap
        raise FileExistsError(errno.EEXIST, "taken", final)
    try:
        os.replace(path, final)
    except BaseException:
        if not locked:
            os.unlink(final)
        raise


def _copy(path: str, near: str) -> None:
    """Copy a file as Django copies an upload that it cannot move."""
    shutil.copyfile(path, near)
    try:
        shutil.copystat(path, near)
    except PermissionError:
        with suppress(PermissionError):
            shutil.copymode(path, near)


def _remove(path: str) -> None:
    if not is_unnamed(path):
        with suppress(OSError):  # an upload that only its owner may remove
            os.unlink(path)
