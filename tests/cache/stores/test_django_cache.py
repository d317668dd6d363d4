"""The store in a Django cache alias; what holds for every store: test_contract.py."""

from __future__ import annotations

import os
import threading
import time
import warnings

import pytest
from caches import RecordingCache
from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.core.management import call_command
from django.test import override_settings

from fallback_storage.cache.entry import HIDDEN, NOWHERE, from_, held
from fallback_storage.cache.stores.base import EVERY
from fallback_storage.cache.stores.django_cache import (
    MAX_NAMES,
    DjangoCacheStore,
)

FIRST, SECOND = held(0), held(1)


def prefix_last(key, key_prefix, version):
    """A KEY_FUNCTION unlike Django's own."""
    return f"{key}|{version}|{key_prefix}"


def use(settings, backend, location="", **options):
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
        "media": {"BACKEND": backend, "LOCATION": location, **options},
    }
    return DjangoCacheStore("media", "c0ffee")


@pytest.fixture
def recording(settings, request):
    RecordingCache.reset()
    store = use(
        settings,
        "caches.RecordingCache",
        request.node.name,
        OPTIONS={"MAX_ENTRIES": 10_000},
    )
    yield store
    caches["media"].clear()


def _locmem(request):
    return "django.core.cache.backends.locmem.LocMemCache", request.node.name


def _file(request):
    folder = request.getfixturevalue("tmp_path") / "cache"
    return "django.core.cache.backends.filebased.FileBasedCache", str(folder)


def _database(request):
    request.getfixturevalue("db")
    return "django.core.cache.backends.db.DatabaseCache", "resolutions"


def _memcached(request):
    server = request.getfixturevalue("memcached")
    return "django.core.cache.backends.memcached.PyMemcacheCache", server.location


def _redis(request):
    server = request.getfixturevalue("valkey")
    return "django.core.cache.backends.redis.RedisCache", server.url


@pytest.fixture(
    params=[
        _locmem,
        _file,
        _database,
        pytest.param(_memcached, marks=pytest.mark.slow),
        pytest.param(_redis, marks=pytest.mark.slow),
    ]
)
def real(request, settings):
    """A store in every kind of cache that Django has."""
    backend, location = request.param(request)
    store = use(settings, backend, location, OPTIONS={})
    if request.param is _database:
        call_command("createcachetable", verbosity=0)
    yield store
    caches["media"].clear()
    caches["media"].close()


def lease(store, name="a"):
    return store.look_up([name])[name][1]


def known(store, name="a"):
    return store.look_up([name])[name][0]


def fill(store, name="a", code=FIRST, ttl=60.0):
    return store.fill(name, lease(store, name), code, ttl)


# Every cache of Django


def test_a_name_is_remembered_and_forgotten(real):
    """In each kind of cache: filled, found, made more precise, forgotten."""
    assert known(real) is None
    assert fill(real, code=NOWHERE)
    assert known(real) == NOWHERE
    fill(real, code=SECOND)
    assert known(real) == SECOND
    real.invalidate(["a", "b"])
    assert known(real) is None


def test_a_late_fill_counts_in_no_cache(real):
    """In each kind of cache a lease is void after an invalidation or a clear."""
    first = lease(real)
    real.invalidate(["a"])
    real.fill("a", first, FIRST, 60)
    assert known(real) is None
    second = lease(real)
    real.clear()
    real.fill("a", second, FIRST, 60)
    real.fill("a", first, FIRST, 60)
    assert known(real) is None
    fill(real, code=SECOND)
    assert known(real) == SECOND


def test_many_names_at_once(real):
    """In each kind of cache a page of pictures is one look-up and one fill."""
    names = [f"ä {index}\n" + "x" * 300 for index in range(30)]
    found = real.look_up(names)
    assert {code for code, _ in found.values()} == {None}
    fills = {
        name: (found[name][1], held(index), 60.0) for index, name in enumerate(names)
    }
    assert real.fill_many(fills) == 30
    found = real.look_up(names)
    assert [found[name][0] for name in names] == [held(index) for index in range(30)]
    real.invalidate(names[:10])
    found = real.look_up(names)
    assert [found[name][0] is None for name in names] == [True] * 10 + [False] * 20


def test_clear_leaves_the_rest_of_the_cache_alone(real):
    """What others keep in the alias stays, and so does what other chains keep."""
    other = DjangoCacheStore("media", "beef")
    caches["media"].set("theirs", 1)
    fill(real)
    fill(other)
    real.clear()
    assert known(real) is None
    assert known(other) == FIRST
    assert caches["media"].get("theirs") == 1


