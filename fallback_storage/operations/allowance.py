"""What copies may take of the disk that a home is on.

How much the files of the home have is counted once for all processes, now and then, and
noted in our folder there. A copy is added to the note, under the lock on the home's
directory, before it gets its name: so those that are made at the same time see each
other, in whatever process. What else comes and goes is seen by the next count.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fallback_storage.chain.look import is_plain_directory
from fallback_storage.chain.names import STAGING_FOLDER
from fallback_storage.operations.drafts import in_folder
from fallback_storage.operations.rootlock import exclusive
from fallback_storage.utils.locks import NameLocks
from fallback_storage.utils.logs import warner

if TYPE_CHECKING:
    from collections.abc import Callable

    from fallback_storage.chain.backend import Backend

# Seconds after which the files are counted anew.
STALE: Final = 300.0
NOTE: Final = "total"

# Of a home nobody has counted yet, one thread of a process counts.
_counting = NameLocks()


class NoRoomError(Exception):
    """Raised where a copy would be too much; that was logged."""


class Allowance:
    """How much there may be in a home, after a copy.

    ``max_total``: bytes of all its files; ``min_free``: bytes that are left of its disk.
    None: any number. ``now`` returns seconds since the epoch.
    """

    def __init__(
        self,
        home: Backend | None,
        max_total: int | None = None,
        min_free: int | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._backend = home
        self.max_total, self._min_free, self._now = max_total, min_free, now

    def has_room(self, name: str, size: int | None) -> bool:
        """Whether a copy of so many bytes may be begun; None: of nobody knows how many.

        If not, that is logged.
        """
        home = self._home
        try:
            lack = home and self._lack(home, size or 0)
        except OSError as error:
            lack = f"its disk cannot be asked ({type(error).__name__})"
        return not (lack and self._refuse(name, lack))

    def book(self, name: str, booked: list[int], _: Any, size: int, **__: Any) -> None:
        """Count a finished copy in, and note its size in ``booked``.

        Raises ``NoRoomError``.
        """
        home = self._home
        if home is None:
            return
        # The copy itself is on the disk already.
        lack = self._lack(home, 0)
        if self.max_total is not None and not lack:
            with exclusive(home):
                counted, total = _read(home) or (0.0, 0)
                lack = self._excess(total + size)
                if not lack:
                    booked.append(size)
                    _write(home, counted, total + size)
        if lack:
            self._refuse(name, lack)
            raise NoRoomError

    def add(self, size: int) -> None:
        """Note that there are so many bytes more, or less, if anybody has counted."""
        if size and self.max_total is not None and self._home is not None:
            with exclusive(self._home), suppress(OSError):
                found = _read(self._home)
                if found is not None:
                    _write(self._home, found[0], found[1] + size)

    @property
    def _home(self) -> Any:
        """The home's storage, if that is a local directory."""
        if self._backend is None or not is_plain_directory(self._backend.storage):
            return None
        return self._backend.storage

    def _lack(self, home: Any, size: int) -> str:
        """Return why there is no room for a copy, or ""."""
        if self._min_free and _free(home.location) - size < self._min_free:
            return f"less than promote_min_free ({self._min_free} bytes) would be left"
        return "" if self.max_total is None else self._excess(self._total(home) + size)

    def _excess(self, total: int) -> str:
        if self.max_total is None or total <= self.max_total:
            return ""
        return f"there would be more than promote_max_total ({self.max_total} bytes)"

    def _refuse(self, name: str, lack: str) -> bool:
        home = self._backend.name if self._backend else ""
        kind = "no room", home, lack
        warner.warn(kind, "%r was not copied to %r: %s", name, home, lack)
        return True

    def _total(self, home: Any) -> int:
        known = self._known(home)
        if known is None:
            with _counting(home.location):
                known = self._known(home)
                return self._count(home) if known is None else known
        return known

    def _known(self, home: Any) -> int | None:
        """Return what is noted; None: it is time to count.

        That is for one who asks to do; meanwhile the others go on with what is noted.
        """
        with exclusive(home):
            # (Read within, else who waits is earlier than what was noted meanwhile.)
            now, found = self._now(), _read(home)
            if found is None:
                return None
            counted, total = found
            if 0 <= now - counted < STALE:
                return total
            _write(home, now, total)
        return self._count(home, total)

    def _count(self, home: Any, before: int | None = None) -> int:
        """Count the files; what was added meanwhile comes to that."""
        total = _sum(home.location)
        with exclusive(home):
            found = _read(home)
            if found is not None and before is not None:
                total += found[1] - before
            elif found is not None:  # another process was faster
                total = max(total, found[1])
            _write(home, self._now(), total)
        return total


def _free(directory: str) -> int:
    for each in (Path(directory), *Path(directory).parents):
        with suppress(FileNotFoundError):  # it is made for its first file
            return shutil.disk_usage(each).free
    raise FileNotFoundError(directory)


def _sum(directory: str) -> int:
    """Return the bytes of all files below a directory; links are not followed."""
    total, folders = 0, [directory]
    while folders:
        # (Others remove files, and folders, meanwhile.)
        with suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                with suppress(OSError):
                    if not entry.is_dir(follow_symlinks=False):
                        total += entry.stat(follow_symlinks=False).st_size
                    elif entry.name != STAGING_FOLDER:
                        folders.append(entry.path)
    return total


def _read(home: Any) -> tuple[float, int] | None:
    """Return when the files were counted, and how many bytes there are."""
    try:
        counted, total = Path(home.location, STAGING_FOLDER, NOTE).read_text().split()
        return float(counted), int(total)
    except (FileNotFoundError, ValueError):
        return None


def _write(home: Any, counted: float, total: int) -> None:
    def make(path: str) -> None:
        Path(path).write_text(f"{counted} {max(0, total)}")

    # (It may be another user's, who may make files here as we may.)
    with in_folder(home.location, make) as path:
        Path(path).replace(Path(home.location, STAGING_FOLDER, NOTE))
