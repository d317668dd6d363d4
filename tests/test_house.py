"""The rooms: few at the root, on eight floors, and none of their modules is long."""

from __future__ import annotations

import tomllib
from pathlib import Path

from paths import ROOT

import fallback_storage

PACKAGE = Path(fallback_storage.__file__).parent
# At most.
ENTRIES = 17
LINES = 300


def test_the_root_can_be_read_at_a_glance():
    entries = [path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"]
    assert len(entries) <= ENTRIES, sorted(entries)


def test_no_module_is_long():
    lines = {
        path.relative_to(PACKAGE): len(path.read_text(encoding="utf-8").splitlines())
        for path in PACKAGE.rglob("*.py")
    }
    assert {path for path in lines if lines[path] > LINES} == set()


def test_the_rooms_lie_on_eight_floors():
    """``lint-imports`` holds them to it; ``wrong_imports.py`` shows that it does."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    rooms, *_ = project["tool"]["importlinter"]["contracts"]
    assert (
        rooms["type"],
        rooms["containers"],
        rooms["exhaustive"],
        len(rooms["layers"]),
    ) == (
        "layers",
        ["fallback_storage"],
        True,
        8,
    )
    lint = (ROOT / "tox.ini").read_text(encoding="utf-8").partition("[testenv:lint]")[2]
    for command in ("lint-imports", "python tests/support/wrong_imports.py"):
        assert f"\n    {command}\n" in lint.partition("[testenv")[0]
