"""What is logged again and again, at a level that a production log can bear.

While a backend is down, every call of every page has the same to say. The first is a
warning; those of the next minute are debug messages; then a warning says how many.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from itertools import count
from typing import TYPE_CHECKING

from fallback_storage.utils import forks

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

logger = logging.getLogger("fallback_storage")

# Seconds in which a warning is not repeated.
INTERVAL = 60.0
# Kinds of warnings that are remembered.
MAX_KINDS = 1000
# What is known of a kind that nothing was said of.
NEVER: tuple[float, Iterator[int]] = -math.inf, count()


class Warner:
    """Logs a kind of message as a warning once in ``INTERVAL`` seconds.

    ``clock`` returns seconds and never goes back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.after_fork()
        forks.register(self)

    def after_fork(self) -> None:
        self._lock = threading.RLock()
        # kind -> (when it may be a warning again, what counts those that were none)
        self._kinds: dict[Hashable, tuple[float, Iterator[int]]] = {}

    # What was warned of before does not count any more; for tests.
    forget = after_fork

    def is_quiet(self, kind: Hashable) -> bool:
        """Whether nothing would be written now of a kind; then it is counted, unlocked."""
        if logger.isEnabledFor(logging.DEBUG):
            return False
        due, passed = self._kinds.get(kind, NEVER)
        return self._clock() < due and next(passed) >= 0

    def warn(self, kind: Hashable, message: str, *args: object) -> None:
        """Log ``message % args``; messages of one ``kind`` are not all warnings."""
        now = self._clock()
        with self._lock:
            due, passed = self._kinds.get(kind, (now, count()))
            quiet = next(passed)
            if now >= due:
                if len(self._kinds) >= MAX_KINDS:
                    self._kinds.clear()
                self._kinds[kind] = now + INTERVAL, count()
        if now < due:
            logger.debug(message, *args)
        elif quiet:
            logger.warning(f"{message} (%d more before)", *args, quiet)  # noqa: G004
        else:
            logger.warning(message, *args)


warner = Warner()
