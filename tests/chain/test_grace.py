"""What the memo knew of a backend is believed while that cannot be reached."""

from __future__ import annotations

import logging
from contextlib import suppress

import pytest
from aging import SharedStore, age_redis
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, Storage
from fakes import Bucket, read

from fallback_storage.cache import snapshots
from fallback_storage.chain.outcomes import Outcome, Source
from fallback_storage.chain.reaches import RETRY_AFTER
from fallback_storage.conf.memo import close_shared_stores
from fallback_storage.exceptions import AllBackendsFailed, BackendUnavailable
from fallback_storage.storage import FallbackStorage

HELD, ABSENT, FAILED = Outcome.HELD, Outcome.ABSENT, Outcome.FAILED
PAGE = [f"d{number % 7}/{number}.jpg" for number in range(100)]
SHARED = {"STORE": "aging.SharedStore", "GRACE": 86_400}
# Commands that ask a server for what the memo knows.
ASKED = {"get", "mget", "evalsha", "eval"}


def entry(storage, name="", **policy):
    return {
        "BACKEND": "typing.cast",
        "OPTIONS": {"typ": Storage, "val": storage},
        "NAME": name or storage.label,
        **policy,
    }


@pytest.fixture(autouse=True)
def manual(clock, monkeypatch):
    monkeypatch.setattr(FallbackStorage, "clock", clock)
    monkeypatch.setattr(SharedStore, "hand", clock)
    yield
    close_shared_stores()


@pytest.fixture
def local(tmp_path):
    return FileSystemStorage(tmp_path / "local", "/media/")


@pytest.fixture
def s3():
    return Bucket("s3", dict.fromkeys(PAGE, b"x"))


def mirror(local, s3, cache=None, **options):
    """A local directory before production's bucket, which may only be read."""
    chain = [entry(local, "local"), entry(s3, READ_ONLY=True)]
    return FallbackStorage(chain, cache, **options)


def down(storage, error=None):
    error = error or ConnectionError("secret")
    for method in ("exists", "_open", "size", "listdir", "delete", "_save"):
        storage.fail(method, error)


def page(chain, names=PAGE):
    return [(chain.url(name), chain.exists(name)) for name in names]


# The outage


@pytest.mark.parametrize("cache", [None, SHARED], ids=["memory", "shared"])
def test_a_page_looks_in_an_outage_as_before(local, s3, clock, cache, caplog):
    """For hours: TTL is long over."""
    chain = mirror(local, s3, cache)
    before = page(chain)
    down(s3)
    for _ in range(5):
        clock.tick(4 * 3600)
        assert page(chain) == before
    assert chain.stats()["grace_hits"] == 500
    clock.tick(4 * 3600 + 301)
    with suppress(ConnectionError):
        assert not any(exists for _, exists in page(chain))
    assert "secret" not in caplog.text


def test_a_page_costs_no_call_while_the_backend_is_left_alone(local, s3, clock):
    """The first three names show that it has gone; one call at a time tries again."""
    chain = mirror(local, s3)
    before = page(chain)
    clock.tick(301)
    s3.reset()
    down(s3)
    assert page(chain) == before
    assert s3.count("exists") == 3
    assert page(chain) == before
    assert chain.resolve_many(PAGE)[PAGE[99]].source is Source.GRACE
    chain.prefetch(PAGE, complete=True)
    assert s3.count() - s3.count("url") == 3
    clock.tick(3600)
    assert page(chain) == before
    assert s3.count() - s3.count("url") == 4
    found = chain.resolve(PAGE[0]).trail[1]
    assert isinstance(found.exception, BackendUnavailable)


@pytest.mark.parametrize("first", ["url", "exists"])
def test_urls_that_are_asked_for_meanwhile_change_nothing(local, s3, clock, first):
    """They tell that the local directory has no such file, which is remembered."""
    chain = mirror(local, s3)
    page(chain)
    clock.tick(301)
    if first == "url":
        assert [chain.url(name) for name in PAGE]  # the last that S3 was there
    down(s3)
    for _ in range(3):
        assert all(chain.exists(name) for name in PAGE)
        assert [chain.url(name) for name in PAGE] == [s3.url(name) for name in PAGE]
        clock.tick(301)


