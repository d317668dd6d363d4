"""Fifty clients: what production is asked, and what the disk holds, stays within bounds."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.files.storage import storages
from django.http import Http404
from django.test import RequestFactory
from origins import origin

from fallback_storage import views
from fallback_storage.storage import FallbackStorage
from fallback_storage.views import limits, serve

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("closing_ends_no_request")]

LOCAL = "django.core.files.storage.FileSystemStorage"
CLIENTS, UNKNOWN, KNOWN = 50, 10_000, 300
SIZE, MAX_TOTAL = 8_000, 100_000
PER_SECOND, MAX_REMOTE = 20, 4
BURST = PER_SECOND * limits.BURST


@pytest.fixture
def site():
    files = {f"/media/{n}.jpg": bytes(SIZE) for n in range(KNOWN)}
    with origin(files) as site:
        yield site


@pytest.fixture(autouse=True)
def _chain(site, settings, media_root, monkeypatch):
    """A mirror in one moment: no lifetime ends, and no name more may be asked for."""
    monkeypatch.setattr(FallbackStorage, "clock", staticmethod(lambda: 0.0))
    production = {
        "BACKEND": "fallback_storage.http.HTTPStorage",
        "OPTIONS": {"base_url": site.base_url, "timeout": 60},
        "DEADLINE": None,
    }
    options = {
        "backends": [LOCAL, production],
        "promote": True,
        "promote_max_total": MAX_TOTAL,
    }
    settings.STORAGES = {
        "default": {
            "BACKEND": "fallback_storage.storage.FallbackStorage",
            "OPTIONS": options,
        },
        "staticfiles": {"BACKEND": LOCAL},
    }
    # Threads that come first would each build one, with a memo of its own.
    assert storages["default"].backends
    key = "default", MAX_REMOTE, PER_SECOND
    made = limits.Limits(MAX_REMOTE, PER_SECOND, clock=lambda: 0.0)
    monkeypatch.setitem(limits._limits, key, made)
    yield
    storages["default"].backends[1].storage._origin.close()


def status_of(name):
    """What a client is told; and that a file has its bytes."""
    request = RequestFactory().get(f"/media/{name}")
    try:
        response = views.media(
            request,
            name,
            prefixes=[""],
            max_remote=MAX_REMOTE,
            unknown_per_second=PER_SECOND,
        )
    except Http404:
        return 404
    try:
        if response.status_code == 200:
            assert b"".join(response) == bytes(SIZE)
        return response.status_code
    finally:
        response.close()


def visit(names):
    with ThreadPoolExecutor(CLIENTS) as clients:
        return list(clients.map(status_of, names))


def test_names_that_nobody_has(site, media_root):
    """Each is asked for once at most, and no more of them than there may be."""
    names = [f"gone-{n}.jpg" for n in range(UNKNOWN)]
    assert Counter(visit(names)) == {404: BURST, 503: UNKNOWN - BURST}
    asked = Counter(map(str, site.requests))
    assert len(asked) == asked.total() == BURST
    # Those are remembered; the others may not be asked for yet.
    assert Counter(visit(names)) == {404: BURST, 503: UNKNOWN - BURST}
    assert len(site.requests) == BURST
    assert list(media_root.iterdir()) == []


def test_files_that_are_there(site, media_root, monkeypatch):
    """So many are on their way at a time; the disk has as many bytes as it may have."""
    names = [f"{n}.jpg" for n in range(KNOWN)]
    chain = storages["default"]
    chain.prefetch(names, complete=True)  # no name is unknown any more
    under_way, most, begun, guard = 0, 0, 0, threading.Lock()
    full, go_on = threading.Event(), threading.Event()

    def answer(request):
        nonlocal under_way, most, begun
        said = site.serve(request)
        if request.method == "HEAD":
            yield said
            return
        with guard:
            begun += 1
            first = begun <= MAX_REMOTE
            under_way += 1
            most = max(most, under_way)
            if begun == MAX_REMOTE:
                full.set()
        if first:
            go_on.wait(60)
        yield said[:-1]
        with guard:
            under_way -= 1
        yield said[-1:]

    site.answer = answer

    def one_more():
        full.wait(60)
        with monkeypatch.context() as patch:
            patch.setattr(serve, "PATIENCE", 0)
            status = status_of(names[-1])
        go_on.set()
        return status

    left = names * 2
    told = Counter()
    with ThreadPoolExecutor(1) as another:
        more = another.submit(one_more)
        while left:  # who is told to come again does
            found = visit(left)
            told.update(found)
            left = [
                name for name, status in zip(left, found, strict=True) if status == 503
            ]
    assert more.result() == 503
    assert told[200] == 2 * KNOWN
    assert set(told) <= {200, 503}
    assert most == MAX_REMOTE
    kept = [path for path in media_root.iterdir() if path.is_file()]
    assert len(kept) == MAX_TOTAL // SIZE
    assert {path.stat().st_size for path in kept} == {SIZE}
