"""The pages of docs/, and the blocks in them that are to be copied."""

from __future__ import annotations

import re
import textwrap
from typing import NamedTuple

from paths import ROOT

DOCS = ROOT / "docs"
TITLE = re.compile(r"^(\S.*)\n([=-])\2+$", re.MULTILINE)
DIRECTIVE = re.compile(r"^( *)\.\. code-block:: (\w+)\n\n", re.MULTILINE)


class Block(NamedTuple):
    """``title``: of the section it is in; ``number``: which of that section's blocks."""

    page: str
    title: str
    number: int
    language: str
    code: str

    def run(self, **names):
        """Run it as Python, as a module of its own; return what it defines."""
        exec(compile(self.code, self.page, "exec", dont_inherit=True), names)
        return {name: what for name, what in names.items() if name != "__builtins__"}


def text_of(page):
    return (DOCS / page).read_text(encoding="utf-8")


def section(page, title):
    """Return the text of a section, without its title."""
    text = text_of(page)
    found = list(TITLE.finditer(text))
    for this, following in zip(found, [*found[1:], None], strict=True):
        if this[1] == title:
            return text[this.end() : following.start() if following else None]
    raise AssertionError(f"{page} has no section {title!r}")


def blocks(page):
    """Return all blocks of code of a page, in order."""
    return [
        Block(page, title, number, language, code)
        for _, title in sorted(
            {(m.start(), m[1]) for m in TITLE.finditer(text_of(page))}
        )
        for number, (language, code) in enumerate(_blocks_in(section(page, title)))
    ]


def _blocks_in(text):
    for found in DIRECTIVE.finditer(text):
        lines = text[found.end() :].splitlines()
        within = found[1] + "    "
        end = (
            n for n, line in enumerate(lines) if line and not line.startswith(within)
        )
        yield (
            found[2],
            textwrap.dedent("\n".join(lines[: next(end, len(lines))])) + "\n",
        )


def rows(text):
    """Return the rows of the simple tables in a text: the first cell, and the second."""
    found = []
    width = 0  # of the first column, within a table
    for line in text.splitlines():
        if re.fullmatch(r"=+ +=+", line):
            width = line.index(" ")
        elif not line.strip():
            width = 0
        elif width and line[:width].strip():
            found.append([line[:width].strip(), line[width:].strip()])
        elif width:
            found[-1][1] += f" {line.strip()}"
    return found
