"""Sites that answer 200 for files that they do not have: a soft 404.

A single-page app answers every URL with its page, and so does whoever parks a domain.
It is known by its type, and by what a name gets that nobody has. Of a page that comes in
a picture's place from a site that tells "not found" by 404 nothing is known: that may be
maintenance, or a door.
"""

from __future__ import annotations

import errno
import mimetypes
import os
import posixpath
import threading
import time
import uuid
from typing import TYPE_CHECKING, Final, NamedTuple

from fallback_storage.exceptions import OriginError

if TYPE_CHECKING:
    from collections.abc import Callable

    from fallback_storage.http.origin import Answer

PAGES: Final = frozenset({"text/html", "application/xhtml+xml"})

# Seconds for which it is known what a name gets that nobody has, and of how many kinds
# of names at the most.
LIFETIME: Final = 300.0
KINDS: Final = 64


class Nobody(NamedTuple):
    """What was answered for a name that nobody has; all None: that it is missing."""

    media_type: str | None = None
    length: str | None = None
    etag: str | None = None

    def is_like(self, answer: Answer) -> bool:
        """Whether an answer is that for nobody's name."""
        if self.media_type != answer.media_type:
            return False
        etag = answer.headers.get("ETag")
        if self.etag or etag:
            return self.etag == etag
        return self.length == answer.headers.get("Content-Length")


class SoftNotFound:
    """Tells a file from what a site gives in its place. Thread-safe.

    ``ask`` sends one question for a name and returns its answer, closed.
    """

    def __init__(
        self,
        ask: Callable[[str], Answer],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], tuple[float, Nobody]] = {}

    def refuse(self, name: str, answer: Answer) -> None:
        """Raise ``FileNotFoundError`` for a page in place of a missing file.

        And ``OriginError`` for a page of which that is not known.
        """
        if answer.media_type not in PAGES:
            return
        expected, _ = mimetypes.guess_type(name)
        may_be_page = expected is None or expected in PAGES
        if answer.redirected and not may_be_page:
            raise OriginError("it redirects to a page: a log-in, or maintenance")
        nobody = self._nobody(name)
        if nobody.media_type is None:
            if may_be_page:
                return
            raise OriginError("it answers with a page in the file's place")
        if not may_be_page or nobody.is_like(answer):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)

    def _nobody(self, name: str) -> Nobody:
        directory, filename = posixpath.split(name)
        extension = posixpath.splitext(filename)[1]
        kind = directory.partition("/")[0], extension
        now = self._clock()
        until, nobody = self._known.get(kind, (now, Nobody()))
        if now < until:
            return nobody
        try:
            answer = self._ask(
                posixpath.join(directory, f"{uuid.uuid4().hex}{extension}")
            )
            headers = answer.headers
            nobody = Nobody(
                answer.media_type, headers.get("Content-Length"), headers.get("ETag")
            )
        except FileNotFoundError:
            nobody = Nobody()
        with self._lock:
            if len(self._known) >= KINDS:
                self._known.clear()
            self._known[kind] = now + LIFETIME, nobody
        return nobody
