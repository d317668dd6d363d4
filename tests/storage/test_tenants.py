"""Tenants: no answer of one reaches another, and no announcement gets lost."""

from __future__ import annotations

import threading
from contextlib import contextmanager

import pytest
import tenants
from caches import RecordingCache
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from fakes import RecordingStorage
from nearby import impatient
from tenants import tenant

from fallback_storage.cache.entry import held
from fallback_storage.chain.fingerprint import fingerprint
from fallback_storage.conf.cache import read_cache
from fallback_storage.conf.memo import build_apart
from fallback_storage.exceptions import ConfigurationError
from fallback_storage.storage import FallbackStorage
from fallback_storage.utils.locks import choices

VARY = "tenants.whose"
LOCMEM = "django.core.cache.backends.locmem.LocMemCache"
REDIS = "django.core.cache.backends.redis.RedisCache"
KEYS = {"KEY_FUNCTION": "tenants.key_of_tenant"}


def file(content=b"1"):
    return ContentFile(content)


def in_process(request):
    return {}


def django_cache(request, **more):
    RecordingCache.reset()
    params = {"BACKEND": "caches.RecordingCache", "LOCATION": request.node.name, **more}
    request.getfixturevalue("settings").CACHES = {"default": params}
    return {"ALIAS": "default"}


def with_key_function(request):
    return django_cache(request, **KEYS)


def redis(request, **more):
    url = request.getfixturevalue("valkey").url
    params = {"BACKEND": REDIS, "LOCATION": url, **more}
    request.getfixturevalue("settings").CACHES = {"default": params}
    return {"ALIAS": "default"}


def redis_with_key_function(request):
    return redis(request, **KEYS)


def near(request):
    return {**redis(request), "NEAR": True}


def near_with_key_function(request):
    return {**redis_with_key_function(request), "NEAR": True}


def custom(request):
    return {"STORE": "stores.DictStore"}


FAST = [in_process, django_cache, with_key_function, custom]
SLOW = [redis, redis_with_key_function, near, near_with_key_function]


@pytest.fixture(
    params=[*FAST, *(pytest.param(e, marks=pytest.mark.slow) for e in SLOW)]
)
def cache(request, media_root):
    """What is written in ``cache``: every memo, for tenants."""
    return {**request.param(request), "VARY": VARY}


def make(cache, **options):
    # No look at the disk puts right what the memo says.
    local = {"BACKEND": "tenants.TenantStorage", "NAME": "local", "LOOK_AGAIN": False}
    bucket = {"BACKEND": "fakes.RecordingStorage", "NAME": "bucket", "READ_ONLY": True}
    return FallbackStorage([local, bucket], cache, **options)


@pytest.fixture
def chain(cache):
    return make(cache)


def both(*chains):
    """Let every chain know who has what, for both tenants."""
    for each in chains:
        for who in ("one", "two"):
            with tenant(who):
                each.exists("a")
                each.url("a")


# What is told


def test_no_tenant_is_told_of_anothers_file(chain):
    """From the memo, at once and later, of one name and of many."""
    with tenant("one"):
        chain.save("a", file())
    for _ in range(3):
        with tenant("one"):
            assert chain.exists("a")
            assert chain.url("a") == "/media/one/a"
            assert chain.resolve_many(["a"])["a"].backend == "local"
        with tenant("two"):
            assert not chain.exists("a")
            assert "one" not in chain.url("a")
            assert not chain.resolve_many(["a"])["a"].held
            with pytest.raises(FileNotFoundError):
                chain.open("a")


def test_what_is_known_by_grace_is_of_one_tenant(media_root, clock, monkeypatch):
    """The bucket is the same for both, and cannot be reached."""
    monkeypatch.setattr(FallbackStorage, "clock", clock)
    chain = make({"VARY": VARY})
    bucket = chain.backends[1].storage
    bucket.files["a"] = b"1"
    with tenant("one"):
        assert chain.exists("a")
    clock.tick(301)
    bucket.fail("exists")
    for who, known in {"one": True, "two": False}.items():
        with tenant(who):
            assert chain.exists("a") is known
            assert chain.resolve_many(["a"])["a"].held is (known or None)
    with tenant("two"):
        chain.forget("a")
    with tenant("one"):
        assert chain.exists("a")
        chain.forget_all()
        assert not chain.exists("a")


