"""Filling the memo from listings: what is known afterwards, and what must not be."""

from __future__ import annotations

import itertools
import time

import pytest
from django.core.files.base import ContentFile
from fakes import RecordingStorage

from fallback_storage.cache.stores import leases, local
from fallback_storage.cache.stores.base import EVERY
from fallback_storage.chain import listing
from fallback_storage.chain.outcomes import Outcome, Source
from fallback_storage.jobs import warm as warming
from fallback_storage.jobs.pace import Pace
from fallback_storage.jobs.warm import MemoUnavailableError, Progress, warm
from fallback_storage.storage import FallbackStorage


def itself(storage):
    return storage


def entry(storage, **policy):
    return {
        "BACKEND": f"{__name__}.itself",
        "OPTIONS": {"storage": storage},
        "NAME": storage.label,
        **policy,
    }


def holding(label, *names):
    return RecordingStorage(label, dict.fromkeys(names, label.encode()))


def finish(progress):
    """Return the last of it."""
    *_, last = progress
    return last


def reset(*backends):
    for backend in backends:
        backend.reset()


@pytest.fixture(
    params=[
        "in process",
        "shared",
        pytest.param("redis", marks=pytest.mark.slow),
        pytest.param("near", marks=pytest.mark.slow),
    ]
)
def cache(request, settings):
    if request.param == "in process":
        return None
    backends = "django.core.cache.backends"
    locmem = {
        "BACKEND": f"{backends}.locmem.LocMemCache",
        "LOCATION": request.node.name,
    }
    settings.CACHES = {"memo": locmem}
    if request.param == "shared":
        return "memo"
    valkey = request.getfixturevalue("valkey")
    redis = {"BACKEND": f"{backends}.redis.RedisCache", "LOCATION": valkey.url}
    settings.CACHES = {"memo": redis}
    return {"ALIAS": "memo", "NEAR": request.param == "near"}


@pytest.fixture
def shared(request, settings):
    """A memo in which every name has a lease of its own."""
    backend = "django.core.cache.backends.locmem.LocMemCache"
    memo = {"BACKEND": backend, "LOCATION": request.node.name}
    settings.CACHES = {"memo": memo}
    return "memo"


@pytest.fixture
def small_pages(monkeypatch):
    monkeypatch.setattr(listing, "PAGE_SIZE", 3)


# What is known afterwards


def test_nobody_is_asked_afterwards(cache, small_pages):
    first, second = holding("first", "a", "d/b"), holding("second", "d/c", "d/e/f", "a")
    storage = FallbackStorage([first, second], cache=cache)
    done = finish(warm(storage))
    assert (done.names, done.filled, done.known) == (5, 4, 1)
    reset(first, second)
    assert all(map(storage.exists, ["a", "d/b", "d/c", "d/e/f"]))
    assert storage.url("d/c") == "https://second.example/d/c"
    assert first.count("exists") == second.count("exists") == 0


@pytest.mark.parametrize("length", [1, 2, 3])
def test_it_is_what_a_walk_finds(length):
    """Every way that a name can be held, in chains of every mixture of policies."""
    held = list(itertools.product([False, True], repeat=length))
    names = [f"d{number % 2}/{number}" for number in range(len(held))]
    policies = [{}, {"READ_ONLY": True}, {"ALWAYS_PROBE": True}]
    for mixture in itertools.product(policies, repeat=length):
        backends = []
        for index, policy in enumerate(mixture):
            there = [
                name for name, flags in zip(names, held, strict=True) if flags[index]
            ]
            backends.append(entry(holding(f"b{index}", *there), **policy))
        hides = {} in mixture and {"READ_ONLY": True} in mixture
        on_delete = "whiteout" if hides else "first"
        storage = FallbackStorage(backends, on_delete=on_delete)
        oracle = FallbackStorage(backends, on_delete=on_delete, cache=False)
        if hides:
            oracle.delete(names[-1])  # held by all; now by what is not read-only
        finish(warm(storage))
        for name in names:
            found, truth = storage.resolve(name), oracle.resolve(name)
            assert (found.backend, found.held) == (truth.backend, truth.held), mixture
            # A live backend above is asked every time; nothing else is.
            if {"ALWAYS_PROBE": True} not in mixture and truth.held:
                assert found.source is Source.MEMO, (mixture, name)


