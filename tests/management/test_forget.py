"""``forget``: what it reaches, and what it says where it cannot."""

from __future__ import annotations

import pytest
from django.core.files.storage import InMemoryStorage
from fakes import RecordingStorage
from management.running import configure, run


@pytest.fixture
def backends():
    return [RecordingStorage("local"), RecordingStorage("production", {"a": b"1"})]


@pytest.mark.parametrize(
    ("args", "said", "forgotten"),
    [
        (["a"], ["Forgotten: a"], {"a"}),
        (["./a", "x/../b", "a"], ["Forgotten: a", "Forgotten: b"], {"a", "b"}),
        (["--all"], ["Forgotten: every name"], {"a", "b", "c"}),
    ],
    ids=["a", "spellings", "all"],
)
def test_what_is_forgotten(settings, shared, backends, args, said, forgotten):
    storage = configure(settings, *backends, cache="media")
    for name in "abc":
        storage.exists(name)
    done = run("forget", *args)
    assert (done.status, done.lines, done.err) == (0, said, "")
    for backend in backends:
        backend.reset()
    for name in "abc":
        storage.exists(name)
    assert {name for _, name in backends[1].calls} == forgotten


@pytest.mark.parametrize(
    ("cache", "caches", "common"),
    [
        (None, {}, True),
        ("media", {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}, True),
        ("media", {"BACKEND": "caches.RecordingCache"}, True),
        ("media", {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache"},
         False),
    ],
    ids=["in process", "locmem", "like locmem", "a chain of this process"],
)  # fmt: skip
@pytest.mark.parametrize("what", ["a", "--all"])
def test_memos_that_a_command_cannot_reach(
    settings, tmp_path, backends, cache, caches, common, what
):
    """It does not say that anything was forgotten; it says what to set."""
    settings.CACHES = {"media": {"LOCATION": str(tmp_path), **caches}} if caches else {}
    if not common:
        backends[0] = InMemoryStorage()
    configure(settings, *backends, cache=cache)
    done = run("forget", what)
    assert (done.status, done.out) == (0, "")
    assert "cannot reach what running processes remember" in done.err
    assert ("FALLBACK_STORAGE_CACHE" in done.err) is common
    assert done.err.count("\n") == 1


def test_no_memo(settings, backends):
    configure(settings, *backends, cache=False)
    done = run("forget", "a")
    assert done.status == 0
    assert "There is nothing to forget." in done.out


@pytest.mark.parametrize("what", ["a", "--all"])
def test_a_cache_that_does_not_answer(settings, backends, what, valkey):
    """This process ends before it could tell it again."""
    pytest.importorskip("redis")
    settings.CACHES = {
        "media": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": f"redis://127.0.0.1:{valkey.port}",
        }
    }
    configure(settings, *backends, cache="media")
    valkey.stop()
    done = run("forget", what)
    assert (done.status, done.out) == (1, "")
    assert "does not answer" in done.err


def test_names_or_all(settings, backends):
    configure(settings, *backends)
    assert "not allowed with argument" in run("forget", "a", "--all").err
    assert "required" in run("forget").err