def test_what_is_known_is_remembered_for_each(chain):
    """VARY is no reason to ask again: the bucket is asked once for each tenant."""
    both(chain)
    bucket = chain.backends[1].storage
    asked = bucket.count("exists")
    both(chain)
    both(chain)
    assert bucket.count("exists") == asked


def test_a_write_of_one_forgets_nothing_of_the_other(cache):
    """But for in-process memos, where that costs a walk and no more."""
    chain, other = make(cache), make(cache)
    both(chain, other)
    with tenant("two"):
        other.save("a", file())
        assert chain.exists("a")
        assert other.exists("a")
    with tenant("one"):
        assert not chain.exists("a")
        assert not other.exists("a")


def test_a_page_that_was_prefetched_is_that_of_its_tenant(chain):
    """One request may work for two of them."""
    with tenant("one"):
        chain.save("a", file())
        chain.prefetch(["a"], complete=True)
    with tenant("two"):
        chain.prefetch(["b"])
        assert not chain.exists("a")
        assert "one" not in chain.url("a")


def test_forgetting_all_is_for_the_current_tenant(chain):
    both(chain)
    with tenant("one"):
        chain.forget_all()
    bucket = chain.backends[1].storage
    bucket.reset()
    with tenant("one"):
        chain.exists("a")
    assert bucket.count("exists") == 1


@pytest.mark.parametrize(
    "kind", [in_process, pytest.param(redis, marks=pytest.mark.slow)]
)
def test_forgetting_all_leaves_the_others_alone(request, kind, media_root):
    """(A Django cache cannot tell them apart, and forgets everybody's.)"""
    chain = make({**kind(request), "VARY": VARY})
    both(chain)
    with tenant("one"):
        chain.forget_all()
    bucket = chain.backends[1].storage
    bucket.reset()
    with tenant("two"):
        chain.exists("a")
    assert bucket.count("exists") == 0


# Written by one, announced when another one's turn has come


def test_a_file_that_is_closed_later_is_announced_to_its_tenant(cache):
    """Who closes it may be any other."""
    chain = make(cache)
    memo = chain._get_engine().memo
    with tenant("one"):
        opened = chain.open("a", "wb")
    for who in ("one", "two"):
        with tenant(who):
            memo.fill("a", memo.look_up("a")[1], held(1))
            assert memo.look_up("a")[0] == held(1)
    with tenant("two"):
        opened.close()
        assert memo.look_up("a")[0] == held(1)
    with tenant("one"):
        assert memo.look_up("a")[0] is None
        assert chain.exists("a")


def test_a_file_that_was_written_without_vary_is_announced_to_its_tenant(cache):
    """By another chain over the same files, which knows of no tenants."""
    chain = make(cache)
    plain = FallbackStorage(
        [{"BACKEND": "tenants.TenantStorage", "NAME": "local"}], cache=False
    )
    with tenant("one"):
        memo = chain._get_engine().memo
        opened = plain.open("b", "wb")
        memo.fill("b", memo.look_up("b")[1], held(1))
        assert memo.look_up("b")[0] == held(1)
    with tenant("two"):
        opened.close()
    with tenant("one"):
        assert memo.look_up("b")[0] is None


@pytest.mark.parametrize(
    "kind",
    [in_process, django_cache, custom, pytest.param(redis, marks=pytest.mark.slow)],
)
def test_where_nobody_tells_whose_it_is_everything_is_forgotten(
    request, kind, media_root
):
    """A task without a tenant writes through a chain that knows of none.

    (Behind a KEY_FUNCTION nothing can be found without a tenant.)
    """
    chain = make({**kind(request), "VARY": VARY})
    plain = FallbackStorage([RecordingStorage()], cache=False)
    both(chain)
    plain.save("a", file())
    memo = chain._get_engine().memo
    for who in ("one", "two"):
        with tenant(who):
            assert memo.look_up("a")[0] is None


# Once for one operation

