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
    with warnings.catch_warnings():
        # Python 3.12 warns of a fork where other tests have left threads.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if not pid:
        left = number

        def watch(frame, event, argument):
            nonlocal left
            if event == "c_call" and is_system_call(argument):
                if not left:
                    signal.raise_signal(signal.SIGKILL)
                left -= 1

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
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in {0, -signal.SIGKILL}
    return code == 0
