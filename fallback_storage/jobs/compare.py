"""Whether two backends hold the same file under a name.

What a listing shows costs nothing, so it is compared first. But it tells of what is
stored, which may be a compressed or an encrypted form of what is read.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from django.core.files.storage import FileSystemStorage
from django.utils import timezone

from fallback_storage.chain.flat_listing import Listed, flat_pages, lists_flat
from fallback_storage.chain.headers import form_of, shows_plain
from fallback_storage.chain.paths import path_of
from fallback_storage.exceptions import EncodedFileError
from fallback_storage.operations.partial import CHUNK

if TYPE_CHECKING:
    from datetime import datetime

    from fallback_storage.chain.backend import Backend
    from fallback_storage.chain.headers import Form


class Content(NamedTuple):
    """What was read of a file."""

    size: int
    md5: str


def content_of(file: Any, limit: int | None = None) -> Content:
    """Read an open file from where it stands, at most ``limit`` bytes of it."""
    size, digest = 0, hashlib.md5(usedforsecurity=False)
    while limit is None or size < limit:
        chunk = file.read(CHUNK if limit is None else min(CHUNK, limit - size))
        if not chunk:
            break
        size += len(chunk)
        digest.update(chunk)
    return Content(size, digest.hexdigest())


def content_in(backend: Backend, name: str) -> Content:
    """Read all of a backend's file, without the coding that it may be stored in."""
    storage: Any = backend.storage
    with backend.asking(), storage._open(name, "rb") as opened:
        return plain_content(form_of(backend, name, opened), opened)


def plain_content(form: Form, opened: Any) -> Content:
    """Read a file without its coding; as it is, if it only says that it has one."""
    try:
        return content_of(form.plain(opened))
    except EncodedFileError:
        opened.seek(0)
        return content_of(opened)


def tells_sizes_at_once(backend: Backend) -> bool:
    """Whether to ask for a size is no request over a network."""
    return isinstance(backend.storage, FileSystemStorage)


def size_in(
    backend: Backend, name: str, found: os.stat_result | None = None
) -> int | None:
    """Return the size of a backend's file; None if it has none to tell.

    ``found``: what ``stat_of`` has returned already.
    """
    with backend.asking():
        found = found or stat_of(backend, name)
        if found is not None and "size" in backend.answers:
            return found.st_size
        known = _head(backend, name)
        with suppress(NotImplementedError):
            return known[0] if known else backend.storage.size(name)
    return None


def modified_in(backend: Backend, name: str) -> datetime:
    """Return when a backend's file was written, aware. Raises what the backend raises."""
    known = _head(backend, name)
    found = known[1] if known else backend.storage.get_modified_time(name)
    return timezone.make_aware(found) if timezone.is_naive(found) else found


def _head(backend: Backend, name: str) -> tuple[int, datetime] | None:
    head = backend.profile.head
    return head and head(backend.storage, name)


def sized(
    backend: Backend, shows: Listed, found: os.stat_result | None = None
) -> Listed:
    """Return what is shown of a file with its size, which is asked for if need be."""
    if shows.size is not None:
        return shows
    return shows._replace(size=size_in(backend, shows.name, found))


def stat_of(backend: Backend, name: str) -> os.stat_result | None:
    """Return what the system knows of a local file; None of others.

    Raises ``IsADirectoryError``: a directory has a size, too.
    """
    if not tells_sizes_at_once(backend):
        return None
    found = os.stat(path_of(backend.storage, name))  # noqa: PTH116 - for each of many
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
    return found


def shown(backend: Backend, name: str) -> Listed:
    """Return what a listing of this one file shows, else its size."""
    with backend.asking():
        if lists_flat(backend):
            # The name itself is the first of all that begin with it.
            for listed in next(flat_pages(backend, name), []):
                if listed.name == name:
                    return listed
    return Listed(name, size_in(backend, name))


def differ(
    one: Backend,
    shows: Listed,
    other: Backend,
    other_shows: Listed,
    *,
    surely: bool = False,
) -> bool:
    """Whether two files are not the same, as far as listings show; reads few of them.

    ``surely``: where no listing shows a checksum, both are read.
    """
    name, sides = shows.name, ((one, shows), (other, other_shows))
    has_md5 = bool(shows.md5 or other_shows.md5)
    different = len({side.size for _, side in sides} - {None}) > 1
    if has_md5 and not different:
        md5s = {side.md5 or content_in(backend, name).md5 for backend, side in sides}
        different = len(md5s) > 1
    if different:
        # What is stored in another form is decided by what is read.
        if all(shows_plain(backend, name) for backend, _ in sides):
            return True
    elif has_md5 or not surely:
        return False
    return content_in(one, name) != content_in(other, name)
