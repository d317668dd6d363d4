"""Sizes and times that are remembered: never where, or when, they may be wrong."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta, timezone

import pytest
from aging import SharedStore, age_redis
from caches import RecordingCache
from clocks import ManualClock
from django.core.cache import caches
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from django.test import override_settings
from django.utils import timezone as django_timezone
from fakes import RecordingStorage
from hypothesis import given
from hypothesis import strategies as st
from proofs import searching

from fallback_storage.cache.entry import Noted, facts_of, from_, held, noted
from fallback_storage.chain import facts
from fallback_storage.chain.profiles import PROFILES, profile_of
from fallback_storage.jobs.prune import Pruning
from fallback_storage.jobs.prune import Result as Pruned
from fallback_storage.jobs.sync import Result, sync
from fallback_storage.signals import resolved
from fallback_storage.storage import FallbackStorage

NAMES = [f"d/{number}" for number in range(50)]
BEFORE = datetime(2026, 2, 3, 4, 5, 6, 789, tzinfo=UTC)
AFTER = datetime(2026, 7, 8, 9, 10, 11, tzinfo=UTC)
ASKING = ("size", "get_modified_time")


class Production(RecordingStorage):
    """A bucket whose files have the time at which it is said to be."""

    now = BEFORE

    def get_modified_time(self, name):
        self._time("get_modified_time", name)
        return self.now

    def change(self, name="a", content=b"longer than before"):
        """What its owner does, behind the back of the memo."""
        self.files[name], self.now = content, AFTER


class Chain(FallbackStorage):
    clock = ManualClock()


def itself(storage):
    return storage


def entry(storage, **policy):
    return {
        "BACKEND": f"{__name__}.itself",
        "OPTIONS": {"storage": storage},
        "NAME": getattr(storage, "label", "local"),
        "READ_ONLY": True,
        "PROFILE": {"KEEPS_FACTS": True},
        **policy,
    }


def told(chain, name="a"):
    return chain.size(name), chain.get_modified_time(name)


def asked(storage):
    counts = storage.counts()
    storage.reset()
    return tuple(counts[method] for method in ASKING)


@pytest.fixture
def production():
    return Production("production", {"a": b"short", **dict.fromkeys(NAMES, b"x")})


@pytest.fixture(
    params=[
        "process",
        "alias",
        "store",
        pytest.param("redis", marks=pytest.mark.slow),
        pytest.param("near", marks=pytest.mark.slow),
        pytest.param("memcached", marks=pytest.mark.slow),
    ]
)
def memo(request, settings):
    """The option ``cache``; and ``memo.tick``."""
    kind = request.param
    Chain.clock = SharedStore.hand = ManualClock()
    tick = Chain.clock.tick
    cache = {}
    if kind == "alias":
        RecordingCache.reset()
        backend = {"BACKEND": "caches.RecordingCache", "LOCATION": request.node.name}
        settings.CACHES = {"memo": backend}
        cache = {"ALIAS": "memo"}
        tick = RecordingCache.tick
    elif kind == "store":
        cache = {"STORE": "aging.SharedStore"}
    elif kind in {"redis", "near"}:
        valkey = request.getfixturevalue("valkey")
        backend = "django.core.cache.backends.redis.RedisCache"
        settings.CACHES = {"memo": {"BACKEND": backend, "LOCATION": valkey.url}}
        cache = {"ALIAS": "memo", "NEAR": kind == "near"}
        redis = pytest.importorskip("redis")

        def tick(seconds):
            Chain.clock.tick(seconds)
            with redis.Redis(port=valkey.port) as client:
                age_redis(client, seconds)

    elif kind == "memcached":
        server = request.getfixturevalue("memcached")
        backend = "django.core.cache.backends.memcached.PyMemcacheCache"
        settings.CACHES = {"memo": {"BACKEND": backend, "LOCATION": server.location}}
        cache = {"ALIAS": "memo"}
        tick = None
    return Memo(kind, cache, tick)


class Memo:
    def __init__(self, kind, cache, tick):
        self.kind = kind
        self.cache = cache
        self._tick = tick

    def tick(self, seconds, monkeypatch):
        if self._tick is None:
            pytest.skip("The server's time is not ours to move.")
        if self.kind == "alias":
            # The entry's own end is the time of day.
            store = "fallback_storage.cache.stores.django_cache.time.time"
            now = __import__("time").time() + RecordingCache.offset + seconds
            monkeypatch.setattr(store, lambda: now)
        self._tick(seconds)

    def chain(self, *entries, **options):
        return Chain(
            list(entries), {**self.cache, **options.pop("cache", {})}, **options
        )


# A warm page


def test_a_page_that_is_warm_makes_no_request(memo, production, tmp_path):
    """One request for each size and each time, then none; by every instance that shares."""
    home = entry(FileSystemStorage(tmp_path), READ_ONLY=False, PROFILE={})
    chain = memo.chain(home, entry(production))
    truth = [told(Chain([entry(production)], cache=False), name) for name in NAMES]
    production.reset()
    assert [told(chain, name) for name in NAMES] == truth
    assert asked(production) == (50, 50)
    readers = [chain]
    if memo.kind != "process":
        readers.append(memo.chain(home, entry(production)))
    for reader in readers:
        assert [told(reader, name) for name in NAMES] == truth
        assert production.calls == []
        reader.prefetch(NAMES, complete=True)
        assert [told(reader, name) for name in NAMES] == truth
        assert production.calls == []


@pytest.mark.parametrize("learn", ["exists", "url", "open", "resolve"])
def test_what_was_learned_before_is_completed(memo, production, learn):
    """Who holds it, then the size, then the time; and nothing that is asked drops them."""
    chain = memo.chain(
        entry(Production("empty")), entry(production), entry(Production("last"))
    )

    def ask():
        found = getattr(chain, learn)("a")
        if learn == "open":
            found.close()

    ask()
    production.reset()
    assert chain.size("a") == 5
    ask()
    assert chain.get_modified_time("a") == BEFORE
    ask()
    assert asked(production) == (1, 1)
    assert told(chain) == (5, BEFORE)
    assert asked(production) == (0, 0)


def test_who_listens_hears_of_a_memory(production):
    """The trail says that the holder was not asked."""
    chain, heard = Chain([entry(production)]), []

    def listen(sender, operation, resolution, **kwargs):
        heard.append((operation, resolution.source, resolution.backend))

    told(chain)
    resolved.connect(listen)
    try:
        told(chain)
    finally:
        resolved.disconnect(listen)
    assert heard == [(method, "memo", "production") for method in ASKING]


# Their end


ENDS = {
    "the lifetime": lambda chain, memo, patch: memo.tick(300, patch),
    "forget": lambda chain, memo, patch: chain.forget("a"),
    "forget_all": lambda chain, memo, patch: chain.forget_all(),
    "a write": lambda chain, memo, patch: Chain(
        [entry(chain.backends[0].storage, READ_ONLY=False)], cache=False
    ).delete("a"),
}


@pytest.mark.parametrize("end", ENDS)
def test_what_ends_the_entry_ends_the_facts(memo, production, end, monkeypatch):
    """Until then the owner's change is not seen, as of any entry; then it is."""
    chain = memo.chain(entry(production))
    assert told(chain) == (5, BEFORE)
    production.change()
    assert told(chain) == (5, BEFORE)
    ENDS[end](chain, memo, monkeypatch)
    production.change()
    assert told(chain) == (18, AFTER)