@pytest.mark.parametrize("real", [_redis], indirect=True)
def test_entries_live_for_their_ttl_and_stamps_for_longer(real, valkey):
    """The server is told the TTL; a fraction of a second is a second."""
    import redis

    fill(real, ttl=7.0)
    fill(real, "b", ttl=0.2)
    client = redis.Redis(port=valkey.port)
    by_kind = {}
    for key in client.scan_iter():
        by_kind.setdefault(key[-1:], []).append(client.ttl(key))
    client.close()
    assert sorted(by_kind[b"e"]) == [1, 7]
    assert set(by_kind[b"s"]) == {3600}
    assert by_kind[b"g"] == [30 * 24 * 3600]


@pytest.mark.slow
@pytest.mark.parametrize("real", [_memcached], indirect=True)
def test_a_forked_child_has_a_connection_of_its_own(real):
    """Parent and child do not read each other's answers from one socket."""
    fill(real)
    inherited = caches["media"]
    with warnings.catch_warnings():
        # Threads of other tests, which this child has no use for.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        good = caches["media"] is not inherited and known(real) == FIRST
        os._exit(0 if good else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert caches["media"] is inherited
    assert known(real) == FIRST


def test_a_fork_before_the_first_use_changes_nothing(settings):
    """A child whose parent never used the alias has nothing to let go of."""
    store = use(settings, "caches.RecordingCache", "unused")
    store.after_fork()
    assert known(store) is None


# Deadlines


class Times:
    """A time of day that is moved by hand."""

    now = 1_800_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def times(recording):
    recording._clock = times = Times()
    return times


def test_an_entry_is_a_miss_after_its_deadline(recording, times):
    """Whatever the cache does: here it keeps entries for its own hour."""
    fill(recording, ttl=60.0)
    times.now += 59.999
    assert known(recording) == FIRST
    times.now += 0.001
    assert known(recording) is None
    assert recording.seconds_left("a") is None


def test_what_is_over_is_kept_in_every_cache(real):
    """With its stamp, which is extended when it is renewed."""
    times = real._clock = Times()
    real.grace, real._stamp_seconds = 100.0, 5000.0
    for _ in range(2):
        fill(real, code=held(1), ttl=60.0)
        times.now += 60
        assert known(real) is None
        assert real.look_up_held(["a", "b"]) == {"a": held(1)}
    times.now += 100
    assert real.look_up_held(["a"]) == {}
    fill(real, code=held(1), ttl=60.0)
    real.invalidate(["a"])
    assert real.look_up_held(["a"]) == {}


def test_a_cache_that_extends_nothing(recording, monkeypatch):
    """Django's base class does not: then what is over ends with its stamp."""
    recording.grace = 100.0
    monkeypatch.setattr(RecordingCache, "touch", BaseCache.touch)
    for _ in range(2):
        assert fill(recording, code=held(1), ttl=60.0)
        assert recording.look_up_held(["a"]) == {"a": held(1)}


def test_what_it_costs_to_keep_what_is_over(recording, times, monkeypatch):
    """One trip more, of a name that is renewed; and the cache is told how long."""
    told = []
    monkeypatch.setattr(
        RecordingCache, "touch", lambda cache, key, seconds: told.append(seconds)
    )
    recording.grace = 100.0
    for code, seconds in {held(1): 160, NOWHERE: 60, HIDDEN: 60, from_(1): 60}.items():
        recording.invalidate(["a"])
        fill(recording, code=code, ttl=60.0)
        expiry = caches["media"]._expire_info
        (left,) = [each - time.time() for key, each in expiry.items() if key[-1] == "e"]
        assert seconds - 1 < left <= seconds
        assert told == []
    recording.invalidate(["a"])
    fill(recording, code=held(1), ttl=60.0)
    times.now += 60
    found = recording.look_up(["a"])["a"][1]
    assert trips(recording, recording.fill, "a", found, held(1), 60.0) == ["set"]
    assert told == [3600]
    assert trips(recording, recording.look_up_held, ["a", "b"]) == ["get_many"]


def test_the_lease_of_a_miss_has_no_deadline(recording, times):
    """Whoever asks all backends anew has the whole TTL."""
    assert lease(recording).deadline is None
    fill(recording, ttl=60.0)
    assert lease(recording).deadline == (times.now + 60) * 1000
    times.now += 60
    assert lease(recording).deadline is None
    fill(recording, ttl=60.0)
    assert recording.seconds_left("a") == 60


def test_what_completes_an_entry_that_has_expired_meanwhile_is_not_kept(
    recording, times
):
    fill(recording, ttl=60.0)
    late = lease(recording)
    times.now += 60
    assert recording.fill("a", late, SECOND, 60.0) is False
    found = recording.look_up(["b"])
    fills = {"a": (late, SECOND, 60.0), "b": (found["b"][1], FIRST, 60.0)}
    assert recording.fill_many(fills) == 1
    assert known(recording) is None
    assert known(recording, "b") == FIRST


def test_a_page_of_entries_of_different_age_is_completed_in_one_round_trip(
    recording, times
):
    """They have different times left, and one time-out in the cache."""
    names = ["a", "b", "c"]
    for name in names:
        fill(recording, name, ttl=60.0)
        times.now += 7
    found = recording.look_up(names)
    fills = {name: (found[name][1], SECOND, 60.0) for name in names}
    assert trips(recording, recording.fill_many, fills) == ["set_many"]
    assert [recording.seconds_left(name) for name in names] == [39, 46, 53]


# Round trips


def trips(store, function, *args):
    RecordingCache.calls.clear()
    function(*args)
    return RecordingCache.calls


def test_a_hit_is_one_round_trip(recording):
    """One ``get_many``, for one name or a hundred."""
    names = [f"{index}.jpg" for index in range(100)]
    found = recording.look_up(names)
    recording.fill_many({name: (found[name][1], FIRST, 60.0) for name in names})
    assert trips(recording, recording.look_up, names[:1]) == ["get_many"]
    assert trips(recording, recording.look_up, names) == ["get_many"]
    assert trips(recording, recording.look_up, []) == []
    assert trips(recording, recording.seconds_left, names[0]) == ["get_many"]
    assert trips(recording, recording.seconds_left, "unknown") == ["get_many"]


def test_what_a_miss_costs(recording):
    """The stamp is added if there is none; then the next miss needs one look."""
    first = trips(recording, recording.look_up, ["a"])
    assert first == ["get_many", "add", "add"]  # The generation, once for the chain.
    assert trips(recording, recording.look_up, ["b"]) == ["get_many", "add"]
    assert trips(recording, recording.look_up, ["b"]) == ["get_many"]
    both = ["get_many", "add", "add"]
    assert trips(recording, recording.look_up, ["c", "d"]) == both
    assert trips(recording, fill, recording) == ["get_many", "set"]


def test_many_stamps_are_set_at_once_only_where_nothing_is_sent_twice(
    recording, monkeypatch, memcached
):
    """A ``set`` that comes twice could bring a replaced stamp back; an ``add`` not."""
    backend = "django.core.cache.backends.memcached.PyMemcacheCache"
    settings = {"BACKEND": backend, "LOCATION": memcached.location}
    with override_settings(CACHES={"memcached": settings}):
        assert DjangoCacheStore("memcached", "c")._sends_once()
    monkeypatch.setattr(DjangoCacheStore, "_sends_once", lambda self: True)
    recording.look_up(["a"])
    assert trips(recording, recording.look_up, ["c", "d"]) == ["get_many", "set_many"]


def test_what_an_invalidation_costs(recording):
    """Names are invalidated together, and seen to be so; nothing is deleted."""
    names = ["a", "b", "c"]
    assert trips(recording, recording.invalidate, names) == ["set_many", "get_many"]
    assert trips(recording, recording.clear) == ["set_many", "get_many"]
    names.append(EVERY)
    both = ["set_many", "set_many", "get_many"]
    assert trips(recording, recording.invalidate, names) == both
    assert trips(recording, recording.invalidate, []) == []
    recording.look_up(["a"])
    assert trips(recording, recording.look_up, ["a"]) == ["get_many"]


def test_fills_of_one_ttl_are_one_round_trip(recording):
    """What is known and what is held by none live for different times."""
    found = recording.look_up(["a", "b", "c", "d"])
    fills = {
        "a": (found["a"][1], FIRST, 60.0),
        "b": (found["b"][1], NOWHERE, 5.0),
        "c": (found["c"][1], FIRST, 60.0),
        "d": (None, FIRST, 60.0),
    }
    assert trips(recording, recording.fill_many, fills) == ["set_many", "set_many"]
    assert recording.fill_many(fills) == 3
    assert known(recording, "d") is None


def test_very_many_names_are_asked_for_in_parts(recording):
    """A database takes a limited number of keys in one query."""
    assert 2 * MAX_NAMES + 1 < 999
    names = [str(index) for index in range(MAX_NAMES + 1)]
    assert trips(recording, recording.look_up, names).count("get_many") == 2
    assert len(recording.look_up(names)) == MAX_NAMES + 1
    assert trips(recording, recording.invalidate, names).count("set_many") == 2


# What a cache may do


def raw():
    """What is in the cache, by the alias's own keys."""
    return caches["media"]._cache


def test_the_alias_decides_how_keys_look(settings, request):
    """KEY_PREFIX, VERSION and KEY_FUNCTION of the alias apply."""
    RecordingCache.reset()
    store = use(
        settings,
        "caches.RecordingCache",
        request.node.name,
        KEY_PREFIX="site",
        VERSION=7,
        KEY_FUNCTION=prefix_last,
    )
    fill(store)
    assert len(raw()) == 3
    assert all(key.endswith("|7|site") for key in raw())
    assert known(store) == FIRST


def test_values_are_short_ascii(recording):
    """No objects: two tokens, a time and a small number."""
    fill(recording, code=held(500))
    values = [caches["media"].get(key.split(":", 2)[2]) for key in list(raw())]
    assert len(values) == 3
    assert all(
        isinstance(value, str) and value.isascii() and len(value) < 60
        for value in values
    )


@pytest.mark.parametrize(
    "garbage",
    [
        "",
        "x",
        7,
        b"bytes",
        None,
        ["list"],
        "{}.",
        "{}.1",  # of a release without deadlines
        "{}.9999999999999",
        "{}.9999999999999.",
        "{}.9999999999999.-1",
        "{}.9999999999999.1.1",
        "{}.9999999999999.²",
        "{}.9999999999999.1234567",
        "{}..1",
        "{}.-1.1",
        "{}.999999999999².1",
        "{}.1.1",  # in 1970
        "0.{}.9999999999999.1",
    ],
    ids=ascii,
)
def test_garbage_is_a_miss(recording, garbage):
    """An entry that nobody of us has written is no answer, whatever it is."""
    fill(recording)
    if isinstance(garbage, str):
        garbage = garbage.format(lease(recording).tokens)
    caches["media"].set(recording._keys.entry("a"), garbage)
    assert known(recording) is None
    fill(recording, code=SECOND)
    assert known(recording) == SECOND


def test_what_is_well_formed_counts(recording):
    """So that nothing above is a miss for another reason."""
    text = f"{lease(recording).tokens}.9999999999999.1"
    caches["media"].set(recording._keys.entry("a"), text)
    assert known(recording) == FIRST


@pytest.mark.parametrize("garbage", ["", "short", 7, None])
def test_a_spoilt_stamp_is_replaced(recording, garbage):
    """A stamp or generation that is no token makes misses, not a lasting hole."""
    for key in (recording._keys.stamp("a"), recording._keys.generation):
        fill(recording)
        caches["media"].set(key, garbage)
        assert known(recording) is None
        fill(recording, code=SECOND)
        assert known(recording) == SECOND


def test_who_comes_second_takes_the_lease_of_the_first(recording, monkeypatch):
    """Two readers of a cold name share a stamp, so that both fills count."""
    first = []

    def get_many(self, keys, version=None):
        found = original(self, keys, version)
        if not first:
            first.append(None)
            first[0] = lease(DjangoCacheStore("media", "c0ffee"))
        return found

    original = RecordingCache.get_many
    monkeypatch.setattr(RecordingCache, "get_many", get_many)
    assert lease(recording) == first[0]


def test_every_thread_has_the_connection_that_django_gives_it(recording):
    """The alias is looked up at each call, since Django's caches are per thread."""
    seen = []

    def run():
        recording.look_up(["a"])
        seen.append(recording._cache())

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
        thread.join()
    assert len({id(cache) for cache in [*seen, recording._cache()]}) == 3


@pytest.mark.django_db
def test_a_database_cache_has_no_row_that_every_write_locks(settings):
    """A warm-up then reads every page twice."""
    settings.CACHES = {
        "media": {
            "BACKEND": "django.core.cache.backends.db.DatabaseCache",
            "LOCATION": "marks",
        },
    }
    call_command("createcachetable", verbosity=0)
    store = DjangoCacheStore("media", "chain")
    leases = {store.look_up([EVERY])[EVERY][1] for _ in range(2)}
    assert len(leases) == 2
    assert None not in leases
    store.invalidate([EVERY, "a"])
    key = store._keys.stamp(EVERY)
    assert caches["media"].get(key) is None
    assert caches["media"].get(store._keys.stamp("a")) is not None
