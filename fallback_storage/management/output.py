"""What the commands print: lines, tables, JSON, and how far they are."""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import TracebackType

    from django.core.management.base import OutputWrapper
    from django.core.management.color import Style

# Exit statuses. The last two are what shells say of programs that a signal ended.
OK, FAILED, INTERRUPTED, CLOSED_PIPE = 0, 1, 130, 141

# Seconds from one drawing to the next: on a terminal, and in a log.
DRAW_SECONDS = 0.1
LOG_SECONDS = 10.0

MINUTE, HOUR = 60, 3600


class Marked(str):
    """A text with a style of Django's: ``SUCCESS``, ``WARNING``, ``ERROR``, ..."""

    __slots__ = ("style",)

    style: str

    def __new__(cls, text: str, style: str) -> Self:
        """Return the text; it is shown in the style where there are colours."""
        marked = super().__new__(cls, text)
        marked.style = style
        return marked


class Output:
    """Where a command prints to. Any thread may call it.

    ``stdout`` and ``stderr``: the command's own, so ``call_command(stdout=...)`` works.
    ``quiet``: no progress (``--verbosity 0``). ``clock`` returns seconds and never goes
    back; ``log_seconds``: from one line of progress to the next, off a terminal.

    Where nobody reads on (``| head``), every method ends the program with status 141.
    """

    def __init__(
        self,
        stdout: OutputWrapper,
        stderr: OutputWrapper,
        style: Style,
        *,
        quiet: bool = False,
        colors: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
        log_seconds: float = LOG_SECONDS,
    ) -> None:
        self._stdout = stdout
        self._stderr = stderr
        self._style = style
        self._colors = stdout.isatty() if colors is None else colors
        self._quiet = quiet
        self._clock = clock
        self._log_seconds = log_seconds
        self._progress: Progress | None = None
        self._lock = threading.RLock()

    def line(self, text: str = "") -> None:
        """Print one line to the standard output."""
        self._print(self._stdout, self._shown(text))

    def warn(self, text: str) -> None:
        """Print one line to the standard error output."""
        self._print(self._stderr, _printable(text))

    def table(
        self, rows: Iterable[Sequence[str]], head: Sequence[str] = (), indent: str = ""
    ) -> None:
        """Print rows of cells, each column as wide as its widest cell.

        A column of numbers stands to the right.
        """
        body = [tuple(row) for row in rows]
        table = [tuple(head), *body] if head else body
        if not body:
            return
        shown = [[_printable(cell) for cell in row] for row in table]
        widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
        numbers = [all(map(_is_number, column)) for column in zip(*body, strict=True)]
        for row, texts in zip(table, shown, strict=True):
            cells = []
            for index, (cell, text) in enumerate(zip(row, texts, strict=True)):
                room = " " * (widths[index] - len(text))
                styled = self._shown(cell)
                cells.append(room + styled if numbers[index] else styled + room)
            self._print(self._stdout, (indent + "  ".join(cells)).rstrip())

    def json(self, value: Any) -> None:
        """Print a value as JSON, in ASCII."""
        self._print(self._stdout, json.dumps(value, indent=2))

    def progress(self, noun: str, total: int | None = None) -> Progress:
        """Return what shows how far the command is: a context manager.

        ``noun``: what is counted ("names"); ``total``: how many there are, if known.
        """
        progress = Progress(
            noun,
            total,
            clock=self._clock,
            show=self._draw if self._stderr.isatty() else self._log,
            interval=DRAW_SECONDS if self._stderr.isatty() else self._log_seconds,
            lock=self._lock,
        )
        self._progress = progress
        return progress

    def flush(self) -> None:
        """Bring out what is still in the buffer: it may be that nobody reads it."""
        with self._lock:
            try:
                self._stdout.flush()
            except BrokenPipeError:
                end_with_closed_pipe()

    # One line that is drawn over and over

    def _draw(self, text: str, *, last: bool) -> None:
        if self._quiet:
            return
        width = shutil.get_terminal_size().columns - 1
        self._write(self._stderr, "\r" + text[:width].ljust(width), "")
        if last:
            self._write(self._stderr, "\n", "")

    def _log(self, text: str, *, last: bool) -> None:
        if not self._quiet:
            self._write(self._stderr, text, "\n")

    def _print(self, stream: OutputWrapper, text: str) -> None:
        with self._lock:
            drawn = self._progress is not None and self._progress.drawn
            if drawn and not self._quiet and self._stderr.isatty():
                # The line makes room, and comes back with the next drawing.
                width = shutil.get_terminal_size().columns - 1
                self._write(self._stderr, "\r" + " " * width + "\r", "")
            self._write(stream, text, "\n")

    def _write(self, stream: OutputWrapper, text: str, ending: str) -> None:
        # (Not the wrapper's own attribute: in Django 4.2 that is None.)
        wrapped = getattr(stream, "_out", None)
        encoding = getattr(wrapped, "encoding", None) or "utf-8"
        text = text.encode(encoding, "backslashreplace").decode(encoding)
        try:
            stream.write(text, _as_it_is, ending)
            if stream is self._stderr:
                stream.flush()
        except BrokenPipeError:
            end_with_closed_pipe()

    def _shown(self, text: str) -> str:
        shown = _printable(text)
        if self._colors and isinstance(text, Marked):
            return str(getattr(self._style, text.style)(shown))
        return shown


