"""From FALLBACK_STORAGE_CACHE to a store, and who shares it; with real caches."""

from __future__ import annotations

import subprocess
import sys

import pytest
from caches import RecordingCache
from django.core.cache import caches
from django.core.files.base import ContentFile
from django.core.files.storage import InMemoryStorage
from django.test import override_settings
from fakes import RecordingStorage
from forked import needs_fork, run
from nearby import until
from stores import DictStore

from fallback_storage.cache.entry import held
from fallback_storage.cache.memo import Memo
from fallback_storage.cache.stores.django_cache import DjangoCacheStore
from fallback_storage.cache.stores.guarded import GuardedStore
from fallback_storage.cache.stores.local import LocalStore
from fallback_storage.cache.stores.near import NearStore
from fallback_storage.cache.stores.redis import RedisStore
from fallback_storage.exceptions import ConfigurationError
from fallback_storage.storage import FallbackStorage

redis = pytest.importorskip("redis")

FAKE = "fakes.RecordingStorage"
DISK = "django.core.files.storage.FileSystemStorage"
BACKENDS = "django.core.cache.backends"
LOCMEM = {"BACKEND": f"{BACKENDS}.locmem.LocMemCache", "LOCATION": "memos"}


class NoStore:
    """Something else."""


def make_client():
    """A CLIENT of somebody's own: here for the alias that the test has made."""
    return redis.Redis.from_url(caches.settings["redis"]["LOCATION"])


@pytest.fixture(autouse=True)
def _caches(settings):
    settings.CACHES = {
        "default": LOCMEM,
        "media": {**LOCMEM, "KEY_PREFIX": "media"},
        "recording": {"BACKEND": "caches.RecordingCache", "LOCATION": "recording"},
        "dummy": {"BACKEND": f"{BACKENDS}.dummy.DummyCache"},
        # Nobody is there: for tests that connect to nothing.
        "redis": redis_alias("redis://127.0.0.1:1/0"),
    }
    for alias in ("default", "recording"):
        caches[alias].clear()
    RecordingCache.reset()


def redis_alias(url):
    return {"BACKEND": f"{BACKENDS}.redis.RedisCache", "LOCATION": url}


@pytest.fixture
def valkey_alias(settings, valkey):
    settings.CACHES = {**settings.CACHES, "redis": redis_alias(valkey.url)}
    return "redis"


@pytest.fixture(params=["default", pytest.param("redis", marks=pytest.mark.slow)])
def alias(request):
    """A real cache that processes share, or that only behaves so."""
    return (
        request.getfixturevalue("valkey_alias")
        if request.param == "redis"
        else request.param
    )


def entry(name="a", **options):
    return {"BACKEND": FAKE, "NAME": name, "OPTIONS": {"label": name, **options}}


A, B = entry("a"), entry("b", files={"x": b"1"})


def make(*backends, cache=None, **options):
    return FallbackStorage(list(backends or (A, B)), cache, **options)


def memo_of(chain):
    return chain._get_engine().memo


def store_of(chain):
    """The store that a chain's memo has, and the one that it guards."""
    store = memo_of(chain).store
    assert isinstance(store, GuardedStore)
    return store._store


def asked(chain):
    """How often a chain asked its storages whether they hold a name."""
    return sum(backend.storage.count("exists") for backend in chain.backends)


# Which store is built

BUILT = {
    "alias": ("media", DjangoCacheStore),
    "dict": ({"ALIAS": "media", "TTL": 7}, DjangoCacheStore),
    "redis": ("redis", RedisStore),
    "redis-far-only": ({"ALIAS": "redis", "NEAR": False}, RedisStore),
    "near": ({"ALIAS": "redis", "NEAR": True, "MAX_ENTRIES": 5}, NearStore),
    "client": ({"ALIAS": "redis", "CLIENT": f"{__name__}.make_client"}, RedisStore),
    "store": ({"STORE": f"{__name__}.DictStore"}, DictStore),
}


@pytest.mark.parametrize("by_setting", [False, True], ids=["argument", "setting"])
@pytest.mark.parametrize(("cache", "expected"), BUILT.values(), ids=BUILT)
def test_what_is_configured_is_built(settings, cache, expected, by_setting):
    """As an argument and as the setting; guarded; and nothing is connected to."""
    if by_setting:
        settings.FALLBACK_STORAGE_CACHE = cache
    chain = make(cache=None if by_setting else cache)
    assert type(store_of(chain)) is expected


