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

LOG_IN: Final = "it redirects to a page: a log-in, or maintenance"


def is_page(answer: Answer) -> bool:
    """Whether an answer is a page: a file of that kind, or something in its place."""
    return answer.media_type in PAGES


def may_be_page(name: str) -> bool:
    """Whether the file of a name may be a page."""
    expected, _ = mimetypes.guess_type(name)
    return expected is None or expected in PAGES


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
    """Tells a file from what a site gives in its place. Thread-safe."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[float, Nobody]] = {}

    def refuse(self, name: str, answer: Answer, ask: Callable[[str], Answer]) -> None:
        """Raise ``FileNotFoundError`` for a page in place of a missing file.

        And ``OriginError`` for a page of which that is not known. ``answer``: to a HEAD
        where the file may be a page, for pages are compared by their heads; closed.
        ``ask`` sends one question for a name, a HEAD, and returns its answer, closed.
        """
        if not is_page(answer):
            return
        if answer.redirected and not may_be_page(name):
            raise OriginError(LOG_IN)
        nobody = self._nobody(name, ask)
        if nobody.media_type is None:
            if may_be_page(name):
                return
            raise OriginError("it answers with a page in the file's place")
        if not may_be_page(name) or nobody.is_like(answer):
            if answer.redirected:
                raise OriginError(LOG_IN)
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)

    def _nobody(self, name: str, ask: Callable[[str], Answer]) -> Nobody:
        directory, filename = posixpath.split(name)
        extension = posixpath.splitext(filename)[1]
        kind = directory.partition("/")[0], extension
        now = time.monotonic()
        until, nobody = self._known.get(kind, (now, Nobody()))
        if now < until:
            return nobody
        try:
            answer = ask(posixpath.join(directory, f"{uuid.uuid4().hex}{extension}"))
            headers = answer.headers
            nobody = Nobody(
                answer.media_type, headers.get("Content-Length"), headers.get("ETag")
            )
        except FileNotFoundError:
            nobody = Nobody()
        if len(self._known) >= KINDS:
            self._known.clear()
        self._known[kind] = now + LIFETIME, nobody
        return nobody
