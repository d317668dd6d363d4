"""The overlay: a mirror behaves as if it owned files that it may only read.

Deletes that stay deleted (``whiteouts``), and files that are copied before they are
changed, or when they are read (``copies``). All of it happens in the first writable
backend, the *home*.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fallback_storage.cache.invalidation import announced
from fallback_storage.chain.names import STAGING_FOLDER, WHITEOUTS_FOLDER, affected
from fallback_storage.chain.outcomes import Outcome
from fallback_storage.chain.walk import Walk
from fallback_storage.chain.wrapped import entries_of
from fallback_storage.operations import staging
from fallback_storage.operations.naming import learnt
from fallback_storage.operations.rootlock import exclusive
from fallback_storage.utils.locks import changing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from fallback_storage.chain.backend import Backend
    from fallback_storage.chain.whiteouts import Whiteouts

logger = logging.getLogger("fallback_storage")

OWN_FOLDERS = frozenset({STAGING_FOLDER, WHITEOUTS_FOLDER})


class Overlay:
    """What lies over the read-only backends of one chain.

    ``whiteouts`` None: deletes are not recorded. ``promote``: files are copied when they
    are read.
    """

    def __init__(
        self,
        backends: Sequence[Backend],
        whiteouts: Whiteouts | None,
        *,
        promote: bool,
    ) -> None:
        self._backends = tuple(backends)
        self.whiteouts = whiteouts
        writable = [i for i, backend in enumerate(backends) if not backend.read_only]
        self.home_index = writable[0] if writable else len(backends)
        # Else nothing comes back that was deleted: what a read-only backend holds
        # shows through after a delete, unless a whiteout hides it.
        self._guards = promote or whiteouts is not None or len(writable) > 1

    @property
    def has_home(self) -> bool:
        """Whether a backend is writable."""
        return self.home_index < len(self._backends)

    @property
    def home(self) -> Backend:
        """The first writable backend. Not for chains that have none."""
        return self._backends[self.home_index]

    def location(self) -> str:
        """Return the home's directory, as its ``location`` says; "" if it has none."""
        return _location_of(self._backends)

    def exclusive(self, name: str) -> AbstractContextManager[object]:
        """Hold a name against other threads, and other processes where that can be.

        Deleting, and giving a copy its name, exclude each other: else a copy that is
        under way could bring a deleted file back.
        """
        if self._guards and staging.can_stage(self.home.storage):
            return self._locked(name)
        return changing(name)

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        with changing(name), exclusive(self.home.storage):
            yield

    def shown(
        self,
        directory: str,
        index: int,
        directories: Sequence[str],
        files: Sequence[str],
    ) -> tuple[list[str], list[str]]:
        """Return a backend's listing without the hidden names and our own folders."""
        hidden: frozenset[str] = frozenset()
        if self.whiteouts and index in self.whiteouts.covered:
            hidden = self.whiteouts.names_in(directory)
        # Staging is wherever a volume is mounted.
        own = {STAGING_FOLDER} if directory else OWN_FOLDERS
        return (
            [name for name in directories if name not in own],
            [name for name in files if name not in hidden],
        )

    # What is written and deleted

    def show(self, name: str, backend: Backend, *, strict: bool = True) -> None:
        """Let the file that was written to a backend be the one that is read.

        Its whiteout is not needed any more, unless a read-only backend above has the
        name. One that cannot be removed does no harm; ``strict``: raise if one that
        may be needed cannot be written.
        """
        whiteouts = self.whiteouts
        # (Under a random name nothing was hidden.)
        if whiteouts is None or self.home in learnt().silent:
            return
        index = self._backends.index(backend)
        above = [each for each in sorted(whiteouts.covered) if each < index]
        try:
            if not above and not whiteouts.hides(name):
                return
            held_above = self._may_hold(name, above)
            with self.exclusive(name):
                if not backend.ask(backend.storage.exists, name):
                    return  # deleted meanwhile: it stays hidden
                if held_above:
                    whiteouts.add(name)
                else:
                    whiteouts.remove(name)
        except Exception as error:
            if above and strict:
                raise
            logger.warning("the whiteout of %r stays: %s", name, type(error).__name__)

    def _may_hold(self, name: str, indexes: Iterable[int]) -> bool:
        """Whether one of these backends holds the name, or does not say."""
        walk = Walk("exists", name, live=True)
        silent = learnt().silent
        asked = (self._backends[index] for index in indexes)
        return any(
            each in silent or walk.probe(each) is not Outcome.ABSENT for each in asked
        )

    def must_hide(self, name: str) -> bool:
        """Whether a whiteout is there already, or a read-only backend needs one.

        One that fails to answer may hold the file.
        """
        whiteouts = self.whiteouts
        return whiteouts is not None and (
            whiteouts.hides(name) or self._may_hold(name, sorted(whiteouts.covered))
        )

    def unhide(self, name: str) -> None:
        """Remove a whiteout: a read-only backend's copy shows again."""
        whiteouts = self.whiteouts
        if whiteouts is None:
            return

        def unhide() -> None:
            with self.exclusive(name):
                whiteouts.remove(name)

        announced(unhide, lambda: affected(name))


def _location_of(backends: Sequence[Backend]) -> str:
    writable = [backend for backend in backends if not backend.read_only]
    if not writable:
        return ""
    # A chain's own ``location`` may be that of a read-only backend.
    within = tuple(entries_of(writable[0].storage))
    if within:
        return _location_of(within)
    location = getattr(writable[0].storage, "location", None)
    return location if isinstance(location, str) else ""