@pytest.mark.parametrize("cache", [None, {"TTL": 7, "MAX_ENTRIES": 2}], ids=str)
def test_without_an_alias_it_is_process_memory(cache):
    """Of this instance alone, so nothing can fail that would need a guard."""
    first, second = make(cache=cache), make(cache=cache)
    assert type(memo_of(first).store) is LocalStore
    assert memo_of(first).store is not memo_of(second).store


@pytest.mark.parametrize("cache", [False, "dummy", {"ALIAS": "dummy", "TTL": 9}])
def test_no_memo(cache):
    """A DummyCache remembers nothing: asking it would be round trips for nothing."""
    chain = make(cache=cache)
    assert type(memo_of(chain)) is Memo
    assert chain.exists("x") is chain.exists("x") is True
    assert asked(chain) == 4


def test_the_argument_wins(settings):
    """The setting is for those that say nothing."""
    settings.FALLBACK_STORAGE_CACHE = "media"
    assert type(store_of(make(cache="redis"))) is RedisStore
    assert type(memo_of(make(cache=False))) is Memo
    assert type(memo_of(make(cache={"TTL": 1})).store) is LocalStore


def test_lifetimes_reach_the_cache():
    """TTL and NEGATIVE_TTL are what the entries live."""
    chain = make(cache={"ALIAS": "recording", "TTL": 60, "NEGATIVE_TTL": 5})
    assert (chain.exists("x"), chain.exists("no")) == (True, False)
    before = asked(chain)
    RecordingCache.tick(4)
    assert (chain.exists("x"), chain.exists("no")) == (True, False)
    assert asked(chain) == before
    RecordingCache.tick(2)
    assert (chain.exists("x"), chain.exists("no")) == (True, False)
    assert asked(chain) == before + 2
    RecordingCache.tick(55)
    assert chain.exists("x") is True
    assert asked(chain) == before + 4


DAY = 24 * 3600
GRACES = {
    "memory": (None, DAY),
    "locmem": ("media", DAY),
    "memcached": ("memcached", DAY),
    "redis": ("redis", DAY),
    "near": ({"ALIAS": "redis", "NEAR": True}, DAY),
    # Off unless it is said
    "database": ("database", 0),
    "somebody's own cache": ("recording", 0),
    "somebody's own store": ({"STORE": f"{__name__}.DictStore"}, 0),
    "said": ({"ALIAS": "database", "GRACE": 7}, 7),
    "said of a store": ({"STORE": "aging.SharedStore", "GRACE": 7}, 7),
    "off": ({"ALIAS": "redis", "GRACE": 0}, 0),
    "too long to count": ({"ALIAS": "redis", "GRACE": 1e300}, 365 * DAY),
}


@pytest.mark.parametrize(("cache", "seconds"), GRACES.values(), ids=GRACES)
def test_for_how_long_what_is_over_is_kept(settings, cache, seconds):
    """A day, where that costs little and other processes tell what they write."""
    settings.CACHES = {
        **settings.CACHES,
        "memcached": {
            "BACKEND": f"{BACKENDS}.memcached.PyMemcacheCache",
            "LOCATION": "127.0.0.1:1",
        },
        "database": {"BACKEND": f"{BACKENDS}.db.DatabaseCache", "LOCATION": "files"},
    }
    chain = make(A, {**B, "READ_ONLY": True}, cache=cache)
    store = memo_of(chain).store if cache is None else store_of(chain)
    if isinstance(store, NearStore):
        assert store._local.grace == 0
        store = store._far
    assert store.grace == seconds
    if isinstance(store, DjangoCacheStore):
        assert store._stamp_seconds >= 4 * 300 + seconds
    # Of backends that may be written to only where all processes hear of that.
    everywhere = seconds and cache not in (None, "media")
    assert memo_of(chain).lasting == (
        {0, 1} if everywhere else {1} if seconds else set()
    )


def test_memory_keeps_nothing_where_it_is_not_believed():
    """Both backends may be written to, by other processes too."""
    assert memo_of(make()).store.grace == 0