def test_what_resolve_says_of_it(local, s3, clock):
    """Who was asked, what that raised, and that the memo answered."""
    chain = mirror(local, s3)
    chain.resolve("d0/0.jpg")
    down(s3)
    assert chain.resolve("d0/0.jpg").source is Source.MEMO
    clock.tick(301)
    for _ in range(2):
        found = chain.resolve("d0/0.jpg")
        assert found.source is Source.GRACE
        assert found.source == "grace"
        assert (found.index, found.backend, found.held) == (1, "s3", True)
        nearer, holder = found.trail
        assert (nearer.outcome, nearer.remembered) == (ABSENT, False)
        assert (holder.outcome, holder.remembered) == (HELD, True)
        assert isinstance(holder.exception, ConnectionError)
        assert "secret" not in repr(found.trail)
    (again,) = chain.resolve_many(["d0/0.jpg"]).values()
    assert (again.source, str(again.trail)) == (Source.GRACE, str(found.trail))


def test_many_at_once(local, s3, clock):
    """As one by one; of each name what is known of it."""
    chain = mirror(local, s3)
    chain.resolve_many(PAGE[:50])
    clock.tick(301)
    down(s3)
    found = chain.resolve_many([*PAGE, "a/"])
    assert [found[name].source for name in PAGE[:50]] == [Source.GRACE] * 50
    assert [found[name].index for name in PAGE] == [1] * 50 + [None] * 50
    assert chain.stats()["grace_hits"] == 50
    chain.prefetch(PAGE, complete=True)
    assert chain.exists(PAGE[0])


@pytest.mark.parametrize("strict", [False, True])
def test_the_answer_counts_where_failures_are_raised(local, s3, clock, strict, caplog):
    """It is an answer; that it is an old one is logged, once in a while."""
    chain = mirror(local, s3, strict=strict)
    assert chain.exists(PAGE[0])
    clock.tick(301)
    down(s3)
    caplog.clear()
    assert chain.exists(PAGE[0])
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "ConnectionError" in record.getMessage()
    assert "known before" in record.getMessage()


# Where it is no answer


def test_what_answers_is_believed(local, s3, clock):
    """A backend that says "no", or fails in another way, can be reached."""
    chain = mirror(local, s3)
    page(chain)
    clock.tick(301)
    s3.files.clear()
    assert not chain.exists(PAGE[0])
    down(s3, PermissionError("403"))
    assert not chain.exists(PAGE[1])
    down(s3)
    assert not chain.exists(PAGE[0])
    assert chain.exists(PAGE[1])
    assert chain.stats()["grace_hits"] == 1


def test_the_memo_is_asked_only_where_it_may_help(local, s3, clock, monkeypatch):
    """A shared one costs a round trip."""
    asked = []
    look_up_held = SharedStore.look_up_held

    def noting(store, names):
        asked.append(list(names))
        return look_up_held(store, names)

    monkeypatch.setattr(SharedStore, "look_up_held", noting)
    chain = mirror(local, s3, SHARED)
    page(chain)
    chain.exists("new")
    clock.tick(301)
    page(chain)
    clock.tick(301)
    down(s3, PermissionError("403"))
    page(chain)
    chain.resolve_many(PAGE)
    assert asked == []
    down(s3)
    chain.exists(PAGE[0])
    chain.resolve_many(PAGE)
    assert asked == [[PAGE[0]], PAGE]


def test_nothing_is_known_of_what_nobody_held(local, s3, clock):
    """Also if that was remembered."""
    chain = mirror(local, s3)
    assert not chain.exists("new")
    s3.files["new"] = b"x"
    assert not chain.exists("new")
    clock.tick(6)
    down(s3)
    found = chain.resolve("new")
    assert (found.held, found.source) == (None, Source.PROBE)
    assert chain.stats()["grace_hits"] == 0


