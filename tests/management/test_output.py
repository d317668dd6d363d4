"""What is printed, on a terminal and elsewhere; with clocks that are ticked by hand."""

from __future__ import annotations

import json
from contextlib import closing
from io import BytesIO, StringIO, TextIOWrapper

import pytest
from django.core.management.base import OutputWrapper
from django.core.management.color import color_style

from fallback_storage.management.output import Progress, Stream, print_json


class Terminal(StringIO):
    def isatty(self):
        return True


class ClosedPipe(StringIO):
    """Fails when it is written to, or only when what it took is flushed."""

    is_closed = True

    def __init__(self, method):
        super().__init__()
        self.failing = method

    def write(self, text):
        self._fail("write")
        return len(text)

    def flush(self):
        self._fail("flush")

    def _fail(self, method):
        if self.is_closed and self.failing == method:
            raise BrokenPipeError


def stream_to(out):
    return Stream(OutputWrapper(out))


# Lines


def test_lines():
    out = StringIO()
    for text in ("one", "", "two"):
        stream_to(out).write(text)
    assert out.getvalue() == "one\n\ntwo\n"


@pytest.mark.parametrize("out", [Terminal(), StringIO()])
def test_the_colours_are_djangos(out):
    """Of errors on a terminal, unless another one is asked for."""
    wrapper = OutputWrapper(out)
    wrapper.style_func = color_style(force_color=True).ERROR
    Stream(wrapper).write("bad")
    Stream(wrapper).write("neutral", str)
    bad, neutral = out.getvalue().replace("\x1b[0m", "").split("\n")[:2]
    assert bad.startswith("\x1b[") is out.isatty()
    assert bad.endswith("bad")
    assert neutral == "neutral"


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("caf\u00e9", "caf\\xe9"),
        ("\u65e5", "\\u65e5"),
        ("\x1b[2Jx\n", "\\x1b[2Jx\\n"),
        ("bad\udc80", "bad\\udc80"),
    ],
)
def test_what_cannot_be_printed(text, printed):
    """Neither an encoding error nor an order to the terminal: an escape."""
    buffer = BytesIO()
    stream = stream_to(TextIOWrapper(buffer, "ascii"))
    stream.write(text)
    assert buffer.getvalue().decode() == f"{printed}\n"


def test_json():
    value = {"name": "caf\u00e9\x1b\udc80", "count": 1, "none": None}
    out = StringIO()
    print_json(stream_to(out), value)
    assert out.getvalue().isascii()
    assert json.loads(out.getvalue()) == value


# Progress


@pytest.fixture
def clock(clock, monkeypatch):
    monkeypatch.setattr(Progress, "clock", staticmethod(clock))
    return clock


def test_progress(clock):
    """A plain line every five seconds, and one at the end; also on a terminal."""
    out = Terminal()
    with closing(Progress(stream_to(out), quiet=False)) as progress:
        for count in range(1, 25):
            progress.update(100 * count, f"file {count} \x1b".__str__)
            clock.tick(0.5)
    assert out.getvalue().splitlines() == [
        "1,100 names  220/s  0:00:05  file 11 \\x1b",
        "2,100 names  210/s  0:00:10  file 21 \\x1b",
        "2,400 names  200/s  0:00:12  file 24 \\x1b",
    ]


@pytest.mark.parametrize(
    ("done", "seconds", "line"),
    [
        (0, 0, "0 names  -/s  0:00:00"),
        (1, 1, "1 name  1/s  0:00:01"),
        (7450, 3725, "7,450 names  2/s  1:02:05"),
    ],
)
def test_progress_of_nothing_and_of_much(clock, done, seconds, line):
    out = StringIO()
    progress = Progress(stream_to(out), quiet=False)
    clock.tick(seconds)
    progress.update(done, str)
    progress.close()
    assert out.getvalue().splitlines()[-1] == line


def test_quiet(clock):
    out = StringIO()
    with closing(Progress(stream_to(out), quiet=True)) as progress:
        clock.tick(100)
        progress.update(1, pytest.fail)
        progress.fail("said all the same")
    assert out.getvalue() == "said all the same\n"


# Nobody reads


@pytest.mark.parametrize("method", ["write", "flush"])
def test_a_closed_pipe_ends_the_program(monkeypatch, method):
    """Not as an Exception: what handles failures of files must not go on with it.

    (The tests' own streams, which are exchanged, must not know of it.)
    """
    pipe = ClosedPipe(method)
    wrapper = OutputWrapper(pipe)
    stream = Stream(wrapper)
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout", StringIO())
        patch.setattr("sys.stderr", StringIO())
        with pytest.raises(SystemExit) as caught:
            stream.write("x")
    assert caught.value.code == 141
    pipe.is_closed = False  # who wraps a stream flushes it once more, at its end
