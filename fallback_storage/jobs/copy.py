"""Copies to the home: made, checked, and told from halves that killed runs have left.

Where a file can be written beside its name first, nobody ever sees half a copy. Object
stores show a file when all of it has arrived. Any other home is written to in place: a
process that is killed leaves a *part* under the name, a true beginning of the file. It
may as well be what somebody saved, so it is replaced only if that is asked for.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from fallback_storage.cache.invalidation import announced
from fallback_storage.chain.backend import BackendError
from fallback_storage.chain.headers import form_of, shows_plain
from fallback_storage.chain.names import affected
from fallback_storage.chain.outcomes import Outcome, classify, http_status, s3_code
from fallback_storage.chain.reachability import is_unreachable
from fallback_storage.exceptions import CorruptCopyError
from fallback_storage.jobs.compare import (
    Content,
    content_in,
    content_of,
    modified_in,
    shown,
)
from fallback_storage.jobs.original import Original, ReplacedError, refuse_replaced
from fallback_storage.operations import staging
from fallback_storage.operations.partial import is_idle
from fallback_storage.utils.unanswered import Unanswered

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from fallback_storage.chain.backend import Backend
    from fallback_storage.chain.flat_listing import Listed
    from fallback_storage.chain.within import Send
    from fallback_storage.operations.copies import Copies

# A client of boto3's has so many, as a rule.
CONNECTIONS: Final = 10

# How a server tells that it copies nothing for whoever asks: it has no such method, or
# does not do it; and that he may not (403, which has other reasons as well).
CANNOT_SEND: Final = frozenset({405, 501})
ACCESS_DENIED: Final = "AccessDenied"


class Copier:
    """Copies files to the home of a chain, in so many ``jobs``, until ``stop`` is set.

    ``leaves_parts``: half a copy may be found in the home, after a kill.
    """

    def __init__(self, copies: Copies, stop: threading.Event, jobs: int) -> None:
        self._copies = copies
        self._home = copies.overlay.home
        self._storage: Any = self._home.storage
        self._stop, self._jobs = stop, jobs
        self._confirms = not staging.can_stage(self._storage)
        self._is_whole = self._home.profile.whole
        self.leaves_parts = self._confirms and not self._is_whole
        self._clients: dict[Backend, Any] = {}
        self._guard = threading.Lock()
        # What is to be read and saved, and of which backends all is.
        self._refused: set[tuple[Backend, str]] = set()
        self._send_nothing: set[Backend] = set()

    def copy(
        self, source: Backend, index: int, shows: Listed, part: Content | None = None
    ) -> Listed | None:
        """Copy what backend ``index`` holds; return what it is, None if it is there already.

        ``part``: replace this, if it is still what the home has.

        Raises ``ReplacedError`` if it is not what ``shows`` says any more, and as a
        ``BackendError`` what ``Copies.copy_up`` raises, ``TornCopyError`` if the copy has
        not the size that is shown, and ``CorruptCopyError`` if it has not the MD5, or
        does not arrive as it was.
        """
        name = shows.name
        with source.asking():
            send = self._sender_of(source, name)
            client = None if send else self._client_of(source)
            original = Original(
                source, shows, client, self._stop, reads_all=self._confirms
            )
            if send:
                original.send_by(send)
        with original, self._home.asking():
            make_room = partial(self._remove, name, part) if part else None
            try:
                copied = self._copies.copy_up(
                    name,
                    index,
                    original,
                    original.form,
                    original.check,
                    make_room=make_room,
                )
            except Exception as error:
                refuse_replaced(source, name, error)
                if original.fails:
                    raise BackendError(source, error) from error
                if original.form.send and self._refuses(source, name, error):
                    raise ReplacedError(self._home, error) from error
                raise
            if copied and original.content and self._confirms:
                self._confirm(name, original.content)
        return original.shows if copied else None

    def _sender_of(self, source: Backend, name: str) -> Send | None:
        """Return what has a server copy by itself, if it is that of the home, too."""
        find = source.profile.send
        if find is None or find is not self._home.profile.send:
            return None
        if source in self._send_nothing or (source, name) in self._refused:
            return None
        return find(source.storage, self._storage)

    def _refuses(self, source: Backend, name: str, error: Exception) -> bool:
        """Whether the server does not make a copy by itself, which reading may do.

        It may make others, unless it says that this is not allowed, or cannot be done.
        """
        status = http_status(error)
        if status not in CANNOT_SEND and is_unreachable(error):
            return False
        if classify(error) is Outcome.ABSENT:
            return False
        if status in CANNOT_SEND or s3_code(error) == ACCESS_DENIED:
            self._send_nothing.add(source)
        self._refused.add((source, name))
        return True

    def _client_of(self, source: Backend) -> Any:
        """Return a client of the source's, if it gets files by one.

        All jobs share it, as far as it has connections for them, with whoever lists: to
        make one takes as long as copying 50 files.
        """
        make = source.profile.client
        if source.profile.get is None or make is None:
            return None
        if self._jobs >= CONNECTIONS:
            return make(source.storage)
        with self._guard:
            if source not in self._clients:
                self._clients[source] = self._lend(source, make)
            return self._clients[source]

    def _lend(self, source: Backend, make: Callable[[Any], object]) -> object:
        """Return the client of the thread that the source was last asked from."""
        try:
            return source.reach.in_time(source, partial(make, source.storage))
        except Unanswered:
            return make(source.storage)

    def part(self, source: Backend, shows: Listed, size: int | None) -> Content | None:
        """Return what the home has of a file, if that is a beginning of it, not all.

        ``size``: bytes of the home's file, if they are known. What is being written now
        is no part. Raises a ``BackendError``.
        """
        storage: Any = source.storage
        with source.asking(), storage._open(shows.name, "rb") as opened:
            is_as_long = size and shows.size and size >= shows.size
            form = form_of(source, shows.name, opened)
            plain = form.plain(opened)
            if is_as_long and form.as_stored and plain is opened:
                return None  # and need not be read
            found = self._read_idle(shows.name)
            if found is None or content_of(plain, found.size) != found:
                return None
            return found if plain.read(1) else None

    def _confirm(self, name: str, content: Content) -> None:
        """Look whether a copy that was just made has this content; else remove it.

        Raises ``CorruptCopyError`` if it has not. A file that somebody wrote to after
        the copy was made is kept.
        """
        state = shows, _ = self._state_of(name)
        if shows.md5 == content.md5:
            return
        is_sure = self._is_whole and shows.size == content.size
        if is_sure and (shows.md5 is None or not shows_plain(self._home, name)):
            return
        found = content_in(self._home, name)
        if found != content:
            self._remove(name, found, state)
            raise CorruptCopyError(name)

    def _state_of(self, name: str) -> tuple[Listed, datetime | None]:
        shows, moment = shown(self._home, name), None
        if shows.md5 is None and self._home.implements("get_modified_time"):
            moment = modified_in(self._home, name)
        return shows, moment

    def _remove(self, name: str, content: Content, state: object = None) -> None:
        """Remove the home's file, if it has this content, and this state, still."""

        def remove() -> None:
            with self._copies.overlay.exclusive(name):
                is_same = state is None or self._state_of(name) == state
                if is_same and self._read_idle(name) == content:
                    self._storage.delete(name)

        announced(remove, lambda: affected(name))

    def _read_idle(self, name: str) -> Content | None:
        """Read the home's file; None if somebody is writing it."""
        with self._home.asking(), self._storage._open(name, "rb") as file:
            return content_of(file) if is_idle(file) else None
