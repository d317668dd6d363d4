"""A code of the memo, as a walk needs it."""

from __future__ import annotations

from fallback_storage.cache.entry import HIDDEN, NOWHERE, index_of, is_held


class Known:
    """What the memo says about one name: what a walk skips, and where it may end.

    ``live`` are the backends for which the memo never answers (``ALWAYS_PROBE``).
    """

    __slots__ = ("code", "holder", "live", "start")

    def __init__(self, code: int | None, length: int, live: frozenset[int]) -> None:
        self.code = code
        self.live = live
        self.holder: int | None = None
        if code is None:
            self.start = 0
        elif code in {NOWHERE, HIDDEN}:
            self.start = length
        else:
            self.start = index_of(code)
            if is_held(code):
                self.holder = self.start

    def skips(self, index: int) -> bool:
        """Whether backend ``index`` is known not to hold the name."""
        return index < self.start and index not in self.live

    def suffices(self, stop: int) -> bool:
        """Whether a walk that ends before ``stop`` asks live backends at the most."""
        return self.holder is not None or self.start >= stop

    def shows(self, index: int) -> bool:
        """Whether no whiteout hides what ``index`` may hold: none was there at the fill."""
        known = self.code not in {None, HIDDEN}
        return known and not self.live and self.suffices(index)