OPERATIONS = {
    "exists": lambda chain: chain.exists("a"),
    "url": lambda chain: chain.url("a"),
    "open": lambda chain: chain.open("a").close(),
    "size": lambda chain: chain.size("a"),
    "listdir": lambda chain: chain.listdir(""),
    "save": lambda chain: chain.save("a", file()),
    "delete": lambda chain: chain.delete("a"),
    "write": lambda chain: chain.open("c", "wb"),
    "resolve": lambda chain: chain.resolve("a"),
    "resolve_many": lambda chain: chain.resolve_many(["a", "b"]),
    "prefetch": lambda chain: chain.prefetch(["a", "b"]),
    "forget": lambda chain: chain.forget("a"),
    "forget_all": lambda chain: chain.forget_all(),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("warm", [False, True])
def test_vary_is_asked_once_for_one_operation(media_root, operation, warm):
    """What takes one value twice would look one tenant's file up, and fill another's."""
    chain = make({"VARY": VARY})
    with tenant("one"):
        chain.save("a", file())
        if warm:
            chain.exists("a")
        tenants.whose.asked = 0
        opened = OPERATIONS[operation](chain)
        asked = tenants.whose.asked
        if operation == "write":
            opened.close()
    assert asked == 1


def test_what_is_done_for_another_one_within_a_save_is_done_for_him(cache):
    """The content may be another tenant's file, read through the same chain."""
    chain = make(cache)
    with tenant("one"):
        chain.save("a", file(b"of one"))

    class OfOne(ContentFile):
        def chunks(self, chunk_size=None):
            with tenant("one"):
                assert chain.exists("a")
                with chain.open("a") as opened:
                    yield opened.read()

    with tenant("two"):
        assert not chain.exists("a")
        assert chain.save("a", OfOne(b"of one")) == "a"
        with chain.open("a") as opened:
            assert opened.read() == b"of one"
        chain.delete("a")
        assert not chain.exists("a")


def test_two_tenants_save_one_name_at_once(media_root):
    """Each under that name: neither waits for the other, nor takes another name."""
    chain = make({"VARY": VARY})
    saved = {}

    class Slow(ContentFile):
        def chunks(self, chunk_size=None):
            thread = threading.Thread(target=save, args=("two", file()))
            thread.start()
            thread.join(10)
            yield b"1"

    def save(who, content):
        with tenant(who):
            saved.setdefault(who, []).append(chain.save("a", content))

    save("one", Slow(b"1"))
    assert saved == {"one": ["a"], "two": ["a"]}
    assert not any(scope.locked() for scope in choices._owners.values())


def test_the_walk_of_one_tenant_is_not_waited_for_by_another(media_root):
    chain = make({"VARY": VARY})
    bucket = chain.backends[1].storage
    seen = []

    def ask():
        with tenant("two"):
            seen.append(chain.exists("a"))

    def other(name):
        bucket.before("exists", lambda name: None)
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join(10)
        seen.append("walked")

    bucket.before("exists", other)
    with tenant("one"):
        chain.exists("a")
    assert seen == [False, "walked"]
    assert chain.stats()["coalesced"] == 0


# What VARY may return


def nothing():
    return None


def a_number():
    return 7


def an_error():
    raise KeyError("secret")


def stranger():
    return ""


@pytest.mark.parametrize(
    ("function", "what"),
    [
        ("nothing", "returned a NoneType"),
        ("a_number", "returned a int"),
        ("an_error", "raised KeyError"),
    ],
)
def test_what_does_not_tell_is_a_configuration_error(media_root, function, what):
    """Before anything is done; it quotes no value."""
    chain = make({"VARY": f"{__name__}.{function}"})
    wanted = (
        rf"\['VARY'\]: is '.*{function}', which {what}\. Let it return a str .*E027"
    )
    for act in OPERATIONS.values():
        with pytest.raises(ImproperlyConfigured, match=wanted) as caught:
            act(chain)
        assert "secret" not in str(caught.value)
    assert not list(media_root.iterdir())


@pytest.mark.parametrize("path", ["no.where", f"{__name__}.VARY"])
def test_what_is_no_function_is_a_configuration_error(media_root, path):
    chain = make({"VARY": path})
    with pytest.raises(ConfigurationError, match="Write the dotted path of a function"):
        chain.exists("a")


def test_no_tenant_is_one_as_well(media_root):
    """An empty text is a value like others."""
    chain = make({"VARY": f"{__name__}.stranger"})
    assert chain.save("a", file()) == "a"
    assert chain.exists("a")


# Without VARY


def test_what_computes_its_place_is_not_remembered(request, media_root):
    """One tenant's answer would be another's. In process it shows when it is built."""
    for cache in ({}, django_cache(request)):
        chain = make(cache)
        with tenant("one"):
            chain.save("c", file())
        for _ in range(2):
            with tenant("one"):
                assert chain.exists("c")
                assert chain.url("c") == "/media/one/c"
                assert chain.resolve_many(["c"])["c"].source == "probe"
            with tenant("two"):
                assert not chain.exists("c")
                assert "one" not in chain.url("c")
        with tenant("one"):
            chain.delete("c")


def test_nor_is_a_chain_that_has_such_a_one_within(media_root):
    inner = make({"VARY": VARY})
    chain = FallbackStorage([inner, RecordingStorage()])
    with tenant("one"):
        chain.save("a", file())
        assert chain.exists("a")
    with tenant("two"):
        assert not chain.exists("a")


def test_what_is_above_it_is_remembered(media_root):
    """That is the same for everybody; nothing is built that is not needed."""
    first = RecordingStorage(files={"a": b"1"})
    local = {"BACKEND": "tenants.TenantStorage", "NAME": "local"}
    chain = FallbackStorage([first, local])
    assert chain.exists("a")
    assert chain.exists("a")
    assert first.count("exists") == 1
    assert "storage" not in chain._get_engine().backends[1].__dict__


def test_a_key_function_without_vary_is_not_remembered_by(request, media_root):
    """Only those who share a prefix would hear of a write."""
    cache = with_key_function(request)
    chain = FallbackStorage([RecordingStorage(files={"a": b"1"})], cache)
    with tenant("one"):
        assert chain.exists("a")
        assert chain.exists("a")
    assert chain.backends[0].storage.count("exists") == 2
    assert RecordingCache.calls == []


# Which chain it is


def test_all_tenants_are_of_one_chain(request, media_root):
    """Whoever comes first in a process: the others hear of what it writes."""
    cache = {**django_cache(request), "VARY": VARY}
    with tenant("one"):
        chain = make(cache)
        chain.exists("a")
    with tenant("two"):
        other = make(cache)
        assert not other.exists("a")
    assert chain._get_engine().memo.store is other._get_engine().memo.store


# An outage


class BreakingCache(RecordingCache):
    """A cache that fails while it is down."""

    down = False

    def get_many(self, keys, version=None):
        if BreakingCache.down:
            raise ConnectionError
        return super().get_many(keys, version)


def breaking(request):
    return django_cache(request, BACKEND=f"{__name__}.BreakingCache")


def breaking_with_key_function(request):
    return django_cache(request, BACKEND=f"{__name__}.BreakingCache", **KEYS)


@contextmanager
def outage(store, monkeypatch):
    """Let the server be away, as the store's own client sees it."""
    far = getattr(store, "_far", store)
    with monkeypatch.context() as patched:
        if hasattr(far, "client"):
            patched.setattr(far._server, "_client", impatient(1))
        else:
            patched.setattr(BreakingCache, "down", True)
        yield


@pytest.mark.parametrize(
    "kind",
    [
        breaking,
        breaking_with_key_function,
        *(
            pytest.param(each, marks=pytest.mark.slow)
            for each in (redis, redis_with_key_function, near, near_with_key_function)
        ),
    ],
)
def test_what_was_written_in_an_outage_is_announced_to_its_tenant(
    request, kind, media_root, clock, monkeypatch
):
    """Whoever comes first when the server is back; other processes see it then."""

    class Chain(FallbackStorage):
        pass

    Chain.clock = clock
    spec = read_cache({**kind(request), "VARY": VARY}, "here")
    chain = Chain(
        [{"BACKEND": "tenants.TenantStorage"}], {**kind(request), "VARY": VARY}
    )
    for who in ("one", "two"):
        with tenant(who):
            chain.save("a", file())
            assert chain.exists("a")
    guarded = chain._get_engine().memo.store
    other = build_apart(spec, fingerprint(chain.backends, vary=VARY), clock, 1)
    with tenant("one"):
        assert other.look_up_one("a")[0] == held(0)
    with outage(guarded._store._store, monkeypatch), tenant("one"):
        chain.delete("a")
        assert not chain.exists("a")
    assert guarded.stats()["undelivered"]
    clock.tick(60)
    with tenant("two"):
        assert chain.exists("a")
    assert not guarded.stats()["undelivered"]
    with tenant("one"):
        assert other.look_up_one("a")[0] is None
        assert not chain.exists("a")
    with tenant("two"):
        assert other.look_up_one("a")[0] == held(0)
    other.close()
