"""An interrupt at every moment at which Python looks for signals."""

from __future__ import annotations

import sys


def at_every_moment(modules, act, prepare=lambda: None):
    """Call ``act`` again and again, interrupted one moment later each time; yield then.

    ``prepare`` is called before, and not interrupted.

    A moment: a function of these modules begins, or one in C has returned to it.
    """
    files = {module.__file__ for module in modules}
    left = moment = 0

    def interrupt(frame, event, argument):
        nonlocal left
        if frame.f_code.co_filename in files and event in {"call", "c_return"}:
            left -= 1
            if left == 0:
                sys.setprofile(None)
                raise KeyboardInterrupt

    while left <= 0:
        moment += 1
        prepare()
        left = moment
        sys.setprofile(interrupt)
        try:
            act()
        except KeyboardInterrupt:
            pass
        finally:
            sys.setprofile(None)
        yield moment
