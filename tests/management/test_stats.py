"""``stats``: what all processes have counted, where their memo keeps it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from clocks import ManualClock
from fakes import RecordingStorage
from management.running import configure, environment, run, write_settings

from fallback_storage.conf.memo import publish_counters
from fallback_storage.storage import FallbackStorage


@pytest.fixture(params=[False, True], ids=["redis", "near"])
def cache(request, settings, valkey):
    """What the option ``cache`` says, of a memo that processes share."""
    pytest.importorskip("redis")
    settings.CACHES = {
        "media": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": f"redis://127.0.0.1:{valkey.port}",
        }
    }
    return {"ALIAS": "media", "NEAR": request.param}


@pytest.fixture
def backends():
    return [RecordingStorage("local"), RecordingStorage("production", {"a": b"1"})]


def publish():
    """As at the end of a process."""
    publish_counters()


def counted():
    done = run("stats", "--json")
    assert done.status == 0
    return json.loads(done.out)


def test_what_was_counted(settings, cache, backends):
    storage = configure(settings, *backends, cache=cache)
    assert storage.exists("a")
    assert storage.exists("a")
    assert not storage.exists("x")
    assert not storage.exists("x")
    backends[0].fail("exists", ConnectionError("secret"))
    assert not storage.exists("y")
    publish()
    found = counted()
    assert found["shared"] is True
    assert found["since"] is not None
    hits = found["hits"] + found["negative_hits"]
    assert (hits, found["misses"], found["walks"]) == (2, 3, 3)
    local = found["backends"]["RecordingStorage"]
    assert (local["calls"], local["failures"]) == (3, 1)
    assert found["backends"]["RecordingStorage-2"]["calls"] == 3
    assert 0 < local["seconds"] < 1


@pytest.mark.slow
def test_processes_add_up(settings, tmp_path, cache):
    """Each publishes what it counted when it ends, and no process what another did."""
    for name in ("local", "production"):
        (tmp_path / name).mkdir()
    (tmp_path / "production" / "a").touch()
    described = [
        {
            "NAME": name,
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": str(tmp_path / name)},
        }
        for name in ("local", "production")
    ]
    configure(settings, *described, cache=cache)
    write_settings(tmp_path, STORAGES=settings.STORAGES, CACHES=settings.CACHES)
    script = (
        "import django, os; django.setup()\n"
        "from django.core.files.storage import default_storage\n"
        "default_storage.exists('a')\n"
        "if os.fork() == 0:\n"
        "    default_storage.exists('a')\n"
        "    raise SystemExit\n"
        "assert os.wait()[1] == 0\n"
    )
    for _ in range(2):
        subprocess.run(
            [sys.executable, "-c", script],
            env=environment(tmp_path),
            check=True,
            timeout=60,
        )
    found = counted()
    assert (found["hits"], found["misses"], found["walks"]) == (3, 1, 1)
    assert found["backends"]["local"]["calls"] == 1


def test_it_is_not_forgotten_with_the_names(settings, cache, backends):
    storage = configure(settings, *backends, cache=cache)
    storage.exists("a")
    publish()
    storage.forget("a")
    assert run("forget", "--all").status == 0
    assert counted()["misses"] == 1


def test_not_into_a_cache_that_the_settings_no_longer_name(settings, cache, backends):
    storage = configure(settings, *backends, cache=cache)
    storage.exists("a")
    engine = storage._engine
    settings.CACHES = dict(settings.CACHES)
    publish()
    assert not engine.memo.published(["misses"])


def test_as_text(settings, cache, backends):
    storage = configure(settings, *backends, cache=cache)
    assert run("stats").out.startswith("No process has published anything yet")
    for _ in range(1234):
        storage.exists("a")
    publish()
    done = run("stats")
    assert (done.status, done.err) == (0, "")
    assert done.lines[0].startswith("Of all processes, since 20")
    assert "    1,233  hits" in done.lines
    assert "        1  misses" in done.lines
    assert done.lines[-1].startswith(
        "        1  calls of RecordingStorage-2: 0 failed;"
    )


def test_other_caches_keep_none(settings, tmp_path, backends):
    """The memo is shared, and says why its counters are not."""
    settings.CACHES = {
        "media": {
            "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
            "LOCATION": str(tmp_path),
        },
    }
    storage = configure(settings, *backends, cache="media")
    storage.exists("a")
    publish()
    done = run("stats")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(
        "The memo is shared. Each process has counters of its own"
    )
    done = run("stats", "--json")
    assert (done.status, json.loads(done.out)) == (0, {"shared": False})
    assert "see storage.stats()" in done.err


def test_a_cache_that_does_not_answer(settings, backends, valkey):
    pytest.importorskip("redis")
    settings.CACHES = {
        "media": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": f"redis://:hunter2@127.0.0.1:{valkey.port}",
        }
    }
    configure(settings, *backends, cache="media")
    valkey.stop()
    for args in ([], ["--json"]):
        done = run("stats", *args)
        assert (done.status, done.out) == (1, "")
        assert "does not answer" in done.err
        assert "hunter2" not in done.err


@pytest.mark.parametrize(
    ("cache", "words"),
    [(None, "in process memory"), ("media", "in process memory"), (False, "no memo")],
    ids=str,
)
def test_a_memo_of_each_process(settings, backends, cache, words):
    """No counters that would be those of this command."""
    settings.CACHES = {
        "media": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    }
    configure(settings, *backends, cache=cache)
    done = run("stats")
    assert (done.status, done.err) == (0, "")
    assert words in done.out
    assert "see storage.stats()" in done.out
    done = run("stats", "--json")
    assert done.status == 0
    assert json.loads(done.out) == {"shared": False}


def test_published_with_a_look_up_every_thirty_seconds(
    settings, valkey, backends, monkeypatch
):
    """One call to the store more, where there was one anyway; none before that."""
    pytest.importorskip("redis")
    clock = ManualClock()
    monkeypatch.setattr(FallbackStorage, "clock", staticmethod(clock))
    settings.CACHES = {
        "media": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": f"redis://127.0.0.1:{valkey.port}",
        }
    }
    storage = configure(settings, *backends, cache="media")
    for _ in range(3):
        storage.exists("a")
    clock.tick(29)
    storage.exists("a")
    assert counted()["since"] is None
    clock.tick(1)
    storage.exists("a")
    found = counted()
    assert (found["hits"], found["misses"]) == (4, 1)
    storage.exists("a")
    assert counted() == found