def test_the_backends_above_are_asked_once(cache):
    first, second = holding("first", "a"), holding("second", "a", "b")
    storage = FallbackStorage([entry(first), entry(second)], cache=cache)
    finish(warm(storage, backend="second"))
    assert first.count("exists") == 2
    assert second.counts() == {"listdir": 1}
    reset(first, second)
    assert storage.resolve("a").backend == first.label
    assert storage.resolve("b").backend == second.label
    assert first.count("exists") == second.count("exists") == 0


def test_what_is_known_is_asked_for_again(cache):
    """Also what is known in part, and what is wrong by now."""
    first, second = holding("first"), holding("second", "a", "b", "c")
    storage = FallbackStorage([entry(first), entry(second)], cache=cache)
    assert storage.exists("a")
    storage.url("b")  # learns: not in the first
    assert storage.exists("c")
    first.files["c"] = b""
    assert finish(warm(storage, backend="second")).filled == 3
    reset(first, second)
    found = [storage.resolve(name).backend for name in "abc"]
    assert found == ["second", "second", "first"]
    assert not first.calls + second.calls


def test_a_page_that_is_known_in_part(cache, monkeypatch):
    """In process, leases of the other names are voided with those of the known ones."""
    for module in (leases, local):
        monkeypatch.setattr(module, "GROUPS", 1)
    storage = FallbackStorage([holding("first", *"abc")], cache=cache)
    storage.exists("b")
    assert finish(warm(storage)).filled == 3


def test_what_a_backend_holds_that_was_listed_before_is_left_alone(cache):
    first, second = holding("first", "a", "b"), holding("second", "a", "b", "c")
    storage = FallbackStorage([entry(first), entry(second)], cache=cache)
    for _ in range(2):
        reset(first, second)
        done = finish(warm(storage))
        assert done == Progress("second", "c", 5, 3, 2)
        assert {path for call, path in first.calls if call == "exists"} == {"c"}
    done = finish(warm(storage, backend="second"))
    assert (done.filled, done.known) == (3, 0)
    done = finish(warm(storage, backend="second", listed=["first"]))
    assert (done.filled, done.known) == (1, 2)


HOUR = 3600


@pytest.mark.parametrize("cache", ["in process", "shared"], indirect=True)
def test_a_warm_up_in_time_keeps_all_names_known(cache, clock, monkeypatch):
    """For longer than anything lives that a store keeps beside an entry."""
    monkeypatch.setattr(FallbackStorage, "clock", clock)
    # What locmem asks. It begins to move now, and not in 1970.
    begin, now = clock.now, time.time()
    monkeypatch.setattr(time, "time", lambda: now + clock.now - begin)
    first, second = holding("first", "a"), holding("second", "a", "b", "c")
    ttl = {"TTL": 25 * HOUR}
    cache = ttl if cache is None else {"ALIAS": cache, **ttl}
    storage = FallbackStorage([first, second], cache=cache)
    storage.url("c")
    for _ in range(10):
        clock.tick(12 * HOUR)
        finish(warm(storage))
        reset(first, second)
        for _ in range(2):
            clock.tick(6 * HOUR)
            assert all(map(storage.exists, "abc"))
        clock.tick(12 * HOUR)
        assert all(map(storage.exists, "abc"))
        assert not first.calls + second.calls


@pytest.mark.slow
@pytest.mark.parametrize("cache", ["redis", "near"], indirect=True)
def test_a_server_keeps_what_is_renewed_for_a_full_ttl(cache, valkey):
    first = holding("first", "a")
    storage = FallbackStorage([first], cache={**cache, "TTL": 25 * HOUR})
    finish(warm(storage))
    client = storage._get_engine().memo.store._store
    client = getattr(client, "_far", client).client
    for key in client.scan_iter(match="*a"):
        assert client.expire(key, HOUR)
    finish(warm(storage))
    assert storage._get_engine().memo.seconds_left("a") > 24 * HOUR


def test_nothing_is_forgotten_while_one_above_cannot_be_asked(cache):
    """The memo is needed most while that is so."""
    first, second = holding("first"), holding("second", "a", "b", "c")
    storage = FallbackStorage([entry(first), entry(second)], cache=cache)
    assert storage.exists("a")
    assert storage.exists("b")
    first.fail("exists")
    done = finish(warm(storage, backend="second"))
    assert (done.filled, done.known, done.unsure) == (0, 0, 3)
    assert done.trouble == "first: failed (ConnectionError)"
    reset(first, second)
    assert storage.resolve("a").source is Source.MEMO
    assert storage.resolve("b").source is Source.MEMO
    assert not first.calls + second.calls