def test_open_that_misses_the_file_ends_them(memo, production):
    """It is known then that all of it is old."""
    chain = memo.chain(entry(production), entry(Production("below", {"a": b"b"})))
    assert told(chain) == (5, BEFORE)
    del production.files["a"]
    with chain.open("a") as file:
        assert file.read() == b"b"
    assert chain.size("a") == 1


def test_to_learn_one_makes_the_entry_no_younger(memo, production, monkeypatch):
    """What completes an entry ends with it."""
    chain = memo.chain(entry(production))
    assert chain.exists("a")
    memo.tick(200, monkeypatch)
    assert told(chain) == (5, BEFORE)
    production.change()
    memo.tick(150, monkeypatch)
    assert told(chain) == (18, AFTER)


@pytest.mark.parametrize("method", ASKING)
@pytest.mark.parametrize("warm", [False, True])
def test_an_answer_that_is_late_is_not_kept(memo, production, method, warm):
    """A write that is announced while the backend is asked: the answer may be older."""
    chain = memo.chain(entry(production))
    writer = Chain([entry(production, READ_ONLY=False)], cache=False)
    if warm:
        assert chain.exists("a")

    def write(name):
        production.heal()
        production._before.clear()
        with writer.open("a", "wb") as file:
            file.write(b"written meanwhile")
        production.now = AFTER

    production.before(method, write)
    getattr(chain, method)("a")
    assert told(chain) == (17, AFTER)
    production.reset()
    assert told(chain) == (17, AFTER)
    assert asked(production) == (0, 0)