class Progress:
    """How many of something are done, how fast, for how long."""

    def __init__(
        self,
        noun: str,
        total: int | None,
        *,
        clock: Callable[[], float],
        show: Callable[..., None],
        interval: float,
        lock: threading.RLock,
    ) -> None:
        self.drawn = False
        self.done = 0
        self._noun = noun
        self._total = total
        self._clock = clock
        self._show = show
        self._interval = interval
        self._lock = lock
        self._note = ""
        self._begin = self._shown_at = clock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # A closed pipe ends the program; there is nobody to tell.
        if not isinstance(error, SystemExit):
            with self._lock:
                self._show(self.text(), last=True)
                self.drawn = False

    def advance(self, count: int = 1, note: str = "") -> None:
        """Count further; ``note``: a few words about what is done now."""
        with self._lock:
            self.done += count
            self._note = note or self._note
            now = self._clock()
            if now - self._shown_at >= self._interval:
                self._shown_at = now
                self.drawn = True
                self._show(self.text(), last=False)

    def text(self) -> str:
        """Return what there is to say, in one line."""
        seconds = max(0.0, self._clock() - self._begin)
        count = f"{self.done:,}"
        if self._total is not None:
            percent = 100 * self.done // max(1, self._total)
            count = f"{percent:3d} %  {self.done:,} of {self._total:,}"
        rate = f"{self.done / seconds:,.0f}/s" if seconds > 0 else "-/s"
        parts = [f"{count} {self._noun}", rate, _clock_time(seconds)]
        if self._note:
            parts.append(_printable(self._note))
        return "  ".join(parts)


def end_with_closed_pipe() -> None:
    """End the program because nobody reads what it prints. Raises ``SystemExit``."""
    # What is left in the buffers would be written at exit, and fail once more.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            os.dup2(nowhere, stream.fileno())
        except (AttributeError, OSError, ValueError):
            continue  # no file of the system
    os.close(nowhere)
    raise SystemExit(CLOSED_PIPE)


def _printable(text: str) -> str:
    """Return a text without what a terminal obeys; a file's name may hold that."""
    if text.isprintable():
        return str(text)
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode()
        for each in text
    )


def _is_number(cell: str) -> bool:
    return cell[:1].isdecimal() or cell == "-"


def _clock_time(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // HOUR}:{whole % HOUR // MINUTE:02d}:{whole % MINUTE:02d}"


def _as_it_is(text: str) -> str:
    return text