def test_a_hidden_file_is_not_remembered(cache):
    home, production = holding("home"), holding("production", "a", "b")
    chain = [entry(home), entry(production, READ_ONLY=True)]
    storage = FallbackStorage(chain, cache=cache, on_delete="whiteout")
    storage.delete("a")
    done = finish(warm(storage))
    assert (done.names, done.filled, done.unsure) == (2, 1, 0)
    assert not storage.exists("a")
    assert storage.exists("b")


@pytest.mark.parametrize(
    ("fails", "trouble"),
    [("first", "first: failed (ConnectionError)"), ("third", "")],
)
def test_a_backend_that_fails(cache, fails, trouble):
    """Nothing is remembered of names for which one above could not be asked."""
    backends = {label: holding(label) for label in ("first", "second", "third")}
    backends["second"].files["a"] = b""
    storage = FallbackStorage([entry(each) for each in backends.values()], cache=cache)
    backends[fails].fail("exists")
    done = finish(warm(storage, backend="second"))
    assert (done.unsure, done.trouble) == (1 if trouble else 0, trouble)
    assert done.filled == (0 if trouble else 1)
    backends["first"].heal()
    backends["first"].files["a"] = b""
    assert storage.resolve("a").backend == ("first" if trouble else "second")


def test_whiteouts_that_cannot_be_read(cache):
    home, production = holding("home"), holding("production", "a")
    chain = [entry(home), entry(production, READ_ONLY=True)]
    storage = FallbackStorage(chain, cache=cache, on_delete="whiteout")
    storage.delete("a")
    home.before("exists", lambda name: _refuse(name.startswith(".fallback")))
    done = finish(warm(storage))
    assert (done.filled, done.unsure) == (0, 1)
    assert done.trouble
    home.before("exists", lambda name: None)
    assert not storage.exists("a")


def _refuse(refused):
    if refused:
        raise ConnectionError("down")


def test_a_backend_that_cannot_be_asked_above():
    first = RecordingStorage("first", unsupported=["exists"])
    storage = FallbackStorage([entry(first), entry(holding("second", "a"))])
    done = finish(warm(storage, backend="second"))
    assert (done.filled, done.trouble) == (
        0,
        "first: unsupported (NotImplementedError)",
    )


# What is listed


def test_progress(small_pages):
    storage = FallbackStorage(
        [entry(holding("first", "1")), entry(holding("second", *"abcd"))]
    )
    assert list(warm(storage)) == [
        Progress("first", ""),
        Progress("first", "1", 1, 1),
        Progress("second", "", 1, 1),
        Progress("second", "c", 4, 4),
        Progress("second", "d", 5, 5),
    ]


def test_one_directory_of_one_backend():
    first, second = holding("first", "d/a"), holding("second", "d/b", "d/e/c", "x")
    storage = FallbackStorage([entry(first), entry(second)])
    done = finish(warm(storage, "./d/", backend="second"))
    assert done == Progress("second", "d/e/c", 2, 2)
    assert first.count("listdir") == 0


def test_it_goes_on_after_a_name():
    """In the first backend; all others are listed from their beginning."""
    storage = FallbackStorage(
        [entry(holding("first", *"abc")), entry(holding("s", *"ax"))]
    )
    done = finish(warm(storage, after="./b"))
    assert (done.names, done.known) == (3, 0)
    assert [storage.resolve(name).source is Source.MEMO for name in "abcx"] == [
        True, False, True, True,
    ]  # fmt: skip


def test_it_is_read_page_by_page(small_pages):
    """A directory is listed when its files are wanted, not before."""
    second = holding("second", *(f"{n}/{name}" for n in range(3) for name in "abc"))
    progress = warm(FallbackStorage([second]))
    seen = []
    for _ in range(3):
        next(progress)
        seen.append([path for method, path in second.calls if method == "listdir"])
    assert seen == [[], ["", "0"], ["", "0", "1"]]


@pytest.mark.parametrize("options", [{"cache": False}, {"cache": {"TTL": 0}}], ids=str)
def test_without_a_memo(options):
    backend = holding("first", "a")
    with pytest.raises(MemoUnavailableError):
        next(warm(FallbackStorage([backend], **options)))
    assert not backend.calls


def test_an_unknown_backend():
    storage = FallbackStorage([entry(holding("first")), entry(holding("second"))])
    with pytest.raises(ValueError, match="'third', but: first, second"):
        next(warm(storage, backend="third"))