# What cannot be

BACKENDS_ARE = (
    "Give it an ALIAS whose BACKEND is one of: "
    "django.core.cache.backends.redis.RedisCache, django_redis.cache.RedisCache."
)

MISTAKES = {
    "unknown-alias": (
        "mediaa",
        (
            "{}: names the alias 'mediaa', which CACHES does not have. Did you mean "
            "'media'? Write one of the aliases: default, dummy, media, recording, redis."
        ),
    ),
    "both": (
        {"ALIAS": "media", "STORE": "x.Y"},
        "{}: has both ALIAS and STORE. Write one of them.",
    ),
    "near-locmem": (
        {"ALIAS": "media", "NEAR": True},
        f"{{}}['NEAR']: is set without a Redis alias. {BACKENDS_ARE}",
    ),
    "near-alone": (
        {"NEAR": True},
        f"{{}}['NEAR']: is set without a Redis alias. {BACKENDS_ARE}",
    ),
    "client-locmem": (
        {"ALIAS": "media", "CLIENT": "x.y"},
        f"{{}}['CLIENT']: is set without a Redis alias. {BACKENDS_ARE}",
    ),
    "ttl": (
        {"ALIAS": "media", "TTL": float("nan")},
        "{}['TTL']: is nan. Write seconds, 0 for never.",
    ),
    "grace": (
        {"GRACE": -1},
        "{}['GRACE']: is -1. Write seconds, 0 for never.",
    ),
    "number": (
        5,
        (
            '{}: is 5. Write an alias of CACHES, a dict such as {{"TTL": 300}}, or False '
            "for no memo."
        ),
    ),
    "key": (
        {"TTLS": 1},
        (
            "{}: has the unknown key 'TTLS'. Did you mean 'TTL'? Write one of the keys: ALIAS, "
            "CLIENT, FACTS, GRACE, MAX_ENTRIES, NEAR, NEGATIVE_TTL, STORE, TTL, VARY."
        ),
    ),
}


