"""The home: the first writable backend, where new files go; as who reads needs to know it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallback_storage.chain.names import STAGING_FOLDER, WHITEOUTS_FOLDER
from fallback_storage.chain.wrapped import entries_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fallback_storage.chain.backend import Backend
    from fallback_storage.chain.whiteouts import Whiteouts

OWN_FOLDERS = frozenset({STAGING_FOLDER, WHITEOUTS_FOLDER})


class Home:
    """The home of one chain. ``whiteouts`` None: deletes are not recorded."""

    def __init__(
        self, backends: Sequence[Backend], whiteouts: Whiteouts | None
    ) -> None:
        self._backends = tuple(backends)
        self.whiteouts = whiteouts
        writable = [i for i, backend in enumerate(backends) if not backend.read_only]
        self.home_index = writable[0] if writable else len(backends)

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
