"""A page of pictures that only production's bucket has, and what happens to them.

A local directory in front of a real S3 server, as on a developer's machine: what a page
costs, what the next worker takes from a shared memo, what a browser is given.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import urllib.request
from urllib.parse import unquote, urlsplit

import pytest
from django.core.files.storage import default_storage
from django.http import Http404
from django.views.static import serve
from paths import SUPPORT

from fallback_storage.cache import snapshots
from fallback_storage.storage import FallbackStorage

pytest.importorskip("storages.backends.s3")

NAMES = [f"photos/{number}.jpg" for number in range(40)]
OPTIONS = {
    "backends": ["local", {"ALIAS": "production", "READ_ONLY": True}],
    "on_delete": "whiteout",
}


@pytest.fixture
def site(settings, s3, s3_proxy, media_root):
    """The settings of one site; the proxy counts what is asked of production."""
    for name in NAMES:
        s3.put(name, name.encode())
    settings.STORAGES = {
        "default": {
            "BACKEND": "fallback_storage.storage.FallbackStorage",
            "OPTIONS": OPTIONS,
        },
        "local": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": str(media_root), "base_url": "/media/"},
        },
        "production": {
            "BACKEND": "storages.backends.s3.S3Storage",
            "OPTIONS": s3.storage_options(endpoint_url=s3_proxy.endpoint_url),
        },
        "staticfiles": settings.STORAGES["staticfiles"],
    }
    return settings


@pytest.fixture
def shared(site, valkey):
    """The same with a memo that all processes share; yields the server's client."""
    redis = pytest.importorskip("redis")
    site.CACHES = {
        "media": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": valkey.url,
        }
    }
    site.FALLBACK_STORAGE_CACHE = "media"
    with redis.Redis(port=valkey.port) as client:
        yield client


@pytest.fixture
def elsewhere(shared, site):
    """Have a process of its own do something with the site's storage."""
    script = SUPPORT / "elsewhere.py"
    keys = ("SECRET_KEY", "STORAGES", "CACHES", "FALLBACK_STORAGE_CACHE")

    def run(do, *names):
        config = {"settings": {key: getattr(site, key) for key in keys}}
        config |= {"do": do, "names": names}
        command = [sys.executable, str(script), json.dumps(config)]
        answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        return json.loads(answer.stdout)

    return run


def page(chain):
    """What a gallery's view and its template ask; return the URLs."""
    chain.prefetch(NAMES)
    hidden = set(chain.hidden())
    urls = [chain.url(name) for name in NAMES if name not in hidden]
    # The next page is another request.
    snapshots.end()
    return urls


def calls(chain):
    """How often each backend was asked, URLs apart, since the last time."""
    made = [backend.calls for backend in chain.backends]
    for backend in chain.backends:
        backend.calls = 0
    return made


# --- What it costs ------------------------------------------------------------


def test_a_page_costs_production_nothing(site, s3_proxy):
    """Cold: one look for all pictures and one for all whiteouts. Warm: neither."""
    chain = FallbackStorage(**OPTIONS)
    listing_what_is_hidden = 1
    for looks in (2, 0):
        assert len(page(chain)) == len(NAMES)
        assert calls(chain) == [looks + listing_what_is_hidden, 0]
        assert s3_proxy.requests == []


def test_a_page_without_a_memo_asks_for_each_picture(site, s3_proxy):
    """The directory for the picture and for its whiteout, every time; never S3."""
    chain = FallbackStorage(**OPTIONS, cache=False)
    for _ in range(2):
        assert len(page(chain)) == len(NAMES)
        assert calls(chain) == [2 * len(NAMES) + 1, 0]
        assert s3_proxy.requests == []


def test_exists_without_a_memo_asks_s3_every_time(site, s3_proxy):
    """With one it is asked once: here by a listing, which serves every picture."""
    without, chain = FallbackStorage(**OPTIONS, cache=False), FallbackStorage(**OPTIONS)
    for asked in (len(NAMES), 2 * len(NAMES)):
        assert all(map(without.exists, NAMES))
        assert s3_proxy.count() == s3_proxy.count("HEAD") == asked
    s3_proxy.clear()
    page(chain)
    chain.resolve_many(NAMES)
    assert s3_proxy.count() == s3_proxy.count("GET") == 1
    assert all(map(chain.exists, NAMES))
    assert s3_proxy.count() == 1


# --- Several processes, one memo ----------------------------------------------


def test_the_next_process_asks_nobody_but_the_memo(
    site, shared, elsewhere, s3_proxy, media_root
):
    """Its first page is one round trip, whatever another has found out before."""
    default_storage.resolve_many(NAMES)
    s3_proxy.clear()
    # Nothing that it could find in the directory, should it look there.
    (media_root / "photos").mkdir()
    (media_root / NAMES[0]).write_bytes(b"unknown to the memo")
    shared.config_resetstat()
    urls = elsewhere("page", *NAMES)
    stats = shared.info("commandstats")
    asked = {name: stats[name]["calls"] for name in stats if "get" in name}
    assert asked == {"cmdstat_mget": 1}
    assert {urlsplit(url).path for url in urls} == {f"/media/{name}" for name in NAMES}
    assert {urlsplit(url).netloc for url in urls} == {f"127.0.0.1:{s3_proxy.port}"}
    assert elsewhere("exists", *NAMES) == [True] * len(NAMES)
    assert s3_proxy.requests == []


def test_processes_agree_on_what_is_hidden(site, shared, elsewhere):
    """A delete and its undo are seen at once by who knew better."""
    name = NAMES[0]
    assert default_storage.exists(name)
    elsewhere("delete", name)
    assert default_storage.resolve(name).hidden
    default_storage.unhide(name)
    assert elsewhere("resolve", name) == "production"
    default_storage.delete(name)
    elsewhere("unhide", name)
    assert default_storage.resolve(name).backend == "production"


# --- What a browser is given --------------------------------------------------


def test_a_url_leads_to_what_is_shown(site, rf, s3, media_root):
    """Production's picture, the local one that replaced it, nothing, and back."""
    name = NAMES[0]
    before = s3.digest()

    def fetch():
        url = default_storage.url(name)
        if not url.startswith("/media/"):
            with urllib.request.urlopen(url, timeout=10) as response:
                return response.read()
        path = unquote(url.removeprefix("/media/"))
        with contextlib.suppress(Http404):
            response = serve(rf.get(url), path, document_root=media_root)
            with response.file_to_stream:
                return b"".join(response.streaming_content)
        return None

    assert fetch() == name.encode()
    with default_storage.open(name, "wb") as file:
        file.write(b"mine")
    assert fetch() == b"mine"
    default_storage.delete(name)
    assert fetch() is None
    assert len(page(default_storage)) == len(NAMES) - 1
    default_storage.unhide(name)
    assert fetch() == name.encode()
    assert len(page(default_storage)) == len(NAMES)
    assert s3.digest() == before
