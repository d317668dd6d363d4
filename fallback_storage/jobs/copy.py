"""One copy to the home, checked before it can be seen."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from fallback_storage.chain.listing import is_read_as_stored
from fallback_storage.exceptions import CorruptCopyError, TornCopyError
from fallback_storage.jobs.compare import Content, content_of, moment_of
from fallback_storage.jobs.inplace import Notes, confirm
from fallback_storage.operations import staging
from fallback_storage.operations.files import AnyFile

if TYPE_CHECKING:
    import threading
    from typing import BinaryIO

    from fallback_storage.chain.backend import Backend, Blame
    from fallback_storage.chain.flat_listing import Listed
    from fallback_storage.operations.overlay import Overlay


class Copier:
    """Copies files to the home of an overlay, until ``stop`` is set.

    ``notes``: where a copy is noted while it is written, if the home needs that.
    """

    def __init__(
        self, overlay: Overlay, notes: Notes | None, stop: threading.Event
    ) -> None:
        self.overlay = overlay
        self.notes = notes
        self.stop = stop

    def copy(self, source: Backend, index: int, shows: Listed, blame: Blame) -> bool:
        """Copy what backend ``index`` holds; false if the home has the name already.

        Raises what ``Overlay.copy_up`` raises, ``TornCopyError`` if the copy has not
        the size that is shown, ``CorruptCopyError`` if it has not the MD5.
        """
        home = self.overlay.home
        storage: Any = source.storage
        with blame.asking(source):
            moment = moment_of(source, shows.name)
            opened = storage._open(shows.name, "rb")
        with opened, blame.asking(home):
            check = _Check(self, source, opened, shows, blame, moment=moment)
            reading = _Reading(self, source, opened, shows, blame)
            try:
                copied = self.overlay.copy_up(shows.name, index, reading, check)
                if copied and check.reads_all and check.content is not None:
                    confirm(self.overlay, shows.name, check.content)
            except Exception:
                if check.has_noted:
                    self._withdraw(shows.name)
                raise
            if self.notes and (copied or check.has_noted):
                # Not copied: what is there now is somebody else's, whole or not.
                self.notes.remove(shows.name)
        return copied

    def _withdraw(self, name: str) -> None:
        """Remove the note of a copy that failed, if it left nothing."""
        # Else the next run takes what is saved here meanwhile for a part of the copy.
        with suppress(Exception):  # the copy's failure is what counts
            if self.notes and not self.overlay.home.storage.exists(name):
                self.notes.remove(name)


class _Check:
    """Compares a copy, before it can be seen, with what the listing shows of the file.

    ``reads_all``: read the copy, for ``content``, also where only its size is shown.
    """

    content: Content | None = None
    has_noted = False  # by this copy, not by another process

    def __init__(
        self,
        copier: Copier,
        source: Backend,
        opened: Any,
        shows: Listed,
        blame: Blame,
        *,
        moment: int | None,
    ) -> None:
        self._moment = moment
        self.reads_all = not staging.can_stage(copier.overlay.home.storage)
        self._notes = copier.notes
        self._source = source
        self._opened = opened
        self._shows = shows
        self._blame = blame

    def __call__(self, copy: BinaryIO) -> None:
        with self._blame.asking(self._source):
            self._compare(copy)
        if self._notes:
            self.has_noted = self._notes.add(self._shows.name)

    def _compare(self, copy: BinaryIO) -> None:
        name, size, md5 = self._shows
        if not is_read_as_stored(self._source, self._opened):
            size = md5 = None
        found = copy.seek(0, os.SEEK_END)
        if size not in {None, found}:
            raise TornCopyError(name, size, found)
        if moment_of(self._source, name) != self._moment:
            raise CorruptCopyError(name)  # written to while it was read
        if md5 or self.reads_all:
            copy.seek(0)
            self.content = content_of(copy)
            if md5 not in {None, self.content.md5}:
                raise CorruptCopyError(name)


class _Reading(AnyFile):
    """A file that is being copied; it ends with the run."""

    file: Any

    def __init__(
        self, copier: Copier, source: Backend, opened: Any, shows: Listed, blame: Blame
    ) -> None:
        super().__init__(opened, shows.name)
        self._stop = copier.stop
        self._source = source
        self._blame = blame

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("_") or attribute == "file":
            raise AttributeError(attribute)
        return getattr(self.file, attribute)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> Any:
        """Seek; S3 sends the file now."""
        with self._blame.asking(self._source):
            return self.file.seek(offset, whence)

    def read(self, size: int = -1, /) -> Any:
        """Read on, if the run goes on."""
        if self._stop.is_set():
            raise InterruptedError(errno.EINTR, "the run was ended", self.name)
        with self._blame.asking(self._source):
            return self.file.read(size)
