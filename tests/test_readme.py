"""CONTRIBUTING says what the code is made of."""

from __future__ import annotations

import re
from pathlib import Path

from paths import ROOT

import fallback_storage

PACKAGE = Path(fallback_storage.__file__).parent
CONTRIBUTING = (ROOT / "CONTRIBUTING.rst").read_text(encoding="utf-8")


def test_the_tree_is_that_of_the_package():
    """CONTRIBUTING names every module, in the line of its room."""
    tree = CONTRIBUTING.split("\nThe rooms\n", 1)[1].split("\nWords\n", 1)[0]
    rooms = dict(re.findall(r"^    ([\w/]+/)((?:.|\n {5,})*)", tree, re.MULTILINE))
    for module in PACKAGE.rglob("*.py"):
        place = module.relative_to(PACKAGE)
        if module.name == "__init__.py" or "commands" in place.parts:
            continue
        if len(place.parts) == 1:
            assert f"    {module.name} " in tree
        else:
            named = re.findall(r"\w+", rooms[f"{place.parent.as_posix()}/"])
            assert module.stem in named, place
