"""Removing local copies that a backend below still holds: room for what is looked at now.

Nothing is removed of which it is not certain, now, that the same bytes are read without it.
No memo is asked.
"""

from __future__ import annotations

import enum
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from django.core.files.storage import FileSystemStorage

from fallback_storage.cache.invalidation import announced
from fallback_storage.chain.backend import BackendError
from fallback_storage.chain.listing import pages
from fallback_storage.chain.look import is_plain_directory
from fallback_storage.chain.names import affected
from fallback_storage.chain.outcomes import Outcome
from fallback_storage.chain.walk import Walk
from fallback_storage.chain.wrapped import entries_of
from fallback_storage.exceptions import OperationNotSupportedError
from fallback_storage.jobs.compare import differ, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fallback_storage.chain.backend import Backend
    from fallback_storage.storage import FallbackStorage

# Where the system does not note when a file was read.
NO_ATIME: Final = getattr(os, "ST_NOATIME", 0)


class Result(enum.StrEnum):
    """What became of one file."""

    REMOVED = "removed"  # in a dry run: would be
    ONLY_HERE = "only here"
    DIFFERENT = "different"  # a backend below holds another file of this name
    CHANGED = "changed"  # while it was looked at
    FAILED = "failed"  # it is not certain that it is held below


@dataclass(frozen=True, slots=True)
class Step:
    """One file; ``size``: bytes. ``backend``: who holds it, or failed."""

    name: str
    size: int
    result: Result
    backend: str = ""
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class _Copy:
    """A file of the home, as it was listed.

    ``used``: seconds since the epoch; ``times``: of access and change, in nanoseconds.
    """

    used: float
    name: str
    size: int
    identity: tuple[int, ...]
    times: tuple[int, int]


class Pruning:
    """One run over the home of a chain, which must be a local directory.

    ``used_by``: "access" or "change": by which time of files it is told when they were
    used last; the system does not note everywhere when they were read.

    Raises ``ReadOnlyBackendError`` if no backend is writable, and
    ``OperationNotSupportedError`` for another home.
    """

    def __init__(
        self, storage: FallbackStorage, now: Callable[[], float] = time.time
    ) -> None:
        engine = storage._get_engine()  # noqa: SLF001 - the storage's own machinery
        engine.writer.require_writable("prune", "")
        self._overlay, self._allowance = engine.overlay, engine.copies.allowance
        self._backends = storage.backends
        self._home = engine.overlay.home
        self._now = now
        if not is_plain_directory(self._home.storage):
            raise OperationNotSupportedError(
                f"prune removes files of a local directory; {self._home.name!r} is none."
            )
        self.used_by = "change" if self._has_no_access_times() else "access"

    def _has_no_access_times(self) -> bool:
        try:
            flags = os.statvfs(self._home.storage.path("")).f_flag
        except (AttributeError, OSError):
            return False
        return bool(flags & NO_ATIME)

    def steps(
        self,
        prefixes: Sequence[str] = ("",),
        *,
        max_total: int | None = None,
        older: float | None = None,
        dry_run: bool = False,
    ) -> Iterator[Step]:
        """Remove copies, least recently used first, and tell what became of each.

        ``max_total``: until all files below the prefixes have no more bytes than that;
        ``older``: those that were not used for so many seconds.
        """
        copies = sorted(self._copies(prefixes), key=lambda copy: copy.used)
        total = sum(copy.size for copy in copies)
        for copy in copies:
            if max_total is not None and total <= max_total:
                return
            if older is not None and self._now() - copy.used < older:
                return
            step = self._step(copy, dry_run=dry_run)
            if step.result is Result.REMOVED:
                total -= copy.size
            yield step

    def _copies(self, prefixes: Sequence[str]) -> Iterator[_Copy]:
        for prefix in prefixes:
            for page in pages(self._home, prefix):
                for listed in page:
                    copy = self._look_at(listed.name)
                    if copy is not None:
                        yield copy

    def _look_at(self, name: str) -> _Copy | None:
        """Return what a file is now; None: it has gone."""
        try:
            stat = Path(self._home.storage.path(name)).stat()
        except OSError:
            return None
        used = stat.st_ctime
        if self.used_by == "access":
            used = max(stat.st_atime, stat.st_mtime)
        identity = stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns
        times = stat.st_atime_ns, stat.st_mtime_ns
        return _Copy(used, name, stat.st_size, identity, times)

    def _leave_unread(self, copy: _Copy) -> None:
        """Undo that a file counts as used because it was compared."""
        now = self._look_at(copy.name) if self.used_by == "access" else None
        if now and now.identity == copy.identity and now.times != copy.times:
            with suppress(OSError):  # only its owner may
                os.utime(self._home.storage.path(copy.name), ns=copy.times)

    def _step(self, copy: _Copy, *, dry_run: bool) -> Step:
        name, size = copy.name, copy.size
        try:
            holder = self._holder_below(name)
            if holder is None or _is_same_file(holder, name, copy):
                return Step(name, size, Result.ONLY_HERE)
            if self._differs(holder, copy):
                return Step(name, size, Result.DIFFERENT, holder.name)
            removed = dry_run or self._remove(copy)
        except BackendError as failed:
            backend, error = failed.backend.name, failed.error
            return Step(name, size, Result.FAILED, backend, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the file stays
            return Step(name, size, Result.FAILED, self._home.name, error)
        result = Result.REMOVED if removed else Result.CHANGED
        return Step(name, size, result, holder.name)

    def _differs(self, holder: Backend, copy: _Copy) -> bool:
        name, home = copy.name, self._home
        try:
            return differ(
                holder, shown(holder, name), home, shown(home, name), surely=True
            )
        finally:
            self._leave_unread(copy)

    def _holder_below(self, name: str) -> Backend | None:
        """Return whose file is read once the home has none.

        Raises a ``BackendError`` where that is not certain.
        """
        whiteouts = self._overlay.whiteouts
        hidden = whiteouts is not None and whiteouts.hides(name)
        walk = Walk("exists", name, live=True)
        for index in range(self._overlay.home_index + 1, len(self._backends)):
            backend = self._backends[index]
            if hidden and whiteouts is not None and index in whiteouts.covered:
                continue
            outcome = walk.probe(backend)
            if outcome is Outcome.HELD:
                return backend
            if outcome is not Outcome.ABSENT:
                error = walk.trail[-1].exception
                raise BackendError(backend, error or NotImplementedError("exists"))
        return None

    def _remove(self, copy: _Copy) -> bool:
        """Remove a file, if it still is what was compared."""

        def remove() -> bool:
            with self._overlay.exclusive(copy.name):
                now = self._look_at(copy.name)
                if now is None or now.identity != copy.identity:
                    return False
                self._home.storage.delete(copy.name)
                self._allowance.add(-copy.size)
                return True

        return announced(remove, lambda: affected(copy.name))


def _is_same_file(holder: Backend, name: str, copy: _Copy) -> bool:
    """Whether what a backend holds is the home's own file: by a link, or a mount."""
    within = tuple(entries_of(holder.storage))
    if within:
        return any(_is_same_file(each, name, copy) for each in within)
    if not isinstance(holder.storage, FileSystemStorage):
        return False
    try:
        stat = Path(holder.storage.path(name)).stat()
    except FileNotFoundError:
        return False  # of a chain, another one holds it
    return (stat.st_dev, stat.st_ino) == copy.identity[:2]