def test_a_live_backend_above_is_asked(production):
    """What it holds by now has another size."""
    live = Production("live")
    chain = Chain([entry(live, ALWAYS_PROBE=True), entry(production)])
    assert told(chain) == (5, BEFORE)
    live.change("a", b"in front")
    assert told(chain) == (8, AFTER)


def test_grace_tells_no_size(production):
    """In an outage what is over is not made up; within the lifetime it is known."""
    chain = Chain([entry(production, RETRY_AFTER=0)], {"GRACE": 1000})
    assert told(chain) == (5, BEFORE)
    for method in ("exists", *ASKING):
        production.fail(method)
    assert told(chain) == (5, BEFORE)
    Chain.clock.tick(300)
    assert chain.exists("a")
    for method in ASKING:
        with pytest.raises(ConnectionError):
            getattr(chain, method)("a")


# Where not


NOWHERE = {
    "FACTS": (lambda storage: entry(storage), {"FACTS": False}),
    "TTL": (lambda storage: entry(storage), {"TTL": 0}),
    "False": (lambda storage: entry(storage), False),
    "written to": (lambda storage: entry(storage, READ_ONLY=False), {}),
    "live": (lambda storage: entry(storage, ALWAYS_PROBE=True), {}),
    "not known": (lambda storage: entry(storage, PROFILE={}), {}),
}


@pytest.mark.parametrize("where", NOWHERE)
def test_where_nothing_is_remembered(production, where):
    """Every question is asked."""
    make, cache = NOWHERE[where]
    chain = Chain([make(production)], cache)
    for _ in range(3):
        assert told(chain) == (5, BEFORE)
    assert asked(production) == (3, 3)
    production.change()
    assert told(chain) == (18, AFTER)


def test_who_turned_it_off_passes_over_what_others_remember(memo, production):
    """One cache, two settings of it."""
    told(memo.chain(entry(production)))
    production.change()
    assert told(memo.chain(entry(production), cache={"FACTS": False})) == (18, AFTER)


def test_other_times_are_asked(production):
    """Nothing is known of these."""
    chain = Chain([entry(production)])
    for _ in range(2):
        for method in ("get_accessed_time", "get_created_time", "modified_time"):
            getattr(chain, method)("a")
    assert production.count("get_accessed_time") == 2
    assert production.count("get_created_time") == 2
    assert production.count("get_modified_time") == 2


def test_local_directories_and_chains_are_asked(tmp_path):
    """A file's replacement by hand is seen at once there; a chain knows for itself."""
    path = tmp_path / "a"
    path.write_bytes(b"short")
    local = FileSystemStorage(tmp_path)
    chain = Chain(
        [
            {
                "BACKEND": f"{__name__}.itself",
                "OPTIONS": {"storage": local},
                "READ_ONLY": True,
            }
        ]
    )
    outer = Chain(
        [
            {
                "BACKEND": f"{__name__}.itself",
                "OPTIONS": {"storage": chain},
                "READ_ONLY": True,
            }
        ]
    )
    assert (chain.size("a"), outer.size("a")) == (5, 5)
    path.write_bytes(b"longer than before")
    assert (chain.size("a"), outer.size("a")) == (18, 18)


@pytest.mark.parametrize("method", ["size", "get_modified_time"])
@pytest.mark.parametrize(
    "path", [path for path, row in PROFILES.items() if row.keeps_facts]
)
def test_a_method_of_ones_own_is_asked(monkeypatch, path, method):
    """Nobody knows what it does: a subclass's, or that of an instance."""
    module, _, name = path.rpartition(".")
    klass = type(name, (RecordingStorage,), {"__module__": module})
    assert profile_of(klass()).keeps_facts
    assert profile_of(type("Own", (klass,), {})()).keeps_facts
    own = type("Own", (klass,), {method: lambda self, name: 1})
    assert not profile_of(own()).keeps_facts
    instance = klass()
    setattr(instance, method, lambda name: 1)
    assert not profile_of(instance).keeps_facts


