"""The manual in docs/ says what the code does."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from fallback_storage.chain.profiles import DJANGO, HAVE_DEADLINE, PROFILES, Profile

DOCS = Path(__file__).parent.parent / "docs"


def table():
    """Return the table of docs/storages.rst as it has to be."""
    rows = {path: ", ".join(facts(row)) for path, row in PROFILES.items()}
    paths = max(map(len, rows)) + 4
    line = f"{'=' * paths} {'=' * max(map(len, rows.values()))}"
    lines = [f"{f'``{path}``':{paths}} {what}" for path, what in rows.items()]
    return "\n".join([line, f"{'class':{paths}} what is known", line, *lines, line])


def facts(row):
    """Yield what a row says, in the words of the table."""
    for fact in fields(Profile):
        name, value = fact.name.upper(), getattr(row, fact.name)
        if value == getattr(DJANGO, fact.name):
            continue
        if isinstance(value, tuple | str):
            yield f"{name} ({value if isinstance(value, str) else ', '.join(value)})"
        else:
            yield f"not {name}" if value is False else name


def test_the_table_of_profiles_is_that_of_the_code():
    """Every class, and all that is known of it."""
    assert table() in (DOCS / "storages.rst").read_text()


@pytest.mark.parametrize("fact", [fact.name.upper() for fact in fields(Profile)])
def test_every_fact_of_a_profile_is_explained(fact):
    """By the key that overrides it."""
    assert f"``{fact}``" in (DOCS / "storages.rst").read_text()


def test_the_list_of_deadlines_is_that_of_the_code():
    """Every class that has one by itself, and no other."""
    text = (DOCS / "outages.rst").read_text()
    listed = [line[4:-2] for line in text.splitlines() if line.startswith("* ``")]
    assert listed == sorted(HAVE_DEADLINE)


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.rst")), ids=lambda page: page.name)
def test_the_tests_that_a_page_names_are_there(page):
    """What it says is what they found."""
    for path, name in re.findall(r"(tests/\S+\.py)::(\w+)", page.read_text()):
        assert f"\ndef {name}(" in (DOCS.parent / path).read_text(), name
