"""How Sphinx builds the manual: ``tox run -e docs``."""

from __future__ import annotations

import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"
DESCRIBED = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]

project = DESCRIBED["name"]
author = DESCRIBED["authors"][0]["name"]
project_copyright = author
version = release = DESCRIBED["version"]

html_theme = "furo"
html_title = f"{project} {version}"
html_show_sourcelink = False
# A shell's session is no Python, and a literal block is not always either.
highlight_language = "text"