def test_who_copies_compares_and_serves_asks(production, tmp_path):
    """Of a file whose size is known, and which its owner has changed since."""
    home = FileSystemStorage(tmp_path)
    entries = [entry(home, READ_ONLY=False, PROFILE={}), entry(production)]
    chain = Chain(entries)
    for name in ("a", "d/1", "d/2"):
        told(chain, name)
    production.change("a", b"ten bytes.")
    promoting = Chain(entries, promote=True, promote_max_size=9)
    told(promoting, "d/1")
    production.change("d/1", b"x" * 20)
    with promoting.open("d/1") as file:
        assert file.read() == b"x" * 20
    assert not (tmp_path / "d" / "1").exists()  # too large by now
    assert told(chain) == (5, BEFORE)
    steps = {step.name: step.result for step in sync(chain, "", jobs=1)}
    assert steps["a"] is Result.COPIED
    assert (tmp_path / "a").read_bytes() == b"ten bytes."
    with chain.open("a") as file:
        assert (file.size, file.read()) == (10, b"ten bytes.")
    production.change("a", b"eleven byte")
    pruned = {step.name: step.result for step in Pruning(chain).steps([""])}
    assert pruned["a"] is Pruned.DIFFERENT


# The values


@searching(100)
@given(
    size=st.integers(-5, 10**19),
    moment=st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5))])),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]),
    aware=st.booleans(),
)
def test_what_is_kept_is_what_was_answered(size, moment, zone, aware):
    """Or it is not kept. (An hour that comes twice, a time before 1970, no number.)"""
    with override_settings(USE_TZ=aware, TIME_ZONE=zone):
        answer = moment if aware else django_timezone.make_naive(moment)
        kept = facts.add(facts.add("", "size", size), "get_modified_time", answer)
        assert facts.read(kept, "size") in {None, size}
        assert (facts.read(kept, "size") is None) is not (0 <= size < 10**18)
        found = facts.read(kept, "get_modified_time")
        assert found in {None, answer}
        assert (found is None) is not (1970 < moment.year < 5000) or moment.year in {
            1969,
            1970,
            *range(5000, 5200),
        }


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("size", None), ("size", True), ("size", "5"), ("size", 5.0), ("size", -1),
        ("get_modified_time", None), ("get_modified_time", 5),
        ("get_modified_time", datetime(2026, 1, 1)),  # noqa: DTZ001 - not as USE_TZ says
        ("get_created_time", BEFORE), ("_open", 5),
    ],
)  # fmt: skip
def test_what_is_no_answer_of_its_kind_is_not_kept(method, answer):
    assert facts.add("5,", method, answer) == "5,"


@pytest.mark.parametrize(
    "text",
    ["", ",", "h3-1764280000000", "5", "-5,7", "5,7,9", "x,y", f"{10**18},", "5,\n"],
)
def test_what_cannot_be_read_is_not_known(text):
    """Of other releases, or damaged."""
    assert facts.read(text, "size") is None
    assert facts.read(text, "get_modified_time") is None


def test_facts_that_cannot_be_read_are_asked_for(production, settings):
    """And replaced."""
    backend = "django.core.cache.backends.locmem.LocMemCache"
    settings.CACHES = {"memo": {"BACKEND": backend, "LOCATION": "unreadable"}}
    chain = Chain([entry(production)], "memo")
    told(chain)
    cache = caches["memo"]
    for key, value in list(cache._cache.items()):
        text = pickle.loads(value)
        if "," in text:
            cache._cache[key] = pickle.dumps(f"{text.partition(',')[0]},some;thing")
    production.reset()
    for _ in range(2):
        assert told(chain) == (5, BEFORE)
    assert asked(production) == (1, 1)


def test_a_code_with_facts_is_that_code():
    """To who knows no facts; and is one still when it was pickled."""
    code = noted(held(3), "5,7")
    assert (code, str(code), f"{code}", hash(code)) == (7, "7", "7", hash(7))
    copied = pickle.loads(pickle.dumps(code))
    assert (type(copied), copied, facts_of(copied)) == (Noted, 7, "5,7")
    assert type(noted(held(3), "")) is int
    assert type(noted(from_(3), "5,7")) is int


def test_a_save_shows_at_once(memo, production, tmp_path):
    """In front of it; and what a worker deletes there shows what is behind."""
    home = entry(FileSystemStorage(tmp_path), READ_ONLY=False, PROFILE={})
    chain, other = (memo.chain(home, entry(production)) for _ in range(2))
    assert told(chain) == told(other) == (5, BEFORE)
    with other.open("a", "wb") as file:
        file.write(b"here")
    assert chain.size("a") == other.size("a") == 4
    other.delete("a")
    assert told(chain) == told(other) == (5, BEFORE)
    assert chain.save("b", ContentFile(b"new")) == "b"
    assert other.size("b") == 3