@pytest.mark.parametrize("error", [None, ConnectionError])
@pytest.mark.parametrize("cache", [None, SHARED], ids=["memory", "shared"])
def test_a_deleted_name_stays_deleted(local, s3, clock, cache, error):
    """Before the outage, or in it (then nobody knows whether it is); by another instance."""
    chain = FallbackStorage([entry(local, "local"), entry(s3)], cache)
    other = FallbackStorage([entry(local, "local"), entry(s3)], cache, on_delete="all")
    assert chain.exists(PAGE[0])
    clock.tick(301)
    if error:
        down(s3)
        with pytest.raises((ConnectionError, AllBackendsFailed)):
            other.delete(PAGE[0])
    else:
        other.delete(PAGE[0])
        down(s3)
    assert not chain.exists(PAGE[0])
    assert chain.resolve(PAGE[0]).held is None
    assert chain.stats()["grace_hits"] == 0


def test_a_hidden_name_stays_hidden(local, s3, clock):
    """A whiteout is an answer, also one that another process made."""
    chain = mirror(local, s3, on_delete="whiteout")
    page(chain, PAGE[:2])
    chain.delete(PAGE[0])
    local.save(f".fallback-whiteouts/1/{PAGE[1]}", ContentFile(b""))
    clock.tick(301)
    down(s3)
    for name in PAGE[:2]:
        assert not chain.exists(name)
        assert chain.url(name) == local.url(name)


def test_no_file_is_opened_or_measured_by_it(local, s3, clock):
    """Whose turn it is does not depend on it; what a backend raises is raised."""
    chain = mirror(local, s3)
    page(chain, PAGE[:1])
    clock.tick(301)
    local.save(PAGE[0], ContentFile(b"new"))
    down(s3)
    assert read(chain, PAGE[0]) == b"new"
    for operation in (chain.open, chain.size):
        with pytest.raises(ConnectionError):
            operation(PAGE[1])
    assert chain.stats()["grace_hits"] == 0


def test_the_path_in_a_mount_that_is_away(local, tmp_path, clock):
    """Is that of before; nobody looks whether the file is there."""

    class Mount(FileSystemStorage):
        is_away = False

        def exists(self, name):
            if self.is_away:
                raise TimeoutError
            return super().exists(name)

    mount = Mount(tmp_path / "mount")
    mount.save("a.jpg", ContentFile(b"x"))
    entries = [entry(local, "local"), entry(mount, "mount", READ_ONLY=True)]
    chain = FallbackStorage(entries)
    assert chain.path("a.jpg") == mount.path("a.jpg")
    clock.tick(301)
    mount.is_away = True
    assert chain.path("a.jpg") == mount.path("a.jpg")
    assert chain.stats()["grace_hits"] == 1
    with pytest.raises(TimeoutError):
        chain.path("unknown.jpg")


def test_it_decides_no_name(local, s3, clock):
    """Whether a name is free is asked, and never remembered."""
    chain = mirror(local, s3)
    page(chain, PAGE[:1])
    clock.tick(301)
    down(s3)
    before = chain.stats()["grace_hits"]
    with suppress(ConnectionError):
        chain.is_name_available(PAGE[0])
    chain.save("new", ContentFile(b"x"))
    assert chain.stats()["grace_hits"] == before


def test_nothing_of_it_is_remembered(local, s3, clock):
    """When the backend is back, it is asked."""
    chain = mirror(local, s3)
    page(chain)
    clock.tick(301)
    down(s3)
    page(chain)
    s3.heal()
    s3.files.clear()
    clock.tick(2 * RETRY_AFTER)
    assert not any(exists for _, exists in page(chain))


def test_a_local_file_is_looked_at(local, s3, clock):
    """A directory can always be reached: what is not there has gone."""
    chain = mirror(local, s3)
    local.save("a", ContentFile(b"x"))
    assert chain.exists("a")
    clock.tick(301)
    local.delete("a")
    down(s3)
    assert not chain.exists("a")


def test_no_grace(local, s3, clock):
    """0 is as it was."""
    chain = mirror(local, s3, {"GRACE": 0})
    page(chain)
    clock.tick(301)
    down(s3)
    assert not any(exists for _, exists in page(chain))
    assert chain.stats()["grace_hits"] == 0
    assert chain.stats()["entries"] == 100  # not one is over


