"""What has to be done although an exception may come from outside, at any moment.

Ctrl-C, a worker's time limit: a signal's handler runs when a function begins, or when a
call returns, and what it raises is raised there. So also within a ``finally``, and
before the first line of an ``__exit__`` that is written in Python. Nothing comes

* between ``with lock:`` and its block, or at its end: a lock of ``threading`` is C
  (but for CPython 3.14);
* within one call of a function in C: ``list += map(acquire, (False,))`` takes a lock
  and notes it, or does neither.

In CPython 3.12 to 3.14 a loop that ends in an ``if`` goes round outside of all that is
around it: an interrupt there leaves a ``with lock:``, and the lock stays held. So no loop
in such a block ends in one.
"""

from __future__ import annotations

import contextlib
import traceback
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    Result = TypeVar("Result")


def surely(act: Callable[[], Result], end: Callable[[], object]) -> Result:
    """Return what ``act`` returns, and call ``end`` then, however that ended.

    Once more, if the first time was interrupted: to do it twice must do no harm.
    """
    try:
        return act()
    except BaseException as error:
        _end_managers(error)
        raise
    finally:
        try:
            end()
        except BaseException:
            end()
            raise


def _end_managers(error: BaseException) -> None:
    """End the generators of ``contextmanager`` functions that ``error`` left waiting.

    In the frames of ``contextlib`` it came before these went on. They would end when
    the error is gone, with what they hold: whoever logs errors may keep it for long.
    """
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_filename == contextlib.__file__:
            with contextlib.suppress(RuntimeError):  # it is running, for another reason
                frame.clear()
