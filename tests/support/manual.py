"""The manual, taken apart: its pages, its tables, the lines that are to be copied."""

from __future__ import annotations

import re
import textwrap

from paths import ROOT

README = "README.rst"
PAGES = sorted(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.rst"))


def text(page):
    """Return what a page says."""
    return (ROOT / page).read_text(encoding="utf-8")


def section(page, title):
    """Return what stands below a title, up to the next one of its kind."""
    below = re.split(
        rf"^{re.escape(title)}\n([-=~])\1+\n", text(page), flags=re.MULTILINE
    )[2]
    return re.split(r"^.+\n[-=]{3,}\n\n", below, maxsplit=1, flags=re.MULTILINE)[0]


def table(page, title):
    """Return the rows of the first list-table of a section, below its heading."""
    rows = re.split(r"^   \* - ", section(page, title), flags=re.MULTILINE)[2:]
    found = []
    for row in rows:
        cells = re.split(r"^     - ", re.split(r"\n\n", row)[0], flags=re.MULTILINE)
        found.append([" ".join(cell.split()) for cell in cells])
    return {name.strip("`"): rest for name, *rest in found}


def terms(page, title):
    """Return the terms of the definition lists of a section, a line each."""
    return re.findall(r"^``.*(?=\n {4}\S)", section(page, title), re.MULTILINE)


def names(lines):
    """Return what is written in double backticks in these lines."""
    return re.findall(r"``([^`]+)``", "\n".join(lines))


def blocks(page, language="python"):
    """Return what is to be copied, block by block."""
    found = []
    for block in text(page).split(f".. code-block:: {language}\n\n")[1:]:
        lines = block.splitlines()
        end = next((n for n, x in enumerate(lines) if x and x[0] != " "), len(lines))
        found.append(textwrap.dedent("\n".join(lines[:end])))
    return found


def block(line, page="docs/outages.rst"):
    """Run the block of a page that has this line in it; return what it defines."""
    for code in blocks(page):
        if line in code:
            names = {}
            exec(compile(code, page, "exec"), names)
            return names
    raise AssertionError(f"{page} has no such block: {line}")