@pytest.mark.parametrize("by_setting", [False, True], ids=["argument", "setting"])
@pytest.mark.parametrize(("cache", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes(settings, cache, message, by_setting):
    """Each says where, what was found and what to write, before anything is built."""
    where = "FALLBACK_STORAGE_CACHE" if by_setting else "cache"
    if by_setting:
        settings.FALLBACK_STORAGE_CACHE = cache
    with pytest.raises(ConfigurationError) as caught:
        make(cache=None if by_setting else cache)
    error = caught.value
    assert str(error) == f"{message.format(where)} ({error.mistake})"


BAD_STORES = {
    "module": ("no.such.Store", "cannot be imported. Write the dotted path of a "),
    "name": (f"{__name__}.Missing", "cannot be imported. Write the dotted path of a "),
    "word": ("Store", "cannot be imported. Write the dotted path of a "),
    "class": (f"{__name__}.NoStore", "is no Store. Subclass "),
    "function": (f"{__name__}.make", "is no Store. Subclass "),
}


@pytest.mark.parametrize(("path", "message"), BAD_STORES.values(), ids=BAD_STORES)
def test_a_store_that_is_none(path, message):
    """Imported at the first use only: then it is said, and every time again."""
    chain = make(cache={"STORE": path})
    for _ in range(2):
        with pytest.raises(ConfigurationError) as caught:
            chain.exists("x")
        assert caught.value.where == "cache['STORE']"
        assert f"is {path!r}, which {message}" in str(caught.value)


def test_a_store_that_keeps_nothing_for_longer():
    """Where GRACE is said, it has to."""
    chain = make(cache={"STORE": f"{__name__}.DictStore", "GRACE": 60})
    with pytest.raises(ConfigurationError) as caught:
        chain.exists("x")
    assert str(caught.value).startswith(
        f"cache['STORE']: is '{__name__}.DictStore', which has no look_up_held(), which "
        "GRACE needs. Write it, or leave out GRACE. ("
    )


# Who shares it


@pytest.mark.parametrize(
    "cache", ["media", "redis", {"ALIAS": "redis", "NEAR": True}], ids=str
)
def test_all_instances_of_a_chain_have_one_store(cache):
    """One connection, one breaker; lifetimes are the memo's, not the store's."""
    spec = {"ALIAS": cache} if isinstance(cache, str) else cache
    first, second = make(cache=cache), make(cache={**spec, "TTL": 5})
    assert memo_of(first) is not memo_of(second)
    assert memo_of(first).store is memo_of(second).store


def test_a_custom_store_is_told_its_chain():
    """Another chain has a store of its own."""
    cache = {"STORE": f"{__name__}.DictStore"}
    first, same, other = make(cache=cache), make(cache=cache), make(B, A, cache=cache)
    assert store_of(first) is store_of(same)
    assert store_of(first).chain != store_of(other).chain


def test_what_one_instance_resolved_the_others_know(alias):
    """Each has its own storages here, as each process has: they are not asked."""
    first, second = make(cache=alias), make(cache=alias)
    assert first.exists("x") is second.exists("x") is True
    assert (asked(first), asked(second)) == (2, 0)
    assert second.resolve("x").index == 1


OTHERS = {
    "reordered": (B, A),
    "renamed": ({**A, "NAME": "other"}, B),
    "other-options": (entry("a", unsupported=["path"]), B),
    "longer": (A, B, entry("c")),
    "shorter": (B,),
}


@pytest.mark.parametrize("others", OTHERS.values(), ids=OTHERS)
def test_another_chain_never_sees_the_entries(alias, others):
    """It asks its own storages, and what it finds is nothing to the first."""
    first, other = make(cache=alias), make(*others, cache=alias)
    assert first.exists("x") is True
    assert other.exists("x") is True
    assert asked(other) > 0
    again = make(cache=alias)
    assert again.resolve("x").backend == "b"
    assert asked(again) == 0


@pytest.mark.parametrize("first", ["first", "whiteout"])
def test_a_chain_that_looks_for_whiteouts_is_another(alias, tmp_path, first):
    """What one hides the other shows: they have no entry in common."""
    options = {"location": str(tmp_path)}
    backends = [{"BACKEND": DISK, "OPTIONS": options}, {**B, "READ_ONLY": True}]
    hiding = make(*backends, cache=alias, on_delete="whiteout")
    showing = make(*backends, cache=alias)
    hiding.delete("x")
    order = (showing, hiding) if first == "first" else (hiding, showing)
    answers = {chain: chain.exists("x") for chain in order}
    assert answers == {hiding: False, showing: True}


def test_another_location_is_another_chain(alias, tmp_path):
    """By OPTIONS: the files of one directory are not those of another."""

    def over(directory):
        options = {"location": str(tmp_path / directory)}
        return make({"BACKEND": DISK, "OPTIONS": options}, A, cache=alias)

    over("1").save("f", ContentFile(b"1"))
    assert over("1").exists("f") is True
    assert over("2").exists("f") is False
    assert over("1").exists("f") is True


def test_another_media_root_is_another_chain(alias, settings, tmp_path):
    """By a setting that no OPTIONS name."""
    chain = make(DISK, A, cache=alias)
    settings.MEDIA_ROOT = tmp_path / "1"
    chain.save("f", ContentFile(b"1"))
    assert chain.exists("f") is True
    settings.MEDIA_ROOT = tmp_path / "2"
    assert chain.exists("f") is False
    settings.MEDIA_ROOT = tmp_path / "1"
    assert chain.exists("f") is True


def test_another_bucket_is_another_chain(alias):
    """By what the storage says of itself, as S3Storage with a bucket of settings."""

    def bucket(name, files):
        storage = RecordingStorage("bucket")
        storage.bucket_name, storage.files = name, files
        return storage

    first = make(bucket("one", {"x": b"1"}), A, cache=alias)
    second = make(bucket("two", {}), A, cache=alias)
    assert first.exists("x") is True
    assert second.exists("x") is False


def test_memory_is_shared_with_nobody(alias):
    """Two InMemoryStorages are two worlds, even of one configuration."""
    first, second = (make(InMemoryStorage, A, cache=alias) for _ in range(2))
    first.save("f", ContentFile(b"1"))
    assert first.exists("f") is first.exists("f") is True
    assert second.exists("f") is False
    assert memo_of(first).store is not memo_of(second).store
    assert first.exists("f") is True


@pytest.mark.parametrize(
    "cache", [None, {"TTL": 5}, "media", "redis", {"ALIAS": "redis", "NEAR": True}]
)
def test_a_write_reaches_instances_with_another_cache(valkey_alias, tmp_path, cache):
    """Read your writes, whatever cache the writer has: none at all, say."""
    options = {"location": str(tmp_path), "base_url": "/disk/"}
    backends = [{"BACKEND": DISK, "OPTIONS": options}, A]
    reader = make(*backends, cache=cache)
    for writer in (
        make(*backends, cache="default"),
        make(*backends, cache=valkey_alias),
        make(*backends, cache=False),
    ):
        assert reader.exists("f") is reader.exists("f") is False
        assert writer.save("f", ContentFile(b"1")) == "f"
        assert reader.exists("f") is reader.exists("f") is True
        assert reader.url("f") == "/disk/f"
        writer.delete("f")
        assert reader.url("f") == "https://a.example/f"


def test_a_near_tier_serves_from_memory_and_hears_of_writes(valkey_alias, tmp_path):
    """NEAR through the storage: a hit is in process, a write is seen at once."""
    backends = [{"BACKEND": DISK, "OPTIONS": {"location": str(tmp_path)}}, A]
    near = make(*backends, cache={"ALIAS": valkey_alias, "NEAR": True})
    far = make(*backends, cache=valkey_alias)
    far.save("f", ContentFile(b"1"))
    until(lambda: near.exists("f") and memo_of(near).peek("f") == held(0))
    assert near.stats()["near_connected"] == 1
    far.delete("f")
    assert near.exists("f") is False


@pytest.mark.slow
@needs_fork
def test_a_forked_child_has_stores_of_its_own():
    """A preloaded worker's: what they note of their server is not the parent's."""
    run(
        """
        from django.conf import settings

        settings.SECRET_KEY = "tests"
        cache = {"STORE": "stores.DictStore"}
        make = lambda: FallbackStorage([RecordingStorage("front")], cache)
        store = lambda: make()._get_engine().memo.store
        before = store()
        assert store() is before

        def child():
            assert store() is store() is not before

        in_child(child)
        assert store() is before
        """
    )


# Forgetting


def test_forget_all_leaves_other_keys_alone(alias):
    """This chain's entries go; sessions and other processes' chains stay."""
    others = {
        "redis": lambda: RedisStore(make_client, ":1:fbs3:c0ffee::"),
        "default": lambda: DjangoCacheStore("default", "c0ffee"),
    }
    chain, other = make(cache=alias), others[alias]()
    try:
        caches[alias].set("session", "kept", 60)
        _, lease = other.look_up_one("x")
        assert other.fill("x", lease, held(1), 60)
        assert chain.exists("x") is True
        chain.forget_all()
        assert caches[alias].get("session") == "kept"
        assert other.look_up_one("x")[0] == held(1)
        assert chain.exists("x") is True
        assert asked(chain) == 4
    finally:
        other.close()


def test_forget_all_never_clears_the_cache():
    """No flush, however long that would take less."""
    chain = make(cache="recording")
    chain.exists("x")
    chain.forget_all()
    assert "clear" not in RecordingCache.calls


def test_forget_reaches_all_instances(alias):
    """What changed behind this package's back, told to one of them."""
    first, second = make(cache=alias), make(cache=alias)
    assert first.exists("x") is second.exists("x") is True
    second.forget("./x")
    assert first.exists("x") is True
    assert asked(first) == 4


# Settings that change

CHANGES = {
    "CACHES": {},
    "FALLBACK_STORAGE_CACHE": "default",
    "MEDIA_URL": "/elsewhere/",
    "STORAGES": {},
}


@pytest.mark.parametrize("setting", CHANGES)
def test_changed_settings_close_the_stores(setting):
    """Nothing that was built under the old ones is used again."""
    cache = {"STORE": f"{__name__}.DictStore"}
    chain = make(cache=cache)
    before = store_of(chain)
    with override_settings(**{setting: CHANGES[setting]}):
        assert before.closed
        after = store_of(chain)
        assert after is not before
    assert after.closed
    assert store_of(chain) not in {before, after}


def test_a_changed_cache_is_the_one_that_is_used(valkey_alias, valkey, settings):
    """The alias points to another database: entries, and connections, are its."""
    chain = make(cache=valkey_alias)
    assert chain.exists("x") is True
    url = valkey.url.removesuffix("/0") + "/1"
    with override_settings(CACHES={**settings.CACHES, "redis": redis_alias(url)}):
        assert chain.exists("x") is True
        with redis.Redis.from_url(url) as client:
            assert client.dbsize() == 1


ALONE = """
import gc
from django.conf import settings
from django.test import override_settings

def redis(database):
    alias = {"BACKEND": "django.core.cache.backends.redis.RedisCache"}
    return {"media": {**alias, "LOCATION": f"redis://127.0.0.1:1/{database}"}}

settings.configure(SECRET_KEY="tests", CACHES=redis(0), MEDIA_ROOT="media")

from fallback_storage.storage import FallbackStorage

def database():
    chain = FallbackStorage(["django.core.files.storage.FileSystemStorage"], "media")
    client = chain._get_engine().memo.store._store.client
    return client.connection_pool.connection_kwargs["db"]

found = [database()]
gc.collect()
with override_settings(CACHES=redis(1)):
    found.append(database())
assert found == [0, 1], found
"""


@pytest.mark.slow
def test_a_changed_cache_while_no_storage_lives():
    """The next instance uses the new cache, though none was there to be told."""
    # In a process of its own: models of the tests' own app keep theirs alive.
    command = [sys.executable, "-c", ALONE]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


# What may not be seen


def test_keys_hold_no_secret(valkey_alias, valkey):
    """Who may read the cache learns names of files, nothing of the configuration."""
    chain = make(entry("a", files={"top-secret": b"1"}), B, cache=valkey_alias)
    chain.exists("x")
    with make_client() as client:
        keys = client.keys()
        stored = [*keys, *client.mget(keys)]
    assert len(stored) == 2
    assert not any(b"secret" in text or b"Recording" in text for text in stored)


def test_a_dead_server_changes_no_answer(monkeypatch, clock):
    """Nobody listens where the alias points to: every call answers all the same."""
    monkeypatch.setattr(FallbackStorage, "clock", clock, raising=False)
    chain = make(cache="redis")
    for _ in range(5):
        assert chain.exists("x") is True
        assert chain.exists("no") is False
    assert chain.stats()["store_failures"] == 3
    assert chain.stats()["breaker_open"] == 1


def make_late_client():
    cache = pytest.importorskip("redis.cache")
    return redis.Redis(protocol=3, cache_config=cache.CacheConfig())


def test_a_client_that_is_refused_changes_no_answer(caplog):
    """The log says what is wrong with it, and what to do."""
    chain = make(cache={"ALIAS": "redis", "CLIENT": f"{__name__}.make_late_client"})
    assert chain.exists("x") is True
    assert chain.exists("no") is False
    assert "CLIENT: gives a client that reads from replicas, or" in caplog.text
    assert "Leave out its cache" in caplog.text


def test_an_entry_outlives_an_hour_if_its_ttl_does(settings):
    """It dies with its name's stamp, which is written before it."""
    settings.CACHES = {"media": {"BACKEND": "caches.RecordingCache"}}
    storage = FallbackStorage(
        [RecordingStorage("a"), RecordingStorage("b", {"x": b""})],
        cache={"ALIAS": "media", "TTL": 7200},
    )
    assert storage._get_engine().memo.store._store._stamp_seconds == 4 * 7200


@pytest.mark.parametrize("ttl", [10**8, 10**11])
def test_no_stamp_is_to_last_longer_than_a_cache_can_count(settings, memcached, ttl):
    """memcached takes a time of day, in 32 bits."""
    pytest.importorskip("pymemcache")
    settings.CACHES = {
        "media": {
            "BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache",
            "LOCATION": f"{memcached.host}:{memcached.port}",
        }
    }
    production = RecordingStorage("b", {"x": b""})
    chain = FallbackStorage([production], cache={"ALIAS": "media", "TTL": ttl})
    assert chain.exists("x")
    assert chain.exists("x")
    assert production.count("exists") == 1
