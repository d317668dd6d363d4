"""A file that ``sync`` copies: opened, read on while the run goes on, and compared."""

from __future__ import annotations

import errno
import hashlib
import os
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from fallback_storage.chain.backend import BackendError
from fallback_storage.chain.flat_listing import Listed
from fallback_storage.chain.headers import form_of
from fallback_storage.chain.outcomes import http_status
from fallback_storage.exceptions import CorruptCopyError, TornCopyError
from fallback_storage.jobs.compare import (
    Content,
    content_of,
    plain_content,
    sized,
    stat_of,
)
from fallback_storage.operations.files import AnyFile

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from fallback_storage.chain.backend import Backend
    from fallback_storage.chain.within import Send

PRECONDITION_FAILED: Final = 412


class ReplacedError(BackendError):
    """Raised when a file is to be copied once more, from its start.

    It is not the one any more that was listed, or its server refused to copy it.
    """


class Original(AnyFile):
    """A file that is being copied. It ends with the run, and checks its copy.

    ``shows``: what is known of it. ``fails``: reading it raised, and was not tried again.
    (A home that reads it may make another error of that.) ``content``: of the copy, if
    that was read to check it.
    """

    file: Any
    fails = False
    content: Content | None = None
    _seen: os.stat_result | None = None

    def __init__(
        self,
        source: Backend,
        shows: Listed,
        client: Any,
        stop: threading.Event,
        *,
        reads_all: bool,
    ) -> None:
        self._source, self.shows = source, shows
        self._stop = stop
        self._reads_all = reads_all
        super().__init__(self._open(client), shows.name)
        try:
            self.form = form_of(source, shows.name, self.file)
            if self._seen and "get_modified_time" in source.answers:
                with suppress(ValueError, OverflowError):  # no year of any calendar
                    modified = datetime.fromtimestamp(self._seen.st_mtime, UTC)
                    self.form = self.form._replace(modified=modified)
        except BaseException:
            self.close()
            raise
        self._begin()

    def _open(self, client: Any) -> Any:
        source, name = self._source, self.shows.name
        storage: Any = source.storage
        if client is not None and source.profile.get is not None:
            try:
                sent = source.profile.get(storage, client, name, self.shows.etag)
            except Exception as error:
                refuse_replaced(source, name, error)
                raise
            size = self.shows.size if sent.size is None else sent.size
            self.shows = Listed(name, size, sent.etag)
            return sent
        self._seen = stat_of(source, name)
        self.shows = sized(source, self.shows, self._seen)
        soon = source.answers.get("_open")
        opened = soon and soon(name, "rb")
        return storage._open(name, "rb") if opened is None else opened

    def send_by(self, send: Send) -> None:
        """Have the server make the copy, if it is still this very file."""
        form, shows = self.form, self.shows

        def make() -> str:
            made = send(form.name, form.headers, self.file, shows.etag)
            if shows.md5 and form.as_stored and made != shows.md5:
                self.content = Content(shows.size or 0, shows.md5)  # to be looked at
            return form.name

        self.form = form._replace(send=make)

    def _begin(self) -> None:
        self._size = 0
        is_digested = self._reads_all or self.shows.md5 is not None
        self._digest = hashlib.md5(usedforsecurity=False) if is_digested else None

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("_") or attribute == "file":
            raise AttributeError(attribute)
        return getattr(self.file, attribute)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> Any:
        """Seek to the start; S3 sends the file now."""
        found = self._call(self.file.seek, offset, whence)
        self._begin()
        return found

    def read(self, size: int = -1, /) -> Any:
        """Read on, if the run goes on."""
        if self._stop.is_set():
            raise InterruptedError(errno.EINTR, "the run was ended", self.name)
        data = self._call(self.file.read, size)
        self._size += len(data)
        if self._digest is not None:
            self._digest.update(data)
        return data

    def _call(self, function: Callable[..., Any], *args: int) -> Any:
        # Not asking(): who reads a file has to know its errors by their types.
        self.fails = True
        answer = function(*args)
        self.fails = False
        return answer

    def check(self, copy: Any, size: int, *, is_decoded: bool) -> None:
        """Compare what was read, and its copy, with what the listing shows."""
        name, form, found = self.shows.name, self.form, self._size
        listed, md5 = self.shows.size, self.shows.md5
        if not form.as_stored:
            listed = md5 = None
        with self._source.asking():
            if not is_decoded and size != found:
                raise TornCopyError(name, found, size)
            if listed not in {None, found}:
                raise TornCopyError(name, listed, found)
            seen = self._seen and stat_of(self._source, name)
            if seen and self._seen and seen.st_mtime_ns != self._seen.st_mtime_ns:
                raise CorruptCopyError(name)  # written to while it was read
            if self._digest is not None:
                content = Content(found, self._digest.hexdigest())
                if md5 not in {None, content.md5}:
                    raise CorruptCopyError(name)
                self.content = content
            if form.coding and self._reads_all:
                copy.seek(0)
                self.content = (
                    content_of(copy) if is_decoded else plain_content(form, copy)
                )


def refuse_replaced(source: Backend, name: str, error: Exception) -> None:
    """Raise ``ReplacedError`` if that is what an error says."""
    if http_status(error) == PRECONDITION_FAILED:
        raise ReplacedError(source, CorruptCopyError(name)) from error
