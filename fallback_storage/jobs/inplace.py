"""Copies in homes where a file cannot be written beside its name first.

What arrives there is looked at afterwards. And where a file is written in place, a
process that is killed leaves half of it under the name. So the copy is noted before it
is written, in a folder of ours, and the note is removed after: what a note speaks of is
looked at by the next run. Object stores show a file when all of it has arrived; they
need no notes.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from django.core.files.base import ContentFile, File

from fallback_storage.cache import invalidation
from fallback_storage.chain.listing import reads_as_stored
from fallback_storage.chain.names import STAGING_FOLDER, affected
from fallback_storage.chain.walk import NOTHING, Walk
from fallback_storage.exceptions import CorruptCopyError, TornCopyError
from fallback_storage.jobs.compare import Content, content_in, content_of, shown
from fallback_storage.operations import staging
from fallback_storage.operations.files import rewindable
from fallback_storage.operations.partial import is_idle

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from fallback_storage.chain.backend import Backend
    from fallback_storage.chain.listing import Listed
    from fallback_storage.operations.overlay import Overlay

# Storages that never show a part of a file, and whose servers check what arrives.
WHOLE_CLASSES = frozenset(
    {
        "django.core.files.storage.memory.InMemoryStorage",
        "storages.backends.azure_storage.AzureStorage",
        "storages.backends.gcloud.GoogleCloudStorage",
        "storages.backends.s3.S3Storage",
    }
)

PREFIX = f"{STAGING_FOLDER}/copying-"


def shows_parts(home: Backend) -> bool:
    """Whether half a copy may be found in the home, after a kill."""
    return not (staging.can_stage(home.storage) or home.is_one_of(WHOLE_CLASSES))


# What has arrived


def confirm(overlay: Overlay, name: str, content: Content) -> None:
    """Look whether a copy that was just made has this content; else remove it.

    Raises ``CorruptCopyError`` if it has not. A file that somebody wrote to after the
    copy was made is kept.
    """
    home = overlay.home
    state = _state_of(home, name)
    if _is_sure(home, state[0], content):
        return
    found = content_in(home, name)
    if found == content:
        return
    with overlay.exclusive(name):
        if _state_of(home, name) == state and content_in(home, name) == found:
            home.storage.delete(name)
    invalidation.invalidate(affected(name))
    raise CorruptCopyError(name)


def _is_sure(home: Backend, shows: Listed, content: Content) -> bool:
    """Whether it needs not be read to know that it is whole."""
    if shows.md5 is not None and shows.md5 == content.md5:
        return True
    if shows.size != content.size or not home.is_one_of(WHOLE_CLASSES):
        return False
    return shows.md5 is None or not reads_as_stored(home, shows.name)


def _state_of(home: Backend, name: str) -> tuple[Listed, datetime | None]:
    shows, moment = shown(home, name), None
    if shows.md5 is None and home.implements("get_modified_time"):
        moment = home.storage.get_modified_time(name)
    return shows, moment


# What a killed run has left


class Notes:
    """The names that are being written in a home."""

    def __init__(self, home: Backend) -> None:
        self._home = home
        self._storage: Any = home.storage

    def add(self, name: str) -> bool:
        """Note that ``name`` is about to be written; false if that was noted already."""
        place = _place(name)
        if self._storage.exists(place):
            return False
        self._storage._save(place, ContentFile(_encoded(name)))
        return True

    def remove(self, name: str) -> None:
        """Note that all of ``name`` is there, or nothing of it."""
        self._storage.delete(_place(name))

    def names(self) -> list[str]:
        """Return what was being written when a run was killed."""
        asking = Walk("listdir", STAGING_FOLDER)
        listing = asking.ask(self._home, "listdir", STAGING_FOLDER)
        if asking.failed:
            raise asking.error()
        files = [] if listing is NOTHING else listing[1]
        places = [f"{STAGING_FOLDER}/{file}" for file in files]
        notes = [place for place in places if place.startswith(PREFIX)]
        return [name for name in map(self._read, notes) if name]

    def _read(self, place: str) -> str:
        with self._storage._open(place, "rb") as file:
            name: str = file.read().decode(errors="surrogateescape")
        if _place(name) == place:
            return name
        # Killed while the note was written: nothing else was, yet.
        self._storage.delete(place)
        return ""

    def settle(self, name: str, sources: Sequence[Backend]) -> None:
        """Remove what a killed run wrote of ``name``, if that is a part of the file.

        Raises ``TornCopyError`` if it is neither a part nor all of it: somebody may
        have written to it since, so it is kept.
        """
        if self._storage.exists(name):
            with self._storage._open(name, "rb") as copy:
                if not is_idle(copy):
                    return  # it is being written now
                found = content_of(copy)
            beginning, whole = _look_up(name, sources, found.size)
            if found == beginning and found != whole:
                self._storage.delete(name)
                invalidation.invalidate(affected(name))
            elif found != whole:
                self.remove(name)
                size = whole.size if whole else None
                raise TornCopyError(name, size, found.size)
        self.remove(name)


def _look_up(
    name: str, sources: Sequence[Backend], size: int
) -> tuple[Content | None, Content | None]:
    """Return the first ``size`` bytes of what was copied, and all; None if it is gone."""
    for source in sources:
        storage: Any = source.storage
        with source.asking():
            if not storage.exists(name):
                continue
            with (
                storage._open(name, "rb") as opened,
                rewindable(File(opened, name)) as content,
            ):
                beginning = content_of(content, size)
                content.seek(0)
                return beginning, content_of(content)
    return None, None


def _place(name: str) -> str:
    return PREFIX + hashlib.sha256(_encoded(name)).hexdigest()


def _encoded(name: str) -> bytes:
    # A file system lists names that are no UTF-8, too.
    return name.encode(errors="surrogateescape")
