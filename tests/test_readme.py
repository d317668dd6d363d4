"""The manual says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fallback_storage import config, memospec, specs
from fallback_storage.cache import memo

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.rst").read_text(encoding="utf-8")
CHECK_ID = re.compile(r"fallback_storage\.[EW]\d{3}")
CONTRIBUTING = (ROOT / "CONTRIBUTING.rst").read_text(encoding="utf-8")


@pytest.mark.parametrize("option", config.DEFAULTS)
def test_every_option_is_documented(option):
    """Each keyword of FallbackStorage has its place in the manual."""
    assert f'``"{option}": ' in README


@pytest.mark.parametrize("key", sorted({*specs.KINDS, *memospec.CACHE_KINDS}))
def test_every_key_is_documented(key):
    """Each key of a backend entry and of the cache dict, with its type."""
    assert f'``"{key}": ' in README


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("TTL", f"{memo.DEFAULT_TTL:g}"),
        ("NEGATIVE_TTL", f"{memo.DEFAULT_NEGATIVE_TTL:g}"),
        ("MAX_ENTRIES", f"{memospec.DEFAULT_MAX_ENTRIES:_}"),
    ],
)
def test_the_defaults_are_those_of_the_code(key, value):
    """A default that changes in the code alone is a lie in the manual."""
    described = README.split(f'``"{key}": ', 1)[1].split('``"', 1)[0]
    assert re.search(rf"Default\s+``{value}``", described)


def test_every_check_is_documented():
    """The ids of the system checks, and no others."""
    package = Path(config.__file__).parent
    used = {
        found
        for module in package.rglob("*.py")
        for found in CHECK_ID.findall(module.read_text(encoding="utf-8"))
    }
    assert used == set(CHECK_ID.findall(README))


@pytest.mark.parametrize("mode", config.ON_DELETE)
def test_every_mode_of_deleting_is_documented(mode):
    """Each value of on_delete has its row in the table."""
    assert f'``"{mode}"``' in README


def test_the_rooms_are_those_of_the_package():
    """CONTRIBUTING names every module."""
    package = Path(config.__file__).parent
    for module in package.glob("*.py"):
        if module.name != "__init__.py":
            assert module.name in CONTRIBUTING, module.name
    for module in (package / "cache" / "stores").glob("*.py"):
        if module.name != "__init__.py":
            assert module.stem in CONTRIBUTING, module.name
