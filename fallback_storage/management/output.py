"""What the commands print, to a terminal or elsewhere, and how they end."""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from django.core.management.base import OutputWrapper
from django.template.defaultfilters import filesizeformat

from fallback_storage.exceptions import FallbackStorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

R = TypeVar("R")

# Exit statuses. The last two are what shells say of programs that a signal ended.
OK, FAILED, INTERRUPTED, CLOSED_PIPE = 0, 1, 130, 141

# Seconds from one line of progress to the next.
INTERVAL = 5.0


class Stream(OutputWrapper):
    """A stream of a command's, for lines in which the names of files are.

    What a terminal would obey, or cannot show, becomes an escape. Where nobody reads on
    (``| head``), the program ends.
    """

    def __init__(self, wrapper: OutputWrapper) -> None:
        super().__init__(wrapper._out)  # type: ignore[arg-type]  # noqa: SLF001
        self.style_func = wrapper.style_func

    def write(self, msg: str = "", *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
        """Write one line. Raises ``SystemExit`` (141) if nobody reads it."""
        encoding = getattr(self._out, "encoding", None) or "utf-8"
        shown = "".join(
            each if each.isprintable() else each.encode("unicode_escape").decode()
            for each in msg
        )
        shown = shown.encode(encoding, "backslashreplace").decode(encoding)
        try:
            super().write(shown, *args, **kwargs)
            self.flush()  # else it would be found out at exit
        except BrokenPipeError:
            _end_with_closed_pipe()


class Progress:
    """How far a job is: a line every few seconds, one at the end, and what failed.

    ``quiet``: what failed alone.
    """

    # Seconds, never going back. For tests.
    clock = staticmethod(time.monotonic)

    def __init__(self, stream: OutputWrapper, *, quiet: bool) -> None:
        self.failed = False
        self._stream = stream
        self._quiet = quiet
        self._begin = self._shown_at = self.clock()
        self._done = 0
        self._note: Callable[[], str] = str  # none yet

    def update(self, done: int, note: Callable[[], str]) -> None:
        """Take how many are done by now, and what makes a few words about them.

        When they are shown: they are a part of what a file costs.
        """
        self._done, self._note = done, note
        if self.clock() - self._shown_at >= INTERVAL:
            self.close()

    def fail(self, text: str) -> None:
        """Say what has failed."""
        self.failed = True
        self._stream.write(text)

    def miss(self, prefix: str) -> None:
        """Say that no backend knows a prefix."""
        self.fail(
            f"No backend has files below {prefix + '/'!r}. A prefix is a directory."
        )

    def close(self) -> None:
        """Print the line."""
        self._shown_at = self.clock()
        seconds = self._shown_at - self._begin
        rate = f"{self._done / seconds:,.0f}" if seconds else "-"
        taken = timedelta(seconds=int(seconds))
        if not self._quiet:
            # (``str``: without the colour of errors.)
            line = f"{counted(self._done, 'name')}  {rate}/s  {taken}  {self._note()}"
            self._stream.write(line.rstrip(), str)


def print_json(stream: OutputWrapper, value: Any) -> None:
    """Print a value as JSON, in ASCII."""
    for line in json.dumps(value, indent=2).splitlines():
        stream.write(line)


def counted(number: int, noun: str) -> str:
    """Return "1 file", "1,500 files"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def summed(done: str, counts: Mapping[R, int], words: Mapping[R, str]) -> str:
    """Return a sentence: what was done, and how often each of the other results came."""
    others = [f"{words[each]}: {counts[each]:,}" for each in words if counts[each]]
    return f"{'; '.join([done, *others])}."


def in_bytes(size: int) -> str:
    """Return a size in the unit that suits it."""
    # (Django binds the unit to the number by a space that not every terminal knows.)
    return filesizeformat(size).replace("\xa0", " ")


def reason(error: Exception | None) -> str:
    """Return what may be said of an error: of one that is not ours, not its text.

    That may hold an address or a key.
    """
    if isinstance(error, FallbackStorageError):
        return str(getattr(error, "strerror", None) or error)
    kind = type(error).__name__
    if isinstance(error, OSError) and error.errno is not None:
        return f"{kind}: {os.strerror(error.errno)}"
    return kind


def _end_with_closed_pipe() -> NoReturn:
    # (No Exception: what handles failures of files must not go on with it.)
    # Python flushes its own streams at exit, and would fail once more.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # no file of the system
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
    raise SystemExit(CLOSED_PIPE)