def test_what_is_always_asked_is_never_remembered(local, s3, clock):
    """ALWAYS_PROBE says so."""
    s3_too = entry(s3, ALWAYS_PROBE=True, READ_ONLY=True)
    chain = FallbackStorage([entry(local, "local"), s3_too])
    assert chain.exists(PAGE[0])
    clock.tick(301)
    down(s3)
    assert not chain.exists(PAGE[0])


def test_for_what_is_always_asked_the_memo_does_not_answer(s3, clock):
    """Also not that it holds no such file: that is not known now."""
    front = Bucket("front")
    first = entry(front, READ_ONLY=True, ALWAYS_PROBE=True)
    chain = FallbackStorage([first, entry(s3, READ_ONLY=True)])
    assert chain.exists(PAGE[0])
    clock.tick(301)
    down(s3)
    down(front)
    found = chain.resolve(PAGE[0])
    assert [str(line) for line in found.trail] == [
        "front: failed (ConnectionError)",
        "s3: held (ConnectionError)",
    ]


@pytest.mark.parametrize(
    ("cache", "there"), [(None, False), (SHARED, True)], ids=["memory", "shared"]
)
def test_of_what_others_may_write_only_a_shared_memo_knows(
    local, s3, clock, cache, there
):
    """Another process may have deleted it: memory that is not shared would not know."""
    chain = FallbackStorage([entry(local, "local"), entry(s3)], cache)
    assert chain.exists(PAGE[0])
    clock.tick(301)
    down(s3)
    assert chain.exists(PAGE[0]) is there
    assert chain.stats()["grace_hits"] == there


def test_in_memory_it_depends_on_the_backend(s3, clock):
    """One may be written to by others, the other one is only read."""
    front = Bucket("front", {"ours": b"x"})
    chain = FallbackStorage([entry(front), entry(s3, READ_ONLY=True)])
    assert chain.exists("ours")
    assert chain.exists(PAGE[0])
    clock.tick(301)
    down(front)
    down(s3)
    with pytest.raises(AllBackendsFailed):
        chain.exists("ours")
    assert chain.exists(PAGE[0])


# Longer chains


@pytest.fixture
def three(clock):
    front, middle, back = (Bucket(label) for label in ("front", "middle", "back"))
    chain = FallbackStorage(
        [entry(front), entry(middle, READ_ONLY=True), entry(back, READ_ONLY=True)]
    )
    middle.files["a"] = b"x"
    page(chain, ["a"])
    clock.tick(301)
    return chain, front, middle, back


def test_who_is_silent_above_the_holder_held_nothing(three):
    """That was known as well."""
    chain, front, middle, _ = three
    down(front)
    down(middle)
    found = chain.resolve("a")
    assert [(a.outcome, a.by_grace) for a in found.trail] == [
        (ABSENT, True),
        (HELD, True),
    ]
    assert chain.url("a") == middle.url("a")


def test_a_holder_that_answers_needs_no_grace(three):
    """Above it somebody is silent: that is logged, as ever."""
    chain, front, middle, _ = three
    down(front)
    found = chain.resolve("a")
    assert found.source is Source.PROBE
    assert [a.outcome for a in found.trail] == [FAILED, HELD]
    middle.files.clear()
    assert not chain.exists("a")
    assert chain.stats()["grace_hits"] == 0


def test_a_replica_answers_before_what_is_remembered(three):
    """Its file can be had. Else the URL is as before."""
    chain, _, middle, back = three
    down(middle)
    assert chain.url("a") == middle.url("a")
    back.files["a"] = b"x"
    assert chain.exists("a")
    assert chain.resolve("a").backend == "back"
    assert chain.url("a") == back.url("a")
    assert read(chain, "a") == b"x"


def test_a_chain_does_not_tell_it_to_one_around_it(local, s3, clock):
    """Which would remember it as if it had been asked."""
    inner = mirror(local, s3)
    front = Bucket("front")
    outer = FallbackStorage([entry(front), entry(inner, "inner", READ_ONLY=True)])
    page(inner)
    clock.tick(301)
    down(s3)
    assert inner.exists(PAGE[0])
    assert not outer.exists(PAGE[0])  # it never knew
    s3.heal()
    page(outer)
    clock.tick(301)
    down(s3)
    assert outer.exists(PAGE[0])
    s3.heal()
    s3.files.clear()
    assert not outer.exists(PAGE[0])


