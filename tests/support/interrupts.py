"""What comes from outside, at every moment at which Python lets it in.

A moment: Python runs the handlers of signals (and from 3.12 on the garbage collector)
when a function begins or a generator goes on, when a call of anything that is not a
function of Python returns, and when a loop goes round. (Before 3.12 the return from a
class is not told of.)
"""

from __future__ import annotations

import contextlib
import dis
import functools
import itertools
import sys
import threading
import weakref
from pathlib import Path

import fallback_storage

# The package, and what runs on its behalf and could be left half way.
PACKAGE = str(Path(fallback_storage.__file__).parent)
WITHIN = (PACKAGE, contextlib.__file__, threading.__file__, weakref.__file__)
IN_MEMO = (f"{PACKAGE}/cache", f"{PACKAGE}/utils", *WITHIN[1:])

TOOL = 4


class TimeLimitError(Exception):
    """What a task queue's signal handler raises in the middle of a task."""


@functools.cache
def _is_within(file, files):
    return file.startswith(files)


class Moments:
    """Counts the moments of this thread while it is entered.

    ``events``: number of a moment -> what is called then, and may raise. ``files``: how
    the paths of the modules begin in which moments count. ``places`` tells where they
    were, and ``passed`` how many there have been.
    """

    def __init__(self, events=(), files=WITHIN):
        self._events = dict(events)
        self._files = files
        self._thread = threading.get_ident()
        self.passed = 0
        self.places = []

    def _come(self, code, line, what):
        self.passed += 1
        if self.passed in self._events:
            path = code.co_filename.removeprefix(PACKAGE)
            self.places.append(f"{path}:{line} {code.co_name} {what}")
            self._events.pop(self.passed)()

    def _counts(self, code):
        return _is_within(code.co_filename, self._files) and (
            threading.get_ident() == self._thread
        )

    if sys.version_info >= (3, 12):

        def __enter__(self):
            monitoring, events = sys.monitoring, sys.monitoring.events
            monitoring.use_tool_id(TOOL, "interrupts")
            callbacks = {
                events.PY_START: self._began,
                events.PY_RESUME: self._began,
                events.C_RETURN: self._returned,
                events.JUMP: self._jumped,
            }
            for event, callback in callbacks.items():
                monitoring.register_callback(TOOL, event, callback)
            # With calls, returns are told of.
            told = events.PY_START | events.PY_RESUME | events.CALL | events.JUMP
            monitoring.set_events(TOOL, told)
            return self

        def __exit__(self, *error):
            sys.monitoring.set_events(TOOL, 0)
            sys.monitoring.free_tool_id(TOOL)

        def _began(self, code, offset):
            if self._counts(code):
                self._come(code, code.co_firstlineno, "begins")

        def _returned(self, code, offset, function, argument):
            if self._counts(code) and offset not in _entered(code):
                name = getattr(function, "__qualname__", function)
                del function, argument  # no handler of signals knows them
                self._come(code, _line_at(code, offset), f"back from {name}")

        def _jumped(self, code, offset, destination):
            if destination < offset and self._counts(code):
                self._come(code, _line_at(code, offset), "goes round")

    else:

        def __enter__(self):
            sys.setprofile(self._profile)
            sys.settrace(self._trace)
            return self

        def __exit__(self, *error):
            sys.settrace(None)
            sys.setprofile(None)

        def _profile(self, frame, event, argument):
            code = frame.f_code
            if event in {"call", "c_return"} and self._counts(code):
                line = frame.f_lineno
                back = event == "c_return" and f"back from {argument.__qualname__}"
                self._come(code, line, back or "begins")

        def _trace(self, frame, event, argument):
            if not self._counts(frame.f_code):
                return None
            frame.f_trace_lines, frame.f_trace_opcodes = False, True
            return self._step

        def _step(self, frame, event, argument):
            if event == "opcode":
                code = frame.f_code
                if "JUMP_BACKWARD" in dis.opname[code.co_code[frame.f_lasti]]:
                    self._come(code, frame.f_lineno, "goes round")
            return self._step


@functools.cache
def _entered(code):
    """Return where ``with`` calls an ``__enter__``.

    Nothing comes in when that returns; but for CPython 3.14, whose fault that is (see
    the README): what it leaves locked nobody can release.
    """
    steps = list(dis.get_instructions(code))
    return {
        step.offset
        for before, step in itertools.pairwise(steps)
        if (before.opname, before.argrepr) == ("LOAD_SPECIAL", "__enter__")
    }


def _line_at(code, offset):
    lines = (line for start, end, line in code.co_lines() if start <= offset < end)
    return next(lines, None)


def fail(error):
    """Return what raises an error of a class. (One that is kept keeps its frames.)"""

    def event():
        raise error

    return event


def at_every_moment(modules, act, prepare=lambda: None):
    """Call ``act`` again and again, interrupted one moment later each time; yield then.

    ``prepare`` is called before, and not interrupted. Moments of these modules count.
    """
    files = tuple(module.__file__ for module in modules)
    moment, moments = 0, None
    hook = sys.unraisablehook

    def unraisable(unraised):
        # What interrupts a __del__ is lost.
        if not isinstance(unraised.exc_value, KeyboardInterrupt):
            hook(unraised)

    while moments is None or moments.passed >= moment:
        moment += 1
        prepare()
        moments = Moments({moment: fail(KeyboardInterrupt)}, files)
        sys.unraisablehook = unraisable
        try:
            with contextlib.suppress(KeyboardInterrupt), moments:
                act()
        finally:
            sys.unraisablehook = hook
        yield moment