def test_a_listing_that_fails(small_pages):
    second = holding("second", "a", "d/b")
    storage = FallbackStorage([second])
    progress = warm(storage)
    second.before("listdir", lambda path: _refuse(path == "d"))
    with pytest.raises(ConnectionError):
        finish(progress)


# A cache that does not answer


def test_a_cache_that_is_down(settings, valkey):
    backend = "django.core.cache.backends.redis.RedisCache"
    settings.CACHES = {"memo": {"BACKEND": backend, "LOCATION": valkey.url}}
    first = holding("first", "a")
    storage = FallbackStorage([first], cache="memo")
    valkey.kill()
    with pytest.raises(MemoUnavailableError, match="does not answer"):
        finish(warm(storage))


def test_a_cache_that_goes_down_meanwhile(settings, valkey, small_pages):
    """Nothing else is listed in vain."""
    backend = "django.core.cache.backends.redis.RedisCache"
    settings.CACHES = {"memo": {"BACKEND": backend, "LOCATION": valkey.url}}
    first = holding("first", "1/a", "1/b", "1/c", "2/d", "2/e", "2/f", "3/g")
    storage = FallbackStorage([first], cache="memo")
    progress = warm(storage)
    assert [next(progress).filled for _ in range(2)] == [0, 3]
    valkey.kill()
    with pytest.raises(MemoUnavailableError):
        finish(progress)
    assert ("listdir", "3") not in first.calls


def test_a_cache_that_has_one_bad_moment():
    storage = FallbackStorage([holding("first", "a")])
    memo = storage._get_engine().memo
    own, answers = memo.look_up, [(None, None)] * (warming.ATTEMPTS - 1)
    memo.look_up = lambda name: answers.pop() if answers else own(name)
    assert finish(warm(storage)).filled == 1
    answers += [(None, None)] * warming.ATTEMPTS
    with pytest.raises(MemoUnavailableError):
        finish(warm(storage))


def test_how_often_the_memo_is_asked():
    """Of a page: a cold one pays nothing for what others need to be renewed."""
    storage = FallbackStorage([holding("first", "a", "b")])
    memo, asked = storage._get_engine().memo, []

    def watch(method):
        own = getattr(memo, method)

        def call(*args):
            asked.append(method)
            return own(*args)

        setattr(memo, method, call)

    for method in ("look_up", "look_up_many", "forget", "fill_many"):
        watch(method)
    assert finish(warm(storage)).filled == 2
    assert asked == ["look_up", "look_up_many", "look_up", "fill_many"]
    asked.clear()
    assert finish(warm(storage)).filled == 2
    assert asked == [
        "look_up", "look_up_many", "forget", "look_up_many", "look_up", "fill_many",
    ]  # fmt: skip
    asked.clear()
    assert finish(warm(storage, listed=[storage.backends[0].name])).known == 2
    assert asked == ["look_up", "look_up_many"]


# Writes meanwhile


class Window(RecordingStorage):
    """Calls ``then`` when a listing has been read, before anybody sees it."""

    def then(self):
        pass

    def listdir(self, path):
        found = super().listdir(path)
        self.then()
        return found


def _at_listing(storage, first, second, act):
    second.before("listdir", lambda path: act())


def _at_listed(storage, first, second, act):
    second.then = act


def _at_probes(storage, first, second, act):
    first.before("exists", lambda name: act())


def _at_memo(method):
    def arrange(storage, first, second, act):
        memo = storage._get_engine().memo
        own = getattr(memo, method)

        def call(*args):
            act()
            return own(*args)

        setattr(memo, method, call)

    return arrange


MOMENTS = {
    "before the listing": _at_listing,
    "when it was read": _at_listed,
    "before the leases": _at_memo("look_up_many"),
    "before it is forgotten": _at_memo("forget"),
    "while those above are asked": _at_probes,
    "before the marker": _at_memo("look_up"),
    "before the fill": _at_memo("fill_many"),
}
WRITES = {
    "delete": lambda writer: writer.delete("d/b"),
    "delete and save another": lambda writer: (
        writer.delete("d/b"), writer.save("d/z", ContentFile(b"z")),
    ),
    "delete and save again": lambda writer: (
        writer.delete("d/b"), writer.save("d/b", ContentFile(b"new")),
    ),
}  # fmt: skip


