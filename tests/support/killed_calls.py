"""A child process that is killed at one of the calls that it makes into the system.

Every C function of Python's that may do input or output counts as one.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings

# The modules of the C functions that make system calls.
MODULES = frozenset({"posix", "fcntl", "io", "_io"})
# Theirs that change nothing which another process could see.
HARMLESS = frozenset(
    {"fspath", "_path_normpath", "urandom", "seekable", "seek", "tell"}
)


def is_system_call(function):
    if function.__name__ in HARMLESS:
        return False
    owner = getattr(function, "__self__", None)
    module = getattr(function, "__module__", None) or type(owner).__module__
    return module in MODULES


def run_killed(function, number):
    """Run a function in a child that is killed before its call ``number``, from 0.

    Returns whether it came to its end, for it made no more calls.
    """
    left = number

    def count():
        nonlocal left
        if not left:
            signal.raise_signal(signal.SIGKILL)
        left -= 1

    code = run_counted(function, count)
    assert code in {0, -signal.SIGKILL}
    return code == 0


def calls_of(function):
    """Return how many calls a function makes, run in a child to its end."""
    calls = 0
    reading, writing = os.pipe()

    def count():
        nonlocal calls
        calls += 1

    def counted():
        function()
        sys.setprofile(None)
        os.write(writing, str(calls).encode())

    try:
        assert run_counted(counted, count) == 0
        return int(os.read(reading, 100))
    finally:
        os.close(reading)
        os.close(writing)


def run_counted(function, count):
    """Run a function in a child; ``count`` is called there before each of its calls.

    Returns how it ended: 0, or minus the signal.
    """
    with warnings.catch_warnings():
        # Python 3.12 warns of a fork where other tests have left threads.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if not pid:

        def watch(frame, event, argument):
            if event == "c_call" and is_system_call(argument):
                count()

        status = 1
        try:
            signal.alarm(60)
            sys.setprofile(watch)
            function()
            sys.setprofile(None)
            status = 0
        except BaseException as error:
            sys.setprofile(None)
            os.write(2, f"{error!r}\n".encode())
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
