"""Run a command of pytest; what fails is run once more, in a process of its own.

    python again.py coverage run pytest --junit-xml=a.xml ...

Some tests have to do with what the machine does meanwhile, and with what other tests have
left in the process. A failure that stays is one. What fails once only is told: it is
somebody's fault all the same.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FAILED = 1
JUNIT = "--junit-xml="


def main(command: list[str]) -> int:
    """Return the exit status."""
    again = [
        each.replace(".xml", "-again.xml") if each.startswith(JUNIT) else each
        for each in command
    ]
    for each in again:
        if each.startswith(JUNIT):
            Path(each.removeprefix(JUNIT)).unlink(missing_ok=True)
    status = subprocess.call(command)
    if status != FAILED:
        return status
    print("\n=== What failed, once more, in a process of its own", flush=True)  # noqa: T201
    return subprocess.call([*again, "--last-failed", "--last-failed-no-failures=none"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
