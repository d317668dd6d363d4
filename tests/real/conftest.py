"""Storages of other people over their real servers, each behind a proxy."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from real.recipes import RECIPES, Place
from real.servers import require
from servers import MissingServerError, missing, run_or_skip

HERE = Path(__file__).parent
# Of their clients, which nobody can close, and of their code.
WARNINGS = (
    "datetime.datetime.utcnow:DeprecationWarning",
    "unclosed <socket:ResourceWarning",
    "unclosed file <_io:ResourceWarning",
    "Driver LocalStorageDriver does not implement native object:UserWarning",
    "Unclosed file <tempfile.SpooledTemporaryFile:ResourceWarning",
)


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("slow")
            item.add_marker("real")
            for text in WARNINGS:
                item.add_marker(pytest.mark.filterwarnings(f"ignore:{text}"))


@pytest.fixture(scope="session")
def running():
    """Return a server of a class, started when it is wanted first."""
    servers = {}
    with contextlib.ExitStack() as stack:

        def run(kind):
            if kind not in servers:
                started = contextlib.contextmanager(run_or_skip)(kind())
                servers[kind] = stack.enter_context(started)
            servers[kind].ensure_running()
            return servers[kind]

        yield run


@pytest.fixture(
    params=[
        pytest.param(each, marks=pytest.mark.django_db if each.in_database else ())
        for each in RECIPES.values()
    ],
    ids=repr,
)
def recipe(request):
    return RECIPES.get(request.param, request.param)


@pytest.fixture
def place(recipe, running, settings, tmp_path, monkeypatch):
    """An empty place of this test's own, with a proxy in front of its server."""
    try:
        require(*recipe.needs)
    except MissingServerError as exc:
        missing(exc)
    folder = tmp_path / "of-the-storage"
    folder.mkdir()
    with contextlib.ExitStack() as stack:
        server = proxy = None
        if recipe.server is not None:
            server = running(recipe.server)
            proxy = stack.enter_context(recipe.proxy(server.host, server.port))
            # Google's client is told so where its server is.
            monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.endpoint_url)
        place = Place(recipe, server, proxy, folder)
        for name, value in place.settings.items():
            setattr(settings, name, value)
        place.prepare()
        settings.STORAGES = {**settings.STORAGES, "real": place.configuration()}
        yield place
