"""An entry that says "not above" is completed; what that learns gets no older than it."""

from __future__ import annotations

import time

import pytest
from caches import RecordingCache
from clocks import ManualClock
from django.core.cache import caches
from fakes import RecordingStorage

from fallback_storage.storage import FallbackStorage

TTL = 300.0


@pytest.fixture(params=["in-process", "django"])
def site(request, settings):
    """A chain, what lets time pass for its memo, and what evicts the entry of "x"."""
    clock = ManualClock()

    class Chain(FallbackStorage):
        pass

    Chain.clock = clock
    RecordingCache.reset()
    settings.CACHES = {
        "default": {"BACKEND": "caches.RecordingCache", "LOCATION": request.node.name}
    }
    cache = {"TTL": TTL, "MAX_ENTRIES": 1}
    if request.param == "django":
        cache["ALIAS"] = "default"
    backends = RecordingStorage("a"), RecordingStorage("b", {"x": b"1", "y": b"1"})
    chain = Chain(list(backends), cache)
    if request.param == "django":
        store = chain._get_engine().memo.store._store
        store._clock = lambda: time.time() + RecordingCache.offset

    def tick(seconds):
        clock.tick(seconds)
        RecordingCache.tick(seconds)

    def evict():
        if request.param == "django":
            caches["default"].delete(store._keys.entry("x"))
        else:
            memo = chain._get_engine().memo
            memo.fill("y", memo.look_up("y")[1], 1)

    return chain, backends, tick, evict


@pytest.mark.parametrize("what", ["stays", "expires", "is evicted", "both"])
def test_a_completed_entry_lives_no_longer_than_what_it_rests_on(site, what):
    """Whatever happens to that one while the last backend is asked."""
    chain, (first, last), tick, evict = site
    chain.url("x")
    assert first.count("exists") == 1
    tick(TTL - 10)

    def meanwhile(name):
        if what in {"is evicted", "both"}:
            evict()
        if what in {"expires", "both"}:
            tick(11)

    last.before("exists", meanwhile)
    assert chain.resolve("x").index == 1
    assert first.count("exists") == 1
    last.before("exists", lambda name: None)
    first.files["x"] = b"2"  # behind its back, when the entry began to be old
    tick(11)
    assert chain.resolve("x").index == 0
