"""README.rst is right wherever it is read; CONTRIBUTING.rst names what there is."""

from __future__ import annotations

import io
import re
import tomllib
from pathlib import Path

import pytest
from manual import README, text
from paths import ROOT

import fallback_storage

PACKAGE = Path(fallback_storage.__file__).parent


@pytest.fixture(scope="module")
def rendered():
    """The README as PyPI shows it."""
    rst = pytest.importorskip("readme_renderer.rst")
    warnings = io.StringIO()
    html = rst.render(text(README), warnings)
    assert warnings.getvalue() == ""
    assert html is not None
    return html


def test_it_is_short_and_fits_a_terminal():
    lines = text(README).splitlines()
    assert len(lines) <= 260
    assert [line for line in lines if len(line) > 100] == []


def test_every_link_and_picture_is_right_on_every_site(rendered):
    """What begins with no address is looked for beside the page, where it is not."""
    metadata = tomllib.loads(text("pyproject.toml"))["project"]["urls"]
    home = metadata["Homepage"]
    raw = home.replace("//github.com", "//raw.githubusercontent.com")
    found = re.findall(r'(?:href|src)="([^"]+)"', rendered)
    assert metadata["Documentation"] in found
    for address in found:
        file = re.fullmatch(rf"(?:{home}/blob|{raw})/main/(.+)", address)
        if file:
            assert (ROOT / file[1]).is_file(), address
        else:
            assert address.startswith(("#", "http://localhost")), address


def test_the_tree_is_that_of_the_package():
    """CONTRIBUTING names every module, in the line of its room."""
    contributing = text("CONTRIBUTING.rst")
    tree = contributing.split("\nThe rooms\n", 1)[1].split("\nWords\n", 1)[0]
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
