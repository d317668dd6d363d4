"""What the manual gives to be copied works: every block of Python in README and docs/."""

from __future__ import annotations

import json
import re
import sys
import unittest
from pathlib import Path

import pytest
from django.core.checks import Error
from django.dispatch import Signal
from django.test import override_settings
from manual import PAGES, README, blocks

from fallback_storage import signals
from fallback_storage.conf.checks import check_chains

SETTINGS = ("STORAGES", "CACHES", "FALLBACK_STORAGES", "FALLBACK_STORAGE_CACHE")
# For the aliases that a page takes for granted.
MEMORY = {"BACKEND": "django.core.files.storage.InMemoryStorage"}
DISK = {"BACKEND": "django.core.files.storage.FileSystemStorage"}
CACHES = {
    "media": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": "redis://127.0.0.1:1",
    }
}
CHAIN = "fallback_storage.storage.FallbackStorage"

SNIPPETS = [
    pytest.param(page, code, id=f"{page}-{number}")
    for page in [README, *PAGES]
    for number, code in enumerate(blocks(page))
]


@pytest.fixture(autouse=True)
def receivers():
    """Whom a snippet connects, and what it registers, is gone after it."""
    every = [each for each in vars(signals).values() if isinstance(each, Signal)]
    before = [(each, list(each.receivers)) for each in every]
    metrics = registered()
    yield
    for each, connected in before:
        each.receivers = connected
        each.sender_receivers_cache.clear()
    for metric, registry in registered().items() - metrics.items():
        registry.unregister(metric)


def registered():
    """Return the metrics of Prometheus, if that is here, each with its registry."""
    library = sys.modules.get("prometheus_client")
    return (
        dict.fromkeys(library.REGISTRY._collector_to_names, library.REGISTRY)
        if library
        else {}
    )


@pytest.mark.parametrize("page", [README, "docs/storages.rst"])
def test_the_policy_lets_a_mirror_read_and_list(page):
    """And nothing else."""
    (policy,) = map(json.loads, blocks(page, "json"))
    allowed = {each["Action"]: each["Resource"] for each in policy["Statement"]}
    bucket = allowed["s3:ListBucket"]
    assert allowed == {"s3:GetObject": f"{bucket}/*", "s3:ListBucket": bucket}


def test_the_tests_of_the_manual_pass():
    """Each with storages of its own."""
    code, *_ = blocks("docs/testing.rst")
    tests = run(code, "docs/testing.rst")["UploadTests"]
    result = unittest.TestResult()
    with override_settings(STORAGES=settings_of({"production": MEMORY})["STORAGES"]):
        unittest.defaultTestLoader.loadTestsFromTestCase(tests).run(result)
    assert (result.testsRun, result.failures, result.errors) == (2, [], [])


@pytest.fixture
def readers_modules(request, monkeypatch, tmp_path):
    """The modules that the page's blocks are: those that begin with ``# mysite/x.py``."""
    for code in blocks(request.node.callspec.params["page"]):
        place = re.match(r"# (\w+)/(\w+)\.py\n", code)
        if place and place[2] not in {"settings", "urls"}:
            package = tmp_path / place[1]
            package.mkdir(exist_ok=True)
            (package / "__init__.py").touch()
            (package / f"{place[2]}.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    packages = {package.name for package in tmp_path.iterdir()}
    for name in [name for name in sys.modules if name.split(".")[0] in packages]:
        del sys.modules[name]


@pytest.mark.usefixtures("readers_modules")
@pytest.mark.parametrize(("page", "code"), SNIPPETS)
def test_it_runs_and_what_it_configures_has_no_mistake(page, code):
    """``manage.py check`` has no error to tell; for the README's, no warning either."""
    written = settings_of(run(code, page))
    if not written:
        return
    pytest.importorskip("storages.backends.s3")
    pytest.importorskip("redis")
    with override_settings(**written):
        told = check_chains()
    if page != README:
        told = [each for each in told if isinstance(each, Error)]
    assert told == []


def run(code, page):
    """Run a block, if its libraries are here; return what it defines."""
    try:
        compiled = compile(code, page, "exec")
    except SyntaxError:
        # Lines of a dict: they stand in one.
        return eval(compile(f"{{{code}}}", page, "eval"))
    # What a project's settings have.
    found = {
        "__name__": "snippet",
        "INSTALLED_APPS": [],
        "BASE_DIR": Path(),
        "urlpatterns": [],
    }
    try:
        exec(compiled, found)
    except ModuleNotFoundError as missing:
        pytest.skip(f"{missing.name} is not installed here")
    return found


def settings_of(found):
    """Return the settings that a block writes, completed to those of a project."""
    written = {name: found[name] for name in SETTINGS if name in found}
    storages = {"local": DISK, "production": MEMORY}
    if "OPTIONS" in found:
        storages["default"] = {"BACKEND": CHAIN, "OPTIONS": found["OPTIONS"]}
    elif found.keys() <= storages.keys():
        storages |= found
        backends = ["local", {"ALIAS": "production", "READ_ONLY": True}]
        storages["default"] = {"BACKEND": CHAIN, "OPTIONS": {"backends": backends}}
    elif "STORAGES" in written:
        storages |= written["STORAGES"]
    elif not written:
        return {}
    return {"CACHES": CACHES, **written, "STORAGES": storages}
