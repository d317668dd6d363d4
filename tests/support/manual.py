"""The lines of the manual that are to be copied."""

from __future__ import annotations

import textwrap

from paths import ROOT

BLOCK = ".. code-block:: python\n\n"


def block(line, page="docs/outages.rst"):
    """Run the block of a page that has this line in it; return what it defines."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for found in text.split(BLOCK)[1:]:
        lines = found.splitlines()
        end = next((n for n, x in enumerate(lines) if x and x[0] != " "), len(lines))
        code = textwrap.dedent("\n".join(lines[:end]))
        if line in code:
            names = {}
            exec(compile(code, page, "exec"), names)
            return names
    raise AssertionError(f"{page} has no such block: {line}")