@pytest.mark.parametrize("known", [False, True], ids=["cold", "known"])
@pytest.mark.parametrize("times", [1, 99], ids=["once", "every time"])
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
def test_nothing_stale_is_remembered(cache, small_pages, moment, write, times, known):
    first, second = holding("first"), Window("second")
    for name in ("d/a", "d/b", "d/c", "e", "f"):
        second.files[name] = b""
    chain = [entry(first), entry(second)]
    # What deletes from the second: the first, which comes first, holds nothing.
    writer = FallbackStorage(chain, cache=cache, on_delete="all")
    storage = FallbackStorage(chain, cache=cache)
    if known:
        finish(warm(storage))
    left = times
    busy = False

    def act():
        nonlocal left, busy
        if left and not busy:
            left, busy = left - 1, True
            write(writer)
            busy = False

    moment(storage, first, second, act)
    done = finish(warm(storage, backend="second"))
    left = 0
    assert done.after == "f"
    oracle = FallbackStorage(chain, cache=False)
    for name in ("d/a", "d/b", "d/c", "d/z", "e", "f"):
        assert storage.resolve(name).backend == oracle.resolve(name).backend
    if cache is None:
        return  # there, names share leases: others may have been voided with them
    # And the others are known, whatever was written.
    reset(first, second)
    assert all(map(storage.exists, ("d/a", "e", "f")))
    assert not first.calls + second.calls


def test_a_page_is_read_twice_at_the_most(small_pages, shared):
    """However often something is written, and from where it begins only."""
    second = Window("second", dict.fromkeys(("1/a", "1/b", "1/c", "2/d", "2/e", "3/f")))
    storage = FallbackStorage([second], cache=shared)
    other = FallbackStorage([holding("other")])
    second.then = lambda: other.forget("anything")
    done = finish(warm(storage))
    assert (done.names, done.filled) == (6, 6)
    assert [path for _, path in second.calls] == [
        "", "1", "", "1", "2", "3", "", "1", "2", "3",
    ]  # fmt: skip


def test_a_name_that_is_gone_when_its_page_is_read_again(shared):
    second = Window("second", dict.fromkeys("ab"))
    storage, writer = (FallbackStorage([second], cache=shared) for _ in range(2))
    second.then = lambda: writer.delete("b")
    done = finish(warm(storage))
    assert (done.names, done.filled, done.after) == (1, 1, "a")


def test_a_quiet_page_is_read_once(cache, small_pages, monkeypatch):
    """Whether it was known or not: what is forgotten by us is no write."""
    for module in (leases, local):
        monkeypatch.setattr(module, "GROUPS", 1)
    second = holding("second", "1/a", "1/b", "1/c", "2/d")
    storage = FallbackStorage([second], cache=cache)
    for _ in range(2):
        second.reset()
        assert finish(warm(storage)).filled == 4
        assert [path for _, path in second.calls] == ["", "1", "2"]


def test_the_marker_is_no_name():
    """It is looked up, and never filled."""
    storage = FallbackStorage([holding("first", "a")])
    finish(warm(storage))
    memo = storage._get_engine().memo
    assert memo.peek("a") is not None
    assert memo.peek(EVERY) is None


# How much at once


def test_a_slow_cache_gets_fewer_names_at_a_time(monkeypatch):
    now = 0.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    pace, names = Pace(), [str(number) for number in range(5000)]

    def sizes(seconds):
        nonlocal now
        found = []
        for part in pace.parts(names):
            found.append(len(part))
            now += seconds
        return found

    assert sizes(0.001)[:5] == [100, 200, 400, 500, 500]
    assert sizes(0.02)[:2] == [500, 500]
    assert sizes(1.0)[:8] == [500, 250, 125, 62, 31, 15, 10, 10]
    assert sum(sizes(0.001)) == 5000


# Flat listings


def test_an_s3_server(s3, s3_proxy, media_root, cache):
    """One request for a page, and none afterwards."""
    module = pytest.importorskip("storages.backends.s3")
    names = ["a.jpg", "d/b.jpg", "d/c.jpg"]
    for name in names:
        s3.put(name, b"x")
    options = s3.storage_options(endpoint_url=s3_proxy.endpoint_url)
    local = "django.core.files.storage.FileSystemStorage"
    storage = FallbackStorage([local, module.S3Storage(**options)], cache=cache)
    assert finish(warm(storage)).filled == 3
    assert s3_proxy.count() == 1
    assert all(map(storage.exists, names))
    for name in names:
        attempt = storage.resolve(name).trail[-1]
        assert (attempt.outcome, attempt.remembered) == (Outcome.HELD, True)
    assert s3_proxy.count() == 1
