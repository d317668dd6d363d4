"""The blocks of the manual by the section that they are in, and its simple tables."""

from __future__ import annotations

import re
import textwrap
from typing import NamedTuple

from manual import section, text

TITLE = re.compile(r"^(\S.*)\n([=-])\2+$", re.MULTILINE)
DIRECTIVE = re.compile(r"^( *)\.\. code-block:: (\w+)\n\n", re.MULTILINE)


class Block(NamedTuple):
    """``title``: of the section it is in."""

    page: str
    title: str
    language: str
    code: str

    def run(self, **names):
        """Run it as Python, as a module of its own; return what it defines."""
        exec(compile(self.code, self.page, "exec", dont_inherit=True), names)
        return {name: what for name, what in names.items() if name != "__builtins__"}


def blocks(page):
    """Return all blocks of code of a page, in order."""
    return [
        Block(page, found[1], language, code)
        for found in TITLE.finditer(text(page))
        for language, code in _blocks_in(section(page, found[1]))
    ]


def _blocks_in(part):
    for found in DIRECTIVE.finditer(part):
        lines = part[found.end() :].splitlines()
        within = found[1] + "    "
        end = (
            n for n, line in enumerate(lines) if line and not line.startswith(within)
        )
        yield (
            found[2],
            textwrap.dedent("\n".join(lines[: next(end, len(lines))])) + "\n",
        )


def rows(part):
    """Return the rows of the simple tables in a part: the first cell, and the second."""
    found = []
    width = 0  # of the first column, within a table
    for line in part.splitlines():
        if re.fullmatch(r"=+ +=+", line):
            width = line.index(" ")
        elif not line.strip():
            width = 0
        elif width and line[:width].strip():
            found.append([line[:width].strip(), line[width:].strip()])
        elif width:
            found[-1][1] += f" {line.strip()}"
    return found