# In a shared cache


@pytest.fixture
def one_request():
    """A test is a request of its own; see ``cache.snapshots``."""
    snapshots.end()
    yield
    snapshots.end()


def known_to_one_batch(chain, calls):
    """Check a page in an outage: a batch asks the memo, and nothing else does.

    Half of the names were held before. ``calls`` returns those of the memo's store since
    the last time.
    """
    chain.prefetch(PAGE, complete=True)
    assert calls()
    found = [chain.exists(name) for name in PAGE]
    assert all(chain.url(name) for name in PAGE)
    assert chain.resolve(PAGE[0]).source is Source.GRACE
    assert calls() == []
    assert found == 50 * [True] + 50 * [False]
    chain.forget(PAGE[0])
    assert not chain.exists(PAGE[0])
    snapshots.end()
    calls()
    assert chain.exists(PAGE[1])
    assert calls()


def test_what_a_batch_learned_of_it_is_known_in_its_request(
    local, s3, clock, monkeypatch, one_request
):
    """Also that there is nothing to know; a shared memo is not asked for each name."""
    chain, calls = mirror(local, s3, SHARED), []
    page(chain, PAGE[:50])
    for method in ("look_up", "look_up_one", "look_up_held", "fill", "fill_many"):
        monkeypatch.setattr(SharedStore, method, noting(method, calls))
    clock.tick(301)
    down(s3)

    def made():
        found = list(calls)
        calls.clear()
        return found

    known_to_one_batch(chain, made)
    s3.heal()
    clock.tick(2 * RETRY_AFTER)
    chain.prefetch(PAGE, complete=True)
    assert all(chain.exists(name) for name in PAGE)


def noting(method, calls):
    """Return a method of ``SharedStore`` that notes its calls."""
    original = getattr(SharedStore, method)

    def noted(store, *args):
        calls.append(method)
        return original(store, *args)

    return noted


def shared(settings, valkey, near):
    """Return the memo's configuration, in a server of its own."""
    backend = "django.core.cache.backends.redis.RedisCache"
    settings.CACHES = {"media": {"BACKEND": backend, "LOCATION": valkey.url}}
    return {"ALIAS": "media", "NEAR": near}


@pytest.mark.slow
@pytest.mark.parametrize("near", [False, True])
def test_a_batch_in_an_outage_is_all_that_a_server_is_asked(
    local, s3, settings, valkey, near, one_request
):
    redis = pytest.importorskip("redis")
    cache = shared(settings, valkey, near)
    page(mirror(local, s3, cache), PAGE[:50])
    close_shared_stores()
    with redis.Redis(port=valkey.port) as client:
        age_redis(client, 301)
        down(s3)
        chain = mirror(local, s3, cache)
        chain.exists(PAGE[0])  # connected, and its scripts are there

        def commands():
            found = client.info("commandstats")
            client.config_resetstat()
            names = [name.removeprefix("cmdstat_") for name in found]
            return [name for name in names if name in ASKED]

        commands()
        known_to_one_batch(chain, commands)


@pytest.mark.slow
@pytest.mark.parametrize("near", [False, True])
def test_what_one_process_knew_helps_another(local, s3, settings, valkey, near, clock):
    """Every process that asks the same server; nothing is said of it in Python's memory."""
    redis = pytest.importorskip("redis")
    cache = shared(settings, valkey, near)
    assert page(mirror(local, s3, cache), PAGE[:10])
    close_shared_stores()
    with redis.Redis(port=valkey.port) as client:
        age_redis(client, 12 * 3600)
        down(s3)
        chain = mirror(local, s3, cache)
        for _ in range(2):
            assert all(exists for _, exists in page(chain, PAGE[:10]))
        assert chain.stats()["grace_hits"] == 20
        s3.heal()
        clock.tick(2 * RETRY_AFTER)
        assert chain.exists(PAGE[0])
        s3.files.clear()
        assert chain.exists(PAGE[0])  # by a fresh entry
        age_redis(client, 301)
        chain.forget(PAGE[1])
        down(s3)
        assert not chain.exists(PAGE[1])
    close_shared_stores()
