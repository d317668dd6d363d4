"""How Sphinx builds the manual: ``tox run -e docs``."""

from __future__ import annotations

import tomllib
from pathlib import Path

from docutils import nodes
from sphinx.util import logging

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


def link_pages(app, doctree, docname):
    """Links between pages name the sources, so that GitHub's own pages have them, too."""
    for link in doctree.findall(nodes.reference):
        page, is_page, anchor = link.get("refuri", "").partition(".rst")
        if is_page and "/" not in page:
            if page not in app.env.all_docs:
                logging.getLogger(__name__).warning("no such page: %s", page)
            link["refuri"] = app.builder.get_relative_uri(docname, page) + anchor


def setup(app):
    """Change the links of a page when all pages are read."""
    app.connect("doctree-resolved", link_pages)
