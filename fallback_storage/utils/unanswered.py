"""Why a question got no answer."""

from __future__ import annotations


class NoThreads(Exception):
    """This process may have no threads, or no more of them."""


class Unanswered(Exception):
    """A question got no answer in time."""


class Late(Unanswered):
    """It was asked, and goes on; its answer will be dropped."""


class Dropped(Unanswered):
    """It waited for its turn, and was not asked.

    ``stuck``: because all threads have questions that nobody waits for any more.
    """

    def __init__(self, *, stuck: bool) -> None:
        super().__init__(stuck)
        self.stuck = stuck
