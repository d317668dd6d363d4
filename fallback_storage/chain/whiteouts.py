"""Whiteouts: deletes that stay deleted although a read-only backend has the file.

A whiteout is an empty file in the first writable backend, at
``.fallback-whiteouts/<depth>/<name>``: durable, seen by all processes, no database. It
hides the copies in read-only backends, and nothing else: a file that is saved again
into a writable backend is seen, whether its whiteout is still there or not.

``depth`` is the number of directories in the name. Without it the whiteout of ``a``
would be a file where that of ``a/b`` needs a directory, which an object store may both
hold, and the directory would pass for the whiteout.
"""

from __future__ import annotations

import errno
import posixpath
from typing import TYPE_CHECKING

from django.core.files.base import ContentFile
from django.utils.functional import cached_property

from fallback_storage.chain.names import WHITEOUTS_FOLDER, is_name
from fallback_storage.chain.outcomes import Outcome
from fallback_storage.chain.places import class_path
from fallback_storage.chain.walk import NOTHING, Walk
from fallback_storage.exceptions import ConfigurationError, Mistake

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from fallback_storage.chain.backend import Backend


class Whiteouts:
    """The whiteouts of one chain. ``home`` is its first writable backend."""

    def __init__(self, backends: Sequence[Backend], home: Backend) -> None:
        self._unchecked_home = home
        self.covered = frozenset(
            index for index, backend in enumerate(backends) if backend.read_only
        )

    @cached_property
    def _home(self) -> Backend:
        refuse_home(self._unchecked_home)
        return self._unchecked_home

    def probe(self, name: str, walk: Walk) -> bool:
        """Whether ``name`` is hidden. If nobody can tell, the walk is not certain.

        The trail is left alone: it has one line for each backend, in their order.
        """
        asking = Walk("exists", _place(name))
        outcome = asking.probe(self._home)
        if outcome is Outcome.FAILED:
            walk.certain = False
            asking.log_failures("the file may have been deleted")
        return outcome is Outcome.HELD

    def probe_many(self, walks: Collection[Walk]) -> dict[str, bool]:
        """Return for the name of each walk whether it is hidden; see ``probe``."""
        from fallback_storage.chain.exists_many import probe_walks  # of many names

        # "a" and "a/" have one whiteout.
        places = [_place(walk.name) for walk in walks]
        asking = {place: Walk("exists", place) for place in places}
        probe_walks(self._home, list(asking.values()))
        found = {}
        for walk, place in zip(walks, places, strict=True):
            own = asking[place]
            if own.failed:
                walk.certain = False
                own.log_failures("the file may have been deleted")
            found[walk.name] = own.last is Outcome.HELD
        return found

    def hides(self, name: str) -> bool:
        """Whether ``name`` is hidden. Raises what the backend raises."""
        home = self._home
        return bool(home.ask(home.storage.exists, _place(name)))

    def add(self, name: str) -> None:
        """Hide ``name``. Raises what the backend raises.

        And ``FileExistsError`` if it gives its files other names.
        """
        if self.hides(name):
            return
        place = _place(name)
        saved = self._home.storage._save(place, ContentFile(b""))  # type: ignore[attr-defined]
        if saved != place:
            # Another process was faster, and the backend renamed ours.
            self._home.storage.delete(saved)
            if not self.hides(name):
                message = f"the whiteout was given another name ({saved!r})"
                raise FileExistsError(errno.EEXIST, message, place)

    def remove(self, name: str) -> None:
        """Show ``name`` again. Raises what the backend raises."""
        if self.hides(name):
            self._home.storage.delete(_place(name))

    def names_in(self, directory: str) -> frozenset[str]:
        """Return the hidden file names in a directory; failures are logged."""
        inside = posixpath.join(directory, "file")
        asking, (_, files) = self._list(posixpath.dirname(_place(inside)))
        asking.log_failures("deleted files may be in the listing")
        return frozenset(files)

    def names(self) -> Iterator[str]:
        """Yield every hidden name. Raises what the backend raises."""
        for depth in self._list_or_raise(WHITEOUTS_FOLDER)[0]:
            yield from self._names_below(f"{WHITEOUTS_FOLDER}/{depth}", "")

    def _names_below(self, folder: str, directory: str) -> Iterator[str]:
        place = posixpath.join(folder, directory).rstrip("/")
        directories, files = self._list_or_raise(place)
        for name in files:
            yield posixpath.join(directory, name)
        for name in directories:
            yield from self._names_below(folder, posixpath.join(directory, name))

    def _list_or_raise(self, place: str) -> tuple[list[str], list[str]]:
        asking, listing = self._list(place)
        if asking.failed:
            raise asking.error()
        return listing

    def _list(self, place: str) -> tuple[Walk, tuple[list[str], list[str]]]:
        asking = Walk("listdir", place)
        listing = asking.list(self._home)
        directories, files = ((), ()) if listing is NOTHING else listing
        # Some storages list the directory itself.
        named = [name.strip("/") for name in directories]
        return asking, ([name for name in named if is_name(name)], list(files))


def refuse_home(home: Backend) -> None:
    """Raise ``ConfigurationError`` if a backend is known not to keep whiteouts."""
    if not home.profile.keeps_whiteouts:
        raise ConfigurationError(
            Mistake.NO_WHITEOUTS,
            home.where,
            f'is where on_delete="whiteout" notes what was deleted, and '
            f"{class_path(home.storage.__class__)} keeps no files of any name.",
            'Put another writable backend in front of it, or write on_delete="all".',
        )


class Veil:
    """The whiteout of one name, looked up when the first covered backend is reached."""

    __slots__ = ("_hidden", "_walk", "_whiteouts")

    def __init__(self, whiteouts: Whiteouts | None, walk: Walk) -> None:
        self._whiteouts = whiteouts
        self._walk = walk
        self._hidden: bool | None = None

    def hides(self, index: int) -> bool:
        """Whether backend ``index`` must not be asked."""
        if self._whiteouts is None or index not in self._whiteouts.covered:
            return False
        if self._hidden is None:
            self._hidden = self._whiteouts.probe(self._walk.name, self._walk)
        return self._hidden


def _place(name: str) -> str:
    name = name.rstrip("/")
    return f"{WHITEOUTS_FOLDER}/{name.count('/')}/{name}"
