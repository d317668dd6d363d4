"""The manual says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from paths import ROOT

import fallback_storage
from fallback_storage.cache.memo import DEFAULT_NEGATIVE_TTL, DEFAULT_TTL
from fallback_storage.conf.backends import KEYS
from fallback_storage.conf.cache import CACHE_KEYS, DEFAULT_MAX_ENTRIES
from fallback_storage.conf.options import DEFAULTS, ON_DELETE

README = (ROOT / "README.rst").read_text(encoding="utf-8")
PACKAGE = Path(fallback_storage.__file__).parent
CHECK_ID = re.compile(r"fallback_storage\.[EW]\d{3}")
CONTRIBUTING = (ROOT / "CONTRIBUTING.rst").read_text(encoding="utf-8")


@pytest.mark.parametrize("option", DEFAULTS)
def test_every_option_is_documented(option):
    """Each keyword of FallbackStorage has its place in the manual."""
    assert f'``"{option}": ' in README


@pytest.mark.parametrize("key", sorted({*KEYS, *CACHE_KEYS}))
def test_every_key_is_documented(key):
    """Each key of a backend entry and of the cache dict, with its type."""
    assert f'``"{key}": ' in README


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("TTL", f"{DEFAULT_TTL:g}"),
        ("NEGATIVE_TTL", f"{DEFAULT_NEGATIVE_TTL:g}"),
        ("MAX_ENTRIES", f"{DEFAULT_MAX_ENTRIES:_}"),
    ],
)
def test_the_defaults_are_those_of_the_code(key, value):
    """A default that changes in the code alone is a lie in the manual."""
    described = README.split(f'``"{key}": ', 1)[1].split('``"', 1)[0]
    assert re.search(rf"Default\s+``{value}``", described)


def test_every_check_is_documented():
    """The ids of the system checks, and no others."""
    used = {
        found
        for module in PACKAGE.rglob("*.py")
        for found in CHECK_ID.findall(module.read_text(encoding="utf-8"))
    }
    assert used == set(CHECK_ID.findall(README))


@pytest.mark.parametrize("mode", ON_DELETE)
def test_every_mode_of_deleting_is_documented(mode):
    """Each value of on_delete has its row in the table."""
    assert f'``"{mode}"``' in README


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
