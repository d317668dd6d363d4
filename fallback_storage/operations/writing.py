"""The writing half of a chain: imported and built when something is written first.

Most processes of a site only read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

from fallback_storage.utils.once import once
from fallback_storage.utils.tenants import Scoped

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from fallback_storage.cache.memo import Memo
    from fallback_storage.chain.backend import Backend
    from fallback_storage.conf.options import Options
    from fallback_storage.operations.copies import Copies
    from fallback_storage.operations.files import AnyFile
    from fallback_storage.operations.home import Home
    from fallback_storage.operations.naming import Namer
    from fallback_storage.operations.overlay import Overlay
    from fallback_storage.operations.write import Writer

    Part = TypeVar("Part")


class Writing:
    """What writes into one chain. ``promotes``: reading does, too. ``look``: see ``Namer``."""

    def __init__(
        self,
        options: Options,
        backends: tuple[Backend, ...],
        home: Home,
        memo: Memo,
        look: Callable[[str, int], int | None],
    ) -> None:
        self._options = options
        self._backends = backends
        self._memo = memo
        self._look = look
        self.home = home
        self.promotes = options.promote

    @once
    def overlay(self) -> Overlay:
        """Return what lies over the read-only backends."""
        from fallback_storage.operations.overlay import Overlay

        return Overlay(self._backends, self.home.whiteouts, promote=self.promotes)

    @once
    def copies(self) -> Copies:
        """Return what copies files to the home."""
        from fallback_storage.operations.allowance import Allowance
        from fallback_storage.operations.copies import Copies

        options = self._options
        home = self.home.home if self.home.has_home else None
        total, free = options.promote_max_total, options.promote_min_free
        return Copies(
            self._backends,
            self.overlay,
            Allowance(home, total, free),
            promote=self.promotes,
            max_size=options.promote_max_size,
        )

    @once
    def namer(self) -> Namer:
        """Return what finds names for new files."""
        from fallback_storage.operations.naming import Namer

        whiteouts, strict = self.home.whiteouts, self._options.strict
        return Namer(self._backends, whiteouts, self._look, strict=strict)

    @once
    def writer(self) -> Writer:
        """Return what changes the chain."""
        from fallback_storage.operations.write import Writer

        delete_all = self._options.on_delete != "first"
        parts = self.overlay, self.copies, self.namer
        writer = Writer(self._backends, *parts, delete_all=delete_all)
        # (Parts of ``FallbackStorage.save``.)
        return scoped(writer, self._memo, parts=("require_writable", "save"))

    def open(self, name: str, mode: str) -> AnyFile:
        """Open a file for writing; see ``Writer.open``."""
        return self.writer.open(name, mode)


def scoped(part: Part, memo: Memo, parts: Collection[str] = ()) -> Part:
    """Return a part whose methods are operations of a tenant each; see ``Scoped``."""
    return part if memo.vary is None else cast("Part", Scoped(part, memo.vary, parts))
