"""Fixtures for every test: a clock, a media root, real servers.

The servers of session scope are for whoever arranges his own isolation. Most
tests take the short ones (`valkey`, `memcached`, `s3`): the same server, but
running and empty when the test begins.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import itertools
import os
import shutil
import subprocess
import warnings
import weakref
from collections import Counter
from pathlib import Path

import pytest

# boto3 would otherwise read the developer's own profile, and without one ask
# the metadata service of a cloud this machine may not be in.
os.environ["AWS_CONFIG_FILE"] = os.devnull
os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"

from clocks import ManualClock
from django.core.signals import request_finished
from django.db import close_old_connections
from postgres import PostgresServer
from servers import (
    CountingProxy,
    MemcachedServer,
    S3Server,
    ValkeyServer,
    run_or_skip,
)


def share_models():
    """Let botocore's sessions read the description of S3 once, not each for itself.

    A client takes 27 ms instead of 175; the tests make thousands, and look at none.
    """
    try:
        import botocore.session
    except ImportError:
        return
    loader_of = functools.cache(botocore.session.create_loader)

    def create_loader(search_path_string=None):
        loader = loader_of(search_path_string)
        # Each session of boto3 adds its own folder.
        loader.search_paths[:] = dict.fromkeys(loader.search_paths)
        return loader

    botocore.session.create_loader = create_loader


share_models()

# What `pytest_sessionfinish` has for `pytest_terminal_summary`.
LEFT = pytest.StashKey[list]()


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def closing_ends_no_request():
    """Let a test close responses, which for Django is the end of a request.

    A database connection of another test's may be open, and may not be looked at.
    """
    connected = request_finished.disconnect(close_old_connections)
    yield
    if connected:
        request_finished.connect(close_old_connections)


@pytest.fixture
def media_root(settings, tmp_path):
    """A MEDIA_ROOT of this test's own."""
    root = tmp_path / "media"
    root.mkdir()
    settings.MEDIA_ROOT = str(root)
    return root


def pytest_sessionfinish(session):
    session.config.stash[LEFT] = _sockets_left_behind()
    _remove_media_root()


def _sockets_left_behind():
    """Let the last garbage be collected; return what was said of its sockets.

    Clients of boto3, redis-py and pymemcache lie in cycles of references. What such a
    one leaves open is found when the collector comes, and by then no longer belongs to
    any test: so it is told of, and fails none. (Within a test it does.)
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        for _ in range(3):
            gc.collect()
    return [str(w.message) for w in caught if "socket" in str(w.message)]


def pytest_terminal_summary(terminalreporter, config):
    left = config.stash.get(LEFT, [])
    if left:
        terminalreporter.section("sockets left to the garbage collector")
        for message in left:
            terminalreporter.line(message)


def _remove_media_root():
    from django.conf import settings

    root = Path(settings.MEDIA_ROOT)
    # Only ever the folder that settings.py named after this process.
    if root.name == f"fallback-storage-{os.getpid()}":
        shutil.rmtree(root, ignore_errors=True)


# --- Slow tests ---------------------------------------------------------------

# Whoever takes one of these is slow, by itself or by way of another fixture.
SLOW_FIXTURES = frozenset(
    {"memcached_server", "postgres_server", "s3_server", "valkey_server"}
)


def pytest_collection_modifyitems(items):
    for item in items:
        if SLOW_FIXTURES.intersection(item.fixturenames):
            item.add_marker("slow")


# What the test that runs has started. (ctypes looks for libraries by the help of those
# programs: for GDAL, when a template engine loads all tags.)
started = []
HELPERS = frozenset({"ldconfig", "gcc", "ld", "objdump"})


def _watched(function):
    """Note what is started. (Not by an audit hook: it lets coverage's threads race.)"""

    @functools.wraps(function)
    def noting(*args, **kwargs):
        command = args[1] if len(args) > 1 else [function.__name__]
        if Path(str(command[0])).name not in HELPERS:
            started.append(command)
        return function(*args, **kwargs)

    return noting


subprocess.Popen.__init__ = _watched(subprocess.Popen.__init__)
if hasattr(os, "fork"):
    os.fork = _watched(os.fork)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item):
    """A test that starts a process carries the mark ``slow``."""
    result = yield
    if started and not item.get_closest_marker("slow"):
        pytest.fail(f"Mark it slow, it starts a process: {started[0]}")
    return result


