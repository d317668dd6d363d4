"""One copy to the home, checked before it can be seen."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from fallback_storage.chain.backend import BackendError
from fallback_storage.chain.listing import is_read_as_stored
from fallback_storage.exceptions import CorruptCopyError, TornCopyError
from fallback_storage.jobs.compare import Content, content_of, moment_of
from fallback_storage.jobs.inplace import Notes, confirm
from fallback_storage.operations import staging
from fallback_storage.operations.files import AnyFile

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from typing import BinaryIO

    from fallback_storage.chain.backend import Backend
    from fallback_storage.chain.listing import Listed
    from fallback_storage.operations.overlay import Overlay


class Copier:
    """Copies files to the home of an overlay, until ``stop`` is set.

    ``notes``: where a copy is noted while it is written, if the home needs that.
    """

    def __init__(
        self, overlay: Overlay, notes: Notes | None, stop: threading.Event
    ) -> None:
        self._overlay = overlay
        self._notes = notes
        self._stop = stop

    def copy(self, source: Backend, index: int, shows: Listed) -> bool:
        """Copy what backend ``index`` holds; false if the home has the name already.

        Raises as a ``BackendError`` what ``Overlay.copy_up`` raises, ``TornCopyError``
        if the copy has not the size that is shown, and ``CorruptCopyError`` if it has
        not the MD5, or does not arrive as it was.
        """
        home = self._overlay.home
        with source.asking():
            original = _Original(source, shows, self._stop, self._notes)
            original.is_seen_late = not staging.can_stage(home.storage)
        with original, home.asking():
            try:
                copied = self._overlay.copy_up(
                    shows.name, index, original, original.check
                )
                if copied and original.content is not None:
                    confirm(self._overlay, shows.name, original.content)
            except Exception as error:
                if original.has_noted:
                    self._withdraw(shows.name)
                if original.fails:
                    raise BackendError(source, error) from error
                raise
            if self._notes and (copied or original.has_noted):
                # Not copied: what is there now is somebody else's, whole or not.
                self._notes.remove(shows.name)
        return copied

    def _withdraw(self, name: str) -> None:
        """Remove the note of a copy that failed, if it left nothing."""
        # Else the next run takes what is saved here meanwhile for a part of the copy.
        with suppress(Exception):  # the copy's failure is what counts
            if self._notes and not self._overlay.home.storage.exists(name):
                self._notes.remove(name)


class _Original(AnyFile):
    """A file that is being copied. It ends with the run, and checks its copy.

    ``fails``: reading it raised, and was not tried again. (A home that reads it may
    make another error of that.) ``is_seen_late``: the home shows the copy before all of
    it has arrived; so ``content`` is what was checked, to be compared with that.
    """

    file: Any
    fails = False
    is_seen_late = False
    content: Content | None = None
    has_noted = False  # by this copy, not by another process

    def __init__(
        self, source: Backend, shows: Listed, stop: threading.Event, notes: Notes | None
    ) -> None:
        self._moment = moment_of(source, shows.name)
        self._source = source
        self._shows = shows
        self._stop = stop
        self._notes = notes
        storage: Any = source.storage
        super().__init__(storage._open(shows.name, "rb"), shows.name)

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("_") or attribute == "file":
            raise AttributeError(attribute)
        return getattr(self.file, attribute)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> Any:
        """Seek; S3 sends the file now."""
        return self._call(self.file.seek, offset, whence)

    def read(self, size: int = -1, /) -> Any:
        """Read on, if the run goes on."""
        if self._stop.is_set():
            raise InterruptedError(errno.EINTR, "the run was ended", self.name)
        return self._call(self.file.read, size)

    def _call(self, function: Callable[..., Any], *args: int) -> Any:
        # Not by asking(): the home's storage has to know these errors by their types.
        self.fails = True
        answer = function(*args)
        self.fails = False
        return answer

    def check(self, copy: BinaryIO) -> None:
        """Compare the copy, before it can be seen, with what the listing shows."""
        with self._source.asking():
            self._compare(copy)
        if self._notes:
            self.has_noted = self._notes.add(self._shows.name)

    def _compare(self, copy: BinaryIO) -> None:
        name, size, md5 = self._shows
        if not is_read_as_stored(self._source, self.file):
            size = md5 = None
        found = copy.seek(0, os.SEEK_END)
        if size not in {None, found}:
            raise TornCopyError(name, size, found)
        if moment_of(self._source, name) != self._moment:
            raise CorruptCopyError(name)  # written to while it was read
        if md5 or self.is_seen_late:
            copy.seek(0)
            content = content_of(copy)
            if md5 not in {None, content.md5}:
                raise CorruptCopyError(name)
            if self.is_seen_late:
                self.content = content
