"""The manual in docs/ says what the code does, and all of it."""

from __future__ import annotations

import argparse
import ast
import importlib
import inspect
import re
import tomllib
from pathlib import Path

import manual
import pytest
from django.dispatch import Signal
from manual import PAGES, names, table, terms, text
from paths import ROOT

import fallback_storage
from fallback_storage import signals
from fallback_storage.cache.memo import DEFAULT_NEGATIVE_TTL, DEFAULT_TTL
from fallback_storage.chain.profile import DJANGO
from fallback_storage.chain.profiles import HAVE_DEADLINE, PROFILES
from fallback_storage.chain.reach import DEADLINE
from fallback_storage.chain.reaches import RETRY_AFTER
from fallback_storage.conf.cache import CACHE_KEYS, DEFAULT_GRACE, DEFAULT_MAX_ENTRIES
from fallback_storage.conf.entries import KEYS
from fallback_storage.conf.options import DEFAULTS, ON_DELETE, VALUES
from fallback_storage.conf.settings import BACKENDS_SETTING, CACHE_SETTING
from fallback_storage.management.commands.fallback_storage import SUBCOMMANDS
from fallback_storage.operations.awaited import Awaited
from fallback_storage.operations.beyond import Beyond
from fallback_storage.storage import FallbackStorage
from fallback_storage.views.options import MediaOptions

PACKAGE = Path(fallback_storage.__file__).parent
CHECK_ID = re.compile(r"fallback_storage\.[EW]\d{3}")
SETTINGS = "docs/settings.rst"

# A value of each type, as the tables call it.
SAMPLES = {"str": "first", "bool": True, "float": 1.5, "int": 7, "dict": {}, "list": []}


# Settings, options, keys


def test_every_setting_is_in_its_table():
    assert set(table(SETTINGS, "Settings")) == {BACKENDS_SETTING, CACHE_SETTING}


@pytest.mark.parametrize(
    ("title", "code"),
    [
        ("Options of a chain", DEFAULTS),
        ("An entry of the chain", KEYS),
        ("The memo", CACHE_KEYS),
    ],
)
def test_a_table_has_every_key_of_the_code_and_no_other(title, code):
    assert set(table(SETTINGS, title)) == set(code)


@pytest.mark.parametrize(
    ("title", "rules"),
    [
        ("Options of a chain", {**VALUES, "on_delete": (), "urls": ()}),
        ("An entry of the chain", KEYS),
        ("The memo", CACHE_KEYS),
    ],
)
def test_a_value_of_the_type_that_the_table_names_is_taken(title, rules):
    described = table(SETTINGS, title)
    for key, each in rules.items():
        for rule in each[:1]:
            assert rule.holds(SAMPLES[described[key][0]]), key


def test_the_defaults_of_options_are_those_of_the_code():
    told = {
        name: ast.literal_eval(default.strip("`"))
        for name, (_, default, _) in table(SETTINGS, "Options of a chain").items()
    }
    assert told == DEFAULTS


@pytest.mark.parametrize(
    ("title", "key", "value"),
    [
        ("The memo", "TTL", f"``{DEFAULT_TTL:g}``"),
        ("The memo", "NEGATIVE_TTL", f"``{DEFAULT_NEGATIVE_TTL:g}``"),
        ("The memo", "GRACE", f"``{int(DEFAULT_GRACE):_}``"),
        ("The memo", "MAX_ENTRIES", f"``{DEFAULT_MAX_ENTRIES:_}``"),
        ("An entry of the chain", "RETRY_AFTER", f"``{RETRY_AFTER:g}``"),
        ("An entry of the chain", "DEADLINE", f"``{DEADLINE:g}``, or none"),
    ],
)
def test_the_defaults_of_keys_are_those_of_the_code(title, key, value):
    """A default that changes in the code alone is a lie in the manual."""
    assert table(SETTINGS, title)[key][1] == value


@pytest.mark.parametrize("mode", ON_DELETE)
def test_every_mode_of_deleting_is_documented(mode):
    assert f'\n``"{mode}"``' in manual.section("docs/operations.rst", "Deleting")


@pytest.mark.parametrize(
    ("page", "code"),
    [
        ("docs/http.rst", "fallback_storage.http.HTTPStorage"),
        ("docs/media.rst", MediaOptions),
    ],
)
def test_every_option_of_the_origin_and_of_the_view_is_documented(page, code):
    if isinstance(code, str):
        pytest.importorskip("urllib3")
        code = imported(code)
    takes = inspect.signature(code.__init__).parameters
    lines = [re.sub(r" \(.*", "", line) for line in terms(page, "Options")]
    told = names(lines)
    assert sorted([*told, "self"]) == sorted(takes)


def test_every_extra_is_documented():
    """What is installed by a name in brackets."""
    project = tomllib.loads(text("pyproject.toml"))["project"]
    told = terms("docs/index.rst", "django-fallback-storage")
    assert sorted(names(told)) == sorted(project["optional-dependencies"])


# Methods, commands, signals, checks


def test_every_public_method_is_documented():
    own = {
        name
        for kind in (FallbackStorage, Beyond)
        for name, what in vars(kind).items()
        if name[0] != "_" and (callable(what) or isinstance(what, property))
    }
    own -= {"deconstruct"}  # what Django's decorator adds
    own |= {"open"}  # which Django's class has
    page = "docs/operations.rst"
    told = names(
        terms(page, "Django's interface") + terms(page, "Beyond Django's interface")
    )
    assert {re.match(r"\w+", name)[0] for name in told} == own


def test_every_method_for_async_views_is_documented():
    for name, _ in inspect.getmembers(Awaited, inspect.iscoroutinefunction):
        assert f"``{name}" in text("docs/operations.rst")


