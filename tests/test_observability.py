"""docs/observability.rst names what the code has: counters, log lines."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest
from fakes import RecordingStorage
from management.running import configure, run
from manual import section
from pages import rows

import fallback_storage
from fallback_storage.management import stats as command
from fallback_storage.operations.stats import BackendStats, Stats

PAGE = "docs/observability.rst"
PACKAGE = Path(fallback_storage.__file__).parent
METHODS = {"debug", "info", "warning", "warn", "error", "exception", "critical"}


# Counters


def keys(rows):
    return [cell.strip("`") for cell, _ in rows]


@pytest.fixture
def tables():
    """The keys of the memo, of a backend, and of ``stats --json``."""
    memo, backend, printed = (
        keys(rows(part))
        for part in re.split(
            r"^Of each backend:$|^``manage.py",
            section(PAGE, "Counters"),
            flags=re.MULTILINE,
        )
    )
    return memo, backend, printed


def test_every_counter_is_there(tables):
    memo, backend, _ = tables
    assert len(memo) == len(set(memo))
    assert set(memo) == set(Stats.__annotations__)
    assert backend == list(BackendStats.__annotations__)


@pytest.mark.parametrize("cache", [None, False, "locmem", "files"])
def test_stats_have_them_whatever_the_memo_is(settings, tmp_path, tables, cache):
    """Those that are of no kind of memo are always there; no other one is."""
    settings.CACHES = {
        "locmem": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        "files": {
            "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
            "LOCATION": str(tmp_path),
        },
    }
    chain = configure(settings, RecordingStorage("a"), cache=cache)
    chain.exists("x")
    memo, backend, _ = tables
    found = chain.stats()
    assert set(memo[: memo.index("backends") + 1]) <= set(found) <= set(memo)
    assert list(found["backends"]["RecordingStorage"]) == backend


def printed_keys(text):
    """Those of the third table: the first cells, and what stands for several."""
    table = rows(text.split("``manage.py", 1)[1])
    assert table[2][0] == "``hits``"
    return {
        *(cell.strip("`") for cell, _ in table),
        *re.findall(r"``(\w+)``", table[2][1]),
    }, set(re.findall(r"``(\w+)``", table[-1][1]))


def test_what_stats_prints_is_there(settings, monkeypatch):
    """Of a memo that is shared; what another one prints is its first line."""
    listed, of_backends = printed_keys(section(PAGE, "Counters"))
    chain = configure(settings, RecordingStorage("a"))
    assert json.loads(run("stats", "--json").out) == {"shared": False}
    memo = chain._get_engine().memo
    monkeypatch.setattr(type(memo), "published", lambda self, names: {})
    found = command._read(chain)
    assert {"shared", *found} == listed
    (backend,) = found["backends"].values()
    assert set(backend) == of_backends


# The log


def logged():
    """Yield the level and the words of every log line in the package."""
    for module in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                yield from _logged_by(node)


def _logged_by(call):
    of, method = ast.unparse(call.func.value), call.func.attr
    if method == "getLogger":
        assert ast.literal_eval(call.args[0]) == "fallback_storage"
    elif of.endswith("warner") and method != "is_quiet":
        yield "WARNING", _words(call.args[1])
    elif of == "logger" and method in METHODS:
        yield method.upper(), _words(call.args[0])


def _words(node):
    """Return a message as the page has it; none where a Warner hands one on."""
    return re.sub(r"%(\.\d)?[rsdf]", "…", getattr(node, "value", ""))


def _begins(words):
    return (words[:end] for end in range(1, len(words) + 1))


def test_every_log_line_is_there():
    """By its level and how it begins; and nothing is there that nobody says."""
    found = {(level, words) for level, words in logged() if words}
    assert found
    table = rows(section(PAGE, "The log"))[1:]
    listed = {(level, what.split("``")[1]) for level, what in table}
    begins = {(level, begin) for level, words in found for begin in _begins(words)}
    assert listed <= begins
    for level, words in found:
        assert listed & {(level, begin) for begin in _begins(words)}, (level, words)
