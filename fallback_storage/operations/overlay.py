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
from fallback_storage.chain.names import affected
from fallback_storage.chain.outcomes import Outcome
from fallback_storage.chain.walk import Walk
from fallback_storage.operations import staging
from fallback_storage.operations.home import Home
from fallback_storage.operations.naming import learnt
from fallback_storage.operations.rootlock import exclusive
from fallback_storage.utils.locks import changing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from fallback_storage.chain.backend import Backend
    from fallback_storage.chain.whiteouts import Whiteouts

logger = logging.getLogger("fallback_storage")


class Overlay(Home):
    """What lies over the read-only backends of one chain, and changes that.

    ``promote``: files are copied when they are read.
    """

    def __init__(
        self,
        backends: Sequence[Backend],
        whiteouts: Whiteouts | None,
        *,
        promote: bool,
    ) -> None:
        super().__init__(backends, whiteouts)
        writable = sum(not backend.read_only for backend in backends)
        # Else nothing comes back that was deleted: what a read-only backend holds
        # shows through after a delete, unless a whiteout hides it.
        self._guards = promote or whiteouts is not None or writable > 1

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