# --- What every test begins with ----------------------------------------------
# Hooks, and fixtures of the session: one of each test's costs as much as small tests do.


# Tests from one look at all that there is to the next: pytest keeps reports of each.
MANY = 500
finished = itertools.count(1)


def pytest_collection_finish():
    """What is there for all of the session is not looked through for garbage again."""
    with contextlib.suppress(ImportError):
        _begin_hypothesis()
    gc.collect()
    gc.freeze()


def _begin_hypothesis():
    """It looks for who refers to its random numbers; what is frozen would be nobody."""
    import hypothesis

    given = hypothesis.given(hypothesis.strategies.none())
    hypothesis.settings(max_examples=1, database=None)(given(lambda nothing: None))()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """No write of another test reaches the memos that this one leaves behind.

    Those whose chain is garbage, but not collected yet. Their stores would be told, and
    waited for: by an alias of the same name, that of a server in trouble.

    And what another test was warned of is a warning again.
    """
    from fallback_storage.cache import invalidation
    from fallback_storage.utils.logs import warner

    started.clear()
    warner.forget()
    memos = invalidation._registry.memos
    before = weakref.WeakSet(memos.all())
    result = yield
    for memo in memos.all():
        if memo not in before:
            memos.discard(memo)
    if next(finished) % MANY == 0:
        pytest_collection_finish()
    return result


@pytest.fixture(autouse=True, scope="session")
def patience():
    """A machine that is busy is no outage: a server has a minute to answer."""
    from fallback_storage.chain import backend

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend, "DEADLINE", 60.0)
        yield


# What pytest-django does around each test, for marks and apps that no test has here.
for _unused in (
    "_dj_autoclear_mailbox",
    "_django_clear_site_cache",
    "_django_isolate_apps",
    "_live_server_helper",
    "_template_string_if_invalid_marker",
):
    globals()[_unused] = pytest.fixture(
        lambda: None, name=_unused, autouse=True, scope="session"
    )


@pytest.fixture
def asked(monkeypatch):
    """Count who has asked for a lock by name, and holds it, awaits it or is about to."""
    from fallback_storage.utils.locks import NameLocks

    counts = Counter()
    call = NameLocks.__call__

    def counting(self, name):
        counts[self, name] += 1
        return call(self, name)

    monkeypatch.setattr(NameLocks, "__call__", counting)
    return counts


# --- Real servers -------------------------------------------------------------


@pytest.fixture(scope="session")
def valkey_server():
    yield from run_or_skip(ValkeyServer())


@pytest.fixture(scope="session")
def memcached_server():
    yield from run_or_skip(MemcachedServer())


@pytest.fixture(scope="session")
def postgres_server():
    pytest.importorskip("psycopg")
    yield from run_or_skip(PostgresServer())


@pytest.fixture(scope="session")
def s3_server():
    yield from run_or_skip(S3Server())


def _fresh(server, request):
    if not request.node.get_closest_marker("slow"):
        pytest.fail("Mark it slow, it takes a server.")
    server.ensure_running()
    server.flush()
    return server


@pytest.fixture
def valkey(valkey_server, request):
    return _fresh(valkey_server, request)


@pytest.fixture
def memcached(memcached_server, request):
    return _fresh(memcached_server, request)


@pytest.fixture
def postgres(postgres_server, request):
    return _fresh(postgres_server, request)


@pytest.fixture
def s3(s3_server, request):
    return _fresh(s3_server, request)


@pytest.fixture
def s3_proxy(s3):
    """A recorder of requests in front of `s3`; see CountingProxy."""
    with CountingProxy(s3.host, s3.port) as proxy:
        yield proxy