@pytest.mark.parametrize("subcommand", SUBCOMMANDS)
def test_every_subcommand_and_its_flags_are_documented(subcommand):
    parser = argparse.ArgumentParser(add_help=False)
    SUBCOMMANDS[subcommand].add_arguments(parser)
    lines = [
        name
        for name in names(re.findall(r"^``.*", text("docs/commands.rst"), re.MULTILINE))
        if name.split()[0] == subcommand
    ]
    assert lines
    told = set(re.findall(r"--[a-z-]+", " ".join(lines)))
    assert told == {flag for flag in flags(parser) if flag.startswith("--")} - {
        "--help"
    }


def flags(parser):
    """Yield the flags of a parser, and of the parsers within."""
    for action in parser._actions:
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                yield from flags(each)


def test_every_signal_is_documented_with_what_it_sends():
    """As its module says it."""
    sent = {name for name, each in vars(signals).items() if isinstance(each, Signal)}
    told = [names([line]) for line in terms("docs/signals.rst", "Signals")]
    assert {name for name, *_ in told} == sent
    for name, *arguments in told:
        described = signals.__doc__.split(f"``{name}``\n", 1)[1].split("\n``", 1)[0]
        assert names([described.split(":")[0]]) == arguments, name


def test_every_check_is_documented():
    """The ids of the system checks, and no others."""
    used = {
        found
        for module in PACKAGE.rglob("*.py")
        for found in CHECK_ID.findall(module.read_text(encoding="utf-8"))
    }
    assert used == set(CHECK_ID.findall(text("docs/checks.rst")))


# What is known of storages


def profiles():
    """Return the table of docs/storages.rst as it has to be."""
    rows = {path: ", ".join(facts(row)) for path, row in PROFILES.items()}
    paths = max(map(len, rows)) + 4
    line = f"{'=' * paths} {'=' * max(map(len, rows.values()))}"
    lines = [f"{f'``{path}``':{paths}} {what}" for path, what in rows.items()]
    return "\n".join([line, f"{'class':{paths}} what is known", line, *lines, line])


def facts(row):
    """Yield what a row says, in the words of the table."""
    for fact in DJANGO._fields:
        name, value = fact.upper(), getattr(row, fact)
        if value == getattr(DJANGO, fact):
            continue
        if isinstance(value, tuple | str):
            yield f"{name} ({value if isinstance(value, str) else ', '.join(value)})"
        else:
            yield f"not {name}" if value is False else name


def test_the_table_of_profiles_is_that_of_the_code():
    """Every class, and all that is known of it."""
    assert profiles() in text("docs/storages.rst")


@pytest.mark.parametrize("fact", [*map(str.upper, DJANGO._fields)])
def test_every_fact_of_a_profile_is_explained(fact):
    """By the key that overrides it."""
    assert f"``{fact}``" in text("docs/storages.rst")


def test_the_list_of_deadlines_is_that_of_the_code():
    """Every class that has one by itself, and no other."""
    lines = text("docs/outages.rst").splitlines()
    listed = [line[4:-2] for line in lines if line.startswith("* ``")]
    assert listed == sorted(HAVE_DEADLINE)


# Every page


@pytest.mark.parametrize("page", PAGES)
def test_the_tests_that_a_page_names_are_there(page):
    """What it says is what they found."""
    for path, name in re.findall(r"(tests/\S+\.py)::(\w+)", text(page)):
        assert f"\ndef {name}(" in text(path), name


@pytest.mark.parametrize("page", [manual.README, *PAGES])
def test_what_a_page_names_of_the_package_is_there(page):
    """Each dotted path, and each file of the project."""
    for path in re.findall(r"fallback_storage(?:\.[a-zA-Z_]\w*)+", text(page)):
        if not CHECK_ID.fullmatch(path):
            assert imported(path) is not None
    for path in re.findall(r"\b(?:tests|demo|benchmarks)/[\w/]+\.\w+", text(page)):
        assert (ROOT / path).exists(), path


def test_no_message_names_a_page_that_is_not_installed():
    """A wheel has no docs/: messages give the address, and the heading is there."""
    home = tomllib.loads(text("pyproject.toml"))["project"]["urls"]["Homepage"]
    address = re.compile(rf"(?<!\S){home}/blob/main/(docs/[\w-]+\.rst)#([\w-]+)(?!\S)")
    seen = []
    for module in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                seen += address.findall(node.value)
                assert not re.search(r"docs/|\.rst", address.sub("", node.value)), (
                    module
                )
    assert seen
    for page, anchor in seen:
        headings = re.findall(r"^(.+)\n[=~-]{3,}$", text(page), re.MULTILINE)
        slugs = [re.sub(r"[^\w -]", "", each.lower()) for each in headings]
        assert anchor in {slug.replace(" ", "-") for slug in slugs}


def imported(path):
    """Return what a dotted path names, a module or what is in one."""
    head, found = [], None
    for part in path.split("."):
        head.append(part)
        if (inspect.ismodule(found) and not hasattr(found, part)) or found is None:
            found = importlib.import_module(".".join(head))
        else:
            found = getattr(found, part)
    return found


def test_every_page_is_in_the_contents():
    """And the links between them are of a kind that GitHub's own pages have as well."""
    contents = re.findall(r"^   ([a-z-]+)$", text("docs/index.rst"), re.MULTILINE)
    assert sorted([*contents, "index"]) == sorted(Path(page).stem for page in PAGES)
    for page in PAGES:
        assert not re.search(r":(doc|ref):", text(page)), page
        named = r"(?:^\.\. _[\w-]+: |<)([\w-]+\.rst)(?=>|$)"
        for linked in re.findall(named, text(page), re.MULTILINE):
            assert f"docs/{linked}" in PAGES, (page, linked)
