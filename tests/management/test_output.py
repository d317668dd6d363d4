"""What is printed, on a terminal and elsewhere; with clocks that are ticked by hand."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from io import BytesIO, StringIO, TextIOWrapper

import pytest
from django.core.management.base import OutputWrapper
from django.core.management.color import color_style, no_style

from fallback_storage.management.output import Marked, Output


class Terminal(StringIO):
    def isatty(self):
        return True


class ClosedPipe(StringIO):
    """Takes what fits into its buffer, and fails when that is flushed."""

    is_closed = True

    def __init__(self, buffer=0):
        super().__init__()
        self.left = buffer

    def write(self, text):
        self.left -= len(text)
        if self.left < 0:
            raise BrokenPipeError
        return len(text)

    def flush(self):
        if self.is_closed:
            raise BrokenPipeError


@pytest.fixture
def closed_pipe():
    pipes = []

    def make(**options):
        pipes.append(ClosedPipe(**options))
        return pipes[-1]

    yield make
    # Who wraps a stream flushes it once more, when it is collected as garbage. Not
    # before this (the pipe holds it), and then the pipe does not mind.
    for pipe in pipes:
        pipe.is_closed = False


class Screen:
    """An Output and what came out of it."""

    def __init__(self, out, err, clock, **options):
        self.out, self.err, self.clock = out, err, clock
        for stream in (out, err):
            stream.screen = self  # see closed_pipe
        self.output = Output(
            OutputWrapper(out),
            OutputWrapper(err),
            color_style(force_color=True),
            clock=clock,
            **options,
        )

    def new_err(self):
        text = self.err.getvalue()
        self.err.seek(0)
        self.err.truncate()
        return text


@pytest.fixture
def terminal(clock, monkeypatch):
    monkeypatch.setenv("COLUMNS", "41")
    return Screen(Terminal(), Terminal(), clock)


@pytest.fixture
def log(clock):
    return Screen(StringIO(), StringIO(), clock)


# Lines and tables


def test_lines(log):
    log.output.line("one")
    log.output.line()
    log.output.warn("two")
    assert log.out.getvalue() == "one\n\n"
    assert log.err.getvalue() == "two\n"


def test_colours_on_a_terminal_only(terminal, log):
    for screen in (terminal, log):
        screen.output.line(Marked("good", "SUCCESS"))
        screen.output.table([(Marked("bad", "ERROR"), "x"), ("longer", "y")])
    assert log.out.getvalue() == "good\nbad     x\nlonger  y\n"
    lines = terminal.out.getvalue().splitlines()
    assert all("\x1b[" in line for line in lines[:2])
    # The colour takes no room: the columns stand as without it.
    assert lines[1].endswith("\x1b[0m     x")


@pytest.mark.parametrize("colors", [True, False])
def test_colours_as_they_are_ordered(terminal, log, clock, colors):
    for kind in (Terminal, StringIO):
        screen = Screen(kind(), kind(), clock, colors=colors)
        screen.output.line(Marked("good", "SUCCESS"))
        assert ("\x1b[" in screen.out.getvalue()) is colors


def test_a_table(log):
    rows = [("local", "1", "0.1 ms", "x"), ("production", "1,200", "-", "2 apples")]
    log.output.table(rows, ("backend", "calls", "a call", ""), indent="  ")
    assert log.out.getvalue().splitlines() == [
        "  backend     calls  a call",
        "  local           1  0.1 ms  x",
        "  production  1,200       -  2 apples",
    ]


def test_a_table_without_rows_is_nothing(log):
    log.output.table([], ("head",))
    assert log.out.getvalue() == ""


def test_json(log):
    value = {"name": "caf\u00e9\udc80", "count": 1, "none": None}
    log.output.json(value)
    assert log.out.getvalue().isascii()
    assert json.loads(log.out.getvalue()) == value


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("caf\u00e9", "caf\\xe9"),
        ("\u65e5", "\\u65e5"),
        ("\x1b[2Jx\n", "\\x1b[2Jx\\n"),
        ("bad\udc80", "bad\\udc80"),
    ],
)
def test_what_cannot_be_printed(clock, text, printed):
    """Neither an encoding error nor an order to the terminal: an escape."""
    buffer = BytesIO()
    output = Output(
        OutputWrapper(TextIOWrapper(buffer, "ascii")),
        OutputWrapper(StringIO()),
        no_style(),
    )
    output.line(text)
    output.table([(text, "x")])
    output.flush()
    assert buffer.getvalue().decode() == f"{printed}\n{printed}  x\n"


# Progress


def test_progress_on_a_terminal(terminal):
    """One line, drawn anew ten times a second at the most."""
    with terminal.output.progress("names") as progress:
        for _ in range(50):
            progress.advance(10)
            terminal.clock.tick(0.03125)
        drawn = terminal.new_err().split("\r")[1:]
    assert len(drawn) == 12  # every fourth: 0.125 s
    assert "\n" not in "".join(drawn)
    assert {len(line) for line in drawn} == {40}
    assert drawn[0].rstrip() == "50 names  400/s  0:00:00"
    assert drawn[-1].rstrip() == "490 names  327/s  0:00:01"
    last = terminal.new_err()
    assert last == "\r" + "500 names  320/s  0:00:01".ljust(40) + "\n"


def test_progress_elsewhere(log):
    """A plain line every ten seconds, and one at the end."""
    with log.output.progress("names") as progress:
        for _ in range(100):
            progress.advance(100)
            log.clock.tick(0.5)
    assert log.err.getvalue().splitlines() == [
        "2,100 names  210/s  0:00:10",
        "4,100 names  205/s  0:00:20",
        "6,100 names  203/s  0:00:30",
        "8,100 names  202/s  0:00:40",
        "10,000 names  200/s  0:00:50",
    ]
    assert log.out.getvalue() == ""


def test_progress_towards_a_known_end(log):
    with log.output.progress("files", total=3) as progress:
        assert progress.text().startswith("  0 %  0 of 3 files")
        progress.advance(2, note="copying \x1b a.jpg")
        log.clock.tick(3725)
        assert progress.text() == (
            " 66 %  2 of 3 files  0/s  1:02:05  copying \\x1b a.jpg"
        )
        progress.advance()
    assert "100 %  3 of 3 files" in log.err.getvalue()


def test_progress_of_nothing(log):
    """No division by zero, of time or of names."""
    with log.output.progress("files", total=0):
        pass
    assert log.err.getvalue() == "  0 %  0 of 0 files  -/s  0:00:00\n"


def test_lines_go_between(terminal):
    """A line takes the place of what is drawn, which is drawn again below it."""
    with terminal.output.progress("names") as progress:
        terminal.output.warn("early")
        assert terminal.new_err() == "early\n"
        terminal.clock.tick(1)
        progress.advance()
        terminal.new_err()
        terminal.output.warn("late")
        assert terminal.new_err() == "\r" + " " * 40 + "\r" + "late\n"
    terminal.new_err()
    terminal.output.warn("after")
    assert terminal.new_err() == "after\n"


def test_a_long_line_is_cut(terminal):
    """A line that wraps could not be drawn over."""
    with terminal.output.progress("names") as progress:
        terminal.clock.tick(1)
        progress.advance(note="x" * 100)
        assert len(terminal.new_err()) == 1 + 40


def test_quiet(clock):
    for kind in (Terminal, StringIO):
        screen = Screen(kind(), kind(), clock, quiet=True)
        with screen.output.progress("names") as progress:
            clock.tick(100)
            progress.advance()
            screen.output.warn("said all the same")
        assert screen.err.getvalue() == "said all the same\n"


def test_an_error_ends_the_line(terminal):
    """What is said of it stands on a line of its own."""
    with pytest.raises(OSError, match="x"), terminal.output.progress("names"):
        raise OSError("x")
    assert terminal.new_err().endswith("\n")


def test_many_threads_count_together(log):
    with log.output.progress("names") as progress:
        threads = [
            threading.Thread(target=lambda: [progress.advance() for _ in range(500)])
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert progress.done == 4000


# Nobody reads


@pytest.fixture
def ends(monkeypatch):
    """Expect the end of the program, of which the tests' own streams know nothing.

    (They are exchanged here and not at set-up, where pytest would put its own back.)
    """

    @contextmanager
    def ends():
        with monkeypatch.context() as patch:
            patch.setattr("sys.stdout", StringIO())
            patch.setattr("sys.stderr", StringIO())
            with pytest.raises(SystemExit) as caught:
                yield
        assert caught.value.code == 141

    return ends


@pytest.mark.parametrize(
    "act",
    [
        lambda output: output.line("x"),
        lambda output: output.warn("x"),
        lambda output: output.table([("x",)]),
        lambda output: output.json({}),
        lambda output: output.progress("names").__exit__(None, None, None),
    ],
    ids=["line", "warn", "table", "json", "progress"],
)
def test_a_closed_pipe_ends_the_program(ends, clock, act, closed_pipe):
    """Not as an Exception: what handles failures of files must not go on with it."""
    screen = Screen(closed_pipe(), closed_pipe(), clock)
    with ends():
        act(screen.output)


def test_what_is_buffered_counts_as_printed_when_it_is_flushed(
    ends, clock, closed_pipe
):
    screen = Screen(closed_pipe(buffer=100), StringIO(), clock)
    screen.output.line("x")
    with ends():
        screen.output.flush()


def test_a_closed_pipe_within_progress(ends, clock, closed_pipe):
    """The end of the progress is not printed to it, too."""
    screen = Screen(closed_pipe(), StringIO(), clock)
    with ends(), screen.output.progress("names"):
        screen.output.line("x")
    assert screen.err.getvalue() == ""
