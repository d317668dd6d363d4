"""Copies of files in the home of an overlay: whole, under exactly their names.

They are made before a file is changed that a read-only backend holds, by ``sync``, and
on the first read of a file (promotion).
"""

from __future__ import annotations

import errno
import os
import tempfile
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from django.core.files.base import File

from fallback_storage.cache import invalidation
from fallback_storage.chain.headers import Form, form_of
from fallback_storage.chain.names import affected, memo_key
from fallback_storage.chain.paths import path_of
from fallback_storage.exceptions import TornCopyError
from fallback_storage.operations import staging
from fallback_storage.operations.allowance import NoRoomError
from fallback_storage.operations.drafts import place_of
from fallback_storage.operations.partial import Claim
from fallback_storage.signals import Promotion, promoted, send
from fallback_storage.utils.locks import copying
from fallback_storage.utils.logs import warner
from fallback_storage.utils.spools import SPOOL_MEMORY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from fallback_storage.chain.backend import Backend
    from fallback_storage.operations.allowance import Allowance
    from fallback_storage.operations.overlay import Overlay

    # What looks at a copy (None if it is on a disk), its size, and ``is_decoded``.
    Check = Callable[..., object]


class Copies:
    """Copies files to the home of one chain.

    ``promote``: on the first read; files of more than ``max_size`` bytes are not copied
    then, nor what is more than the ``allowance`` of the home.
    """

    def __init__(
        self,
        backends: Sequence[Backend],
        overlay: Overlay,
        allowance: Allowance,
        *,
        promote: bool,
        max_size: int | None,
    ) -> None:
        self._backends = tuple(backends)
        self.overlay = overlay
        self.allowance = allowance
        self._promote = promote
        self._max_size = max_size

    @property
    def _home(self) -> Backend:
        return self.overlay.home

    def promotes(self, name: str, index: int) -> bool:
        """Whether a file held by backend ``index`` is copied when it is read."""
        if (
            not self._promote
            or index <= self.overlay.home_index
            or memo_key(name) is None
        ):
            return False
        # Below a directory of that name no copy has a place.
        return not self._home.is_taken(name)

    @property
    def promotes_to_paths(self) -> bool:
        """Whether copies have paths."""
        return self._promote and self.overlay.has_home and self._home.implements("path")

    def promote(self, name: str, index: int, opened: Any, mode: str) -> tuple[Any, int]:
        """Copy a file that was just opened; return it from where it now is, and where.

        A failure to copy is logged, and the read goes on from the source.
        """
        holder = self._backends[index].storage
        if not self.has_room(name, _size_of(opened)):
            return opened, index
        if self._brings_home(name, index, opened if "b" in mode else None):
            with suppress(Exception):  # deleted again, or the home is down
                promoted = self._home.storage._open(name, mode)  # type: ignore[attr-defined]
                opened.close()
                return promoted, self.overlay.home_index
        # What was read of it for the copy is gone.
        with suppress(Exception):
            opened.close()
        return holder._open(name, mode), index  # type: ignore[attr-defined]

    def bring_home(self, name: str, index: int) -> bool:
        """Copy a file to the home, if it has room; return whether it is there now."""
        size = None
        if (self._max_size, self.allowance.max_total) != (None, None):
            with suppress(Exception):
                holder = self._backends[index]
                size = holder.ask(holder.storage.size, name)
        return self.has_room(name, size) and self._brings_home(name, index, None)

    def keep(
        self, name: str, index: int, content: Any, modified: datetime | None
    ) -> None:
        """Copy a file whose content, as it is without any coding, was read already."""
        if self.has_room(name, _size_of(File(content))):
            form = Form(name, {}, "", as_stored=True, modified=modified)
            self._brings_home(name, index, content, form)

    def _brings_home(
        self, name: str, index: int, source: Any, form: Form | None = None
    ) -> bool:
        begin = time.perf_counter()
        booked: list[int] = []
        copied = False
        try:
            check = partial(self.allowance.book, name, booked)
            copied = self.copy_up(name, index, source, form, check)
        except NoRoomError:
            return False
        except Exception as error:  # noqa: BLE001 - the read is what was asked for
            failure = self._backends[index].name, self._home.name, type(error).__name__
            warner.warn(failure, "%r was not copied from %r to %r: %s", name, *failure)
            return False
        finally:
            if not copied:
                self.allowance.add(-sum(booked))
        if copied and promoted.receivers:
            seconds = time.perf_counter() - begin
            source_name = self._backends[index].name
            promotion = Promotion(name, source_name, self._home.name, seconds)
            send(promoted, self._home.owner, promotion=promotion)
        return True

    def copy_up(
        self,
        name: str,
        index: int,
        source: Any = None,
        form: Form | None = None,
        check: Check | None = None,
        *,
        make_room: Callable[[], object] | None = None,
    ) -> bool:
        """Copy a file to the home under exactly its name, whole or not at all.

        Does nothing, and returns false, if the home has the name already. ``make_room``
        is called when all of the file has arrived, and may remove what has the name, in
        a home that is written to in place. What it is stored with beside its content is
        kept, or undone; ``form``: what is known of that (``headers``). ``check`` is called
        with the copy before that gets its name, and whether it was decoded, and refuses
        it by raising. Raises what the backends raise, ``TornCopyError`` if bytes are
        missing, ``EncodedFileError`` if it would not be the file without its headers,
        ``FileNotFoundError`` if it was deleted meanwhile.
        """
        if memo_key(name) is None:
            # An object store may have an empty object of a directory's name.
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)

        def copy() -> bool:
            with copying(name):
                if make_room is None and self._home.has(name):
                    return False
                holder = self._backends[index]
                if source is not None:
                    found = form or form_of(holder, name, source)
                    return self._copy(found, holder, source, check, make_room)
                with holder.storage._open(name, "rb") as opened:  # type: ignore[attr-defined]
                    found = form_of(holder, name, opened)
                    return self._copy(found, holder, opened, check, make_room)

        # Also if it is there: this memo still sends readers to the source.
        return invalidation.announced(copy, lambda: affected(name))

    def _copy(
        self,
        form: Form,
        holder: Backend,
        source: Any,
        check: Check | None,
        make_room: Callable[[], object] | None,
    ) -> bool:
        home, name = self._home.storage, form.name
        if form.send is not None:
            return self._save_exactly(form, holder, None, make_room)
        found = form.to_copy(self._home, source)
        is_decoded = found is not source
        # Else the size is that of another form of the content.
        size = _size_of(source) if form.has_size and not is_decoded else None
        content = File(found, name)
        if not staging.can_stage(home):
            with tempfile.SpooledTemporaryFile(SPOOL_MEMORY) as spool:
                # First to here: what breaks off half way does not reach the home.
                for chunk in content.chunks():
                    spool.write(chunk)
                _refuse_torn(name, size, spool.tell())
                if check is not None:
                    check(spool, spool.tell(), is_decoded=is_decoded)
                spool.seek(0)
                return self._save_exactly(form, holder, File(spool, name), make_room)
        with staging.staged(home, content, name, final := path_of(home, name)) as path:
            place = place_of(path)
            found_size = os.stat(place).st_size  # noqa: PTH116 - it may be a descriptor
            _refuse_torn(name, size, found_size)
            if check is not None:
                check(None, found_size, is_decoded=is_decoded)
            with suppress(Exception):  # not every storage knows
                modified = form.modified or holder.storage.get_modified_time(name)
                os.utime(place, (modified.timestamp(), modified.timestamp()))
            with self.overlay.exclusive(name):
                self._refuse_deleted(name, holder)
                try:
                    staging.publish(home, path, name, replace=False, final=final)
                except FileExistsError:
                    return False
                return True

    def _save_exactly(
        self,
        form: Form,
        holder: Backend,
        content: Any,
        make_room: Callable[[], object] | None,
    ) -> bool:
        with self.overlay.exclusive(form.name):
            self._refuse_deleted(form.name, holder)
            if make_room is not None:
                make_room()
            return self._save_if_free(form, holder, content)

    def _save_if_free(self, form: Form, holder: Backend, content: Any) -> bool:
        home, name = self._home.storage, form.name
        if home.exists(name):
            return False
        claim = Claim(self._home, name)
        claim.begin()
        try:
            saved = form.save(self._home, content)
        except BaseException:  # also a worker's time-out
            claim.remove_partial(content)
            raise
        if saved != name:
            home.delete(saved)
            raise FileExistsError(errno.EEXIST, "the copy was given another name", name)
        try:
            # No lock reaches the other processes: one may have deleted it meanwhile.
            self._refuse_deleted(name, holder)
        except FileNotFoundError:
            home.delete(name)
            raise
        return True

    def _refuse_deleted(self, name: str, holder: Backend) -> None:
        # Of a read-only backend nobody deletes. What a writable one holds is there in
        # spite of a whiteout; but where no lock keeps deletes out, that may be a delete
        # that is under way.
        deleted = not (holder.read_only or holder.ask(holder.storage.exists, name))
        if holder.read_only or not staging.can_stage(self._home.storage):
            whiteouts = self.overlay.whiteouts
            deleted = deleted or bool(whiteouts and whiteouts.hides(name))
        if deleted:
            raise FileNotFoundError(errno.ENOENT, "deleted while it was copied", name)

    def has_room(self, name: str, size: int | None) -> bool:
        """Whether a file of so many bytes (None: not known) is copied when it is read."""
        small = self._max_size is None or (size is not None and size <= self._max_size)
        return small and self.allowance.has_room(name, size)


def _size_of(opened: Any) -> int | None:
    try:
        return int(opened.size)
    except Exception:  # noqa: BLE001 - object stores ask their server
        return None


def _refuse_torn(name: str, size: int | None, found: int) -> None:
    # (More bytes than announced: a storage that decompresses and does not say so.)
    if size is not None and found < size:
        raise TornCopyError(name, size, found)
