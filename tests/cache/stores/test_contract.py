"""The contract of ``cache.stores.base.Store``, over every store.

To add a store: one line in ``STORES``.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from aging import age_redis
from caches import DroppingCache, RecordingCache
from stores import as_of_an_alias

from fallback_storage.cache.entry import (
    HIDDEN,
    NOWHERE,
    facts_of,
    from_,
    held,
    noted,
)
from fallback_storage.cache.stores.base import SINCE, Store
from fallback_storage.cache.stores.django_cache import DjangoCacheStore
from fallback_storage.cache.stores.guarded import GuardedStore
from fallback_storage.cache.stores.leases import group_of
from fallback_storage.cache.stores.local import LocalStore
from fallback_storage.cache.stores.near import NearStore
from fallback_storage.cache.stores.redis import RedisStore

FIRST, SECOND = held(0), held(1)

# Seconds: of every store that can.
GRACE = 600.0


class ForgetfulStore(Store):
    """Stamps and entries in a dict that drops any key at any moment.

    A stand-in for a shared cache that evicts at will and has no compare-and-set: an
    entry counts if it carries the stamp that is there when it is read.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._random = random.Random(7)
        self._cells: dict[tuple[str, str], Any] = {}
        self._serial = 0

    def _evict(self) -> None:
        for cell in list(self._cells):
            if self._random.random() < 0.05:
                self._cells.pop(cell, None)

    def _stamp(self, name: str) -> int:
        self._serial += 1
        return self._cells.setdefault(("stamp", name), (self._serial, random.random()))

    def look_up(self, names):
        self._evict()
        found = {}
        for name in names:
            entry = self._cells.get(("entry", name))
            stamp = self._stamp(name)
            live = entry and entry[0] == stamp and entry[2] > self._clock()
            found[name] = (entry[1] if live else None, stamp)
        return found

    def fill(self, name, lease, code, ttl):
        self._evict()
        if self._cells.get(("stamp", name)) != lease:
            return False
        end = self._clock() + ttl
        _, _, before = self._cells.get(("entry", name), (None, None, 0))
        if before > self._clock():
            end = min(end, before)
        self._cells["entry", name] = (lease, code, end)
        return True

    def invalidate(self, names):
        self._evict()
        for name in names:
            self._cells.pop(("stamp", name), None)
            self._stamp(name)

    def clear(self):
        self.invalidate({name for _, name in list(self._cells)})


@dataclass(frozen=True)
class Kind:
    """How to make a store, and what else is true of it.

    ``make`` gets pytest's ``request``: a store on a server takes its fixture there.
    ``forgets``: it may drop anything at any time. ``tells``: ``fill`` knows whether
    it was too late. ``tick`` lets seconds pass for it. ``dates``: it knows how long an
    entry will be there. ``counts``: it keeps counters. ``lasts``: it keeps entries for
    longer than they are good. ``lags``: it hears of a change a moment later.
    """

    make: Callable[[Any], Store]
    forgets: bool = False
    tells: bool = True
    tick: Callable[[Any, float], None] = lambda request, seconds: (
        request.getfixturevalue("clock").tick(seconds)
    )
    dates: bool = False
    counts: bool = False
    lasts: bool = True
    lags: bool = False


def redis_of(request, **arguments):
    redis = pytest.importorskip("redis")
    return redis.Redis(port=request.getfixturevalue("valkey").port, **arguments)


def on_redis(request, **arguments):
    client = lambda: redis_of(request, **arguments)  # noqa: E731
    return RedisStore(client, "contract:", grace=GRACE)


def on_redis_of_an_alias(request):
    return on_redis(request, **as_of_an_alias())


def on_near(request):
    local = LocalStore(clock=request.getfixturevalue("clock"))
    store = NearStore(on_redis(request), local)
    store.look_up(["any"])
    deadline = time.monotonic() + 10
    while not store.stats()["near_connected"]:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return store


def age(request, seconds):
    """Let seconds pass: every key has so much less to live, and ends so much earlier."""
    request.getfixturevalue("clock").tick(seconds)
    with redis_of(request) as client:
        age_redis(client, seconds)


STORES = {
    "local": Kind(
        lambda request: LocalStore(clock=request.getfixturevalue("clock"), grace=GRACE),
        dates=True,
    ),
    "forgetful": Kind(
        lambda request: ForgetfulStore(request.getfixturevalue("clock")),
        forgets=True,
        lasts=False,
    ),
    "redis": Kind(on_redis_of_an_alias, tick=age, dates=True, counts=True),
    "near": Kind(on_near, tick=age, dates=True, counts=True, lags=True),
}


def django_cache(request, kind=RecordingCache):
    """A store in a Django cache of this test's own."""
    kind.reset()
    request.getfixturevalue("settings").CACHES = {
        "media": {
            "BACKEND": f"caches.{kind.__name__}",
            "LOCATION": request.node.name,
        }
    }
    return DjangoCacheStore(
        "media",
        "c0ffee",
        clock=lambda: time.time() + RecordingCache.offset,
        grace=GRACE,
    )


def tick_cache(request, seconds):
    RecordingCache.tick(seconds)


def guarded(request, store):
    return GuardedStore(store, request.getfixturevalue("clock"))


STORES["guarded local"] = Kind(
    lambda request: guarded(request, STORES["local"].make(request)), dates=True
)
STORES["guarded redis"] = Kind(
    lambda request: guarded(request, on_redis(request)),
    tick=age,
    dates=True,
)
STORES["Django cache"] = Kind(django_cache, tells=False, tick=tick_cache, dates=True)
# (Guarded, since it can drop the stamps of an invalidation three times in a row.)
STORES["Django cache that drops"] = Kind(
    lambda request: guarded(request, django_cache(request, DroppingCache)),
    forgets=True,
    tells=False,
    tick=tick_cache,
    dates=True,
)


class Subject:
    """A store under test, and what may be expected of it."""

    def __init__(self, kind: Kind, request: Any) -> None:
        self.kind = kind
        self.store = kind.make(request)
        self.tick = lambda seconds: kind.tick(request, seconds)

    def lease(self, name="a"):
        return self.store.look_up([name])[name][1]

    def fill(self, name="a", code=FIRST, ttl=60.0):
        return self.store.fill(name, self.lease(name), code, ttl)

    def knows(self, name="a", code=FIRST):
        """Whether the store answers ``code``; one that forgets may also say nothing."""
        found = self.store.look_up([name])[name][0]
        return found == code or (self.kind.forgets and found is None)

    def remembers(self, code, name="a"):
        """Whether the store tells who held a name last: ``code``, or nobody (None)."""
        found = self.store.look_up_held([name]).get(name)
        forgets = self.kind.forgets or not self.kind.lasts
        return found == code or (forgets and found is None)

    def knows_nothing(self, name="a"):
        peeked = self.store.peek(name)
        return peeked is None and self.store.look_up([name])[name][0] is None

    def refuses(self, lease, name="a", code=SECOND):
        """Whether a fill with this lease has no effect."""
        kept = self.store.fill(name, lease, code, 60.0)
        found = self.store.look_up([name])[name][0]
        return (
            found != code
            and self.store.peek(name) != code
            and (not kept or not self.kind.tells)
        )


@pytest.fixture(
    params=[
        pytest.param(
            kind,
            id=name,
            marks=pytest.mark.slow if name.endswith(("redis", "near")) else (),
        )
        for name, kind in STORES.items()
    ]
)
def subject(request):
    subject = Subject(request.param, request)
    yield subject
    subject.store.close()


def test_a_miss_gives_a_lease_that_fills(subject):
    """What is filled with the lease of a miss is found by the next look-up."""
    assert subject.knows_nothing()
    kept = subject.fill(code=held(1))
    assert kept or subject.kind.forgets
    assert subject.knows(code=held(1))


def test_facts_come_with_their_code_or_not_at_all(subject):
    """They are learned one after the other, and end with what they were filled with."""

    def learn(code):
        found, lease = subject.store.look_up_one("a")
        kept = subject.store.fill("a", lease, code, 60.0)
        assert kept or subject.kind.forgets or found is not None
        return lease

    def known():
        found = {
            subject.store.look_up(["a"])["a"][0],
            subject.store.look_up_one("a")[0],
        }
        assert found <= {code, None} if subject.kind.forgets else found == {code}
        return {facts_of(each) for each in found}

    code, allowed = SECOND, set()
    for facts in ("", "5,", "5,7", "18,7"):
        late = learn(noted(code, facts))
        allowed = {facts, ""} if subject.kind.forgets else {facts}
        deadline = time.monotonic() + 10
        while subject.kind.lags and not known() <= allowed:
            assert time.monotonic() < deadline
        assert known() <= allowed
        subject.store.peek("a")
        assert type(subject.store.look_up_held(["a"]).get("a", code)) is int
        if facts == "5,7":  # near, a hit has no lease
            subject.store.invalidate(["a"])
            assert subject.refuses(late, code=noted(code, "5,7"))
    subject.store.invalidate(["a"])
    assert subject.knows_nothing()
    code = FIRST
    learn(code)
    assert known() <= {""}


@pytest.mark.parametrize("code", [NOWHERE, held(0), from_(1), held(1), held(500)])
def test_every_code_comes_back_as_it_was(subject, code):
    """A store keeps any code, and "held by none" is not "nothing known"."""
    subject.fill(code=code)
    assert subject.knows(code=code)


def test_a_look_up_answers_for_exactly_the_names_asked(subject):
    """Many names at once: a code or None, and a lease, for each and no other."""
    subject.fill("a", held(0))
    subject.fill("b", NOWHERE)
    found = subject.store.look_up(["a", "b", "c"])
    assert set(found) == {"a", "b", "c"}
    assert subject.store.look_up([]) == {}
    assert found["a"][0] == held(0) or subject.kind.forgets
    assert found["b"][0] == NOWHERE or subject.kind.forgets
    assert found["c"][0] is None


def test_a_hit_gives_a_lease_too(subject):
    """An entry can be made more precise with the lease that came with it."""
    subject.fill(code=from_(1))
    subject.fill(code=held(1))
    assert subject.knows(code=held(1))


def test_many_names_are_filled_at_once(subject):
    """``fill_many`` keeps what ``fill`` would, and says how many."""
    # (A name of another group: in process memory a group's leases are void together.)
    groups = {group_of("a"), group_of("b")}
    late = next(each for each in map(str, range(999)) if group_of(each) not in groups)
    found = subject.store.look_up(["a", "b", late])
    subject.store.invalidate([late])
    kept = subject.store.fill_many(
        {
            "a": (found["a"][1], held(0), 60.0),
            "b": (found["b"][1], NOWHERE, 60.0),
            late: (found[late][1], held(1), 60.0),
        }
    )
    assert kept == 2 or subject.kind.forgets or not subject.kind.tells
    assert subject.knows("a", held(0))
    assert subject.knows("b", NOWHERE)
    assert subject.knows_nothing(late)
    assert subject.store.fill_many({}) == 0


def test_names_are_kept_apart(subject):
    """Names that differ in any character are different names."""
    names = ["a", "A", "a ", " a", "a/b", "a/b/c", "ä", "a\u0308", "a%20b", "a" * 900]
    for index, name in enumerate(names):
        subject.fill(name, held(index))
    for index, name in enumerate(names):
        assert subject.knows(name, held(index))


# No late fill


@pytest.mark.parametrize("prior", ["nothing", "an entry", "an expired entry"])
@pytest.mark.parametrize("how", ["invalidate", "clear"])
def test_a_lease_is_void_after_an_invalidation(subject, prior, how):
    """A fill that comes late has no effect, whatever was known of the name before."""
    if prior != "nothing":
        subject.fill(ttl=5.0)
    if prior == "an expired entry":
        subject.tick(6)
    lease = subject.lease()
    subject.store.invalidate(["a"]) if how == "invalidate" else subject.store.clear()
    assert subject.refuses(lease)
    assert subject.knows_nothing()


@pytest.mark.parametrize("how", ["invalidate", "clear"])
def test_a_void_lease_stays_void(subject, how):
    """Expiry, other fills and further invalidations do not revive a lease."""
    lease = subject.lease()
    subject.store.invalidate(["a"]) if how == "invalidate" else subject.store.clear()
    assert subject.refuses(lease)
    subject.fill(code=held(0), ttl=5.0)
    assert subject.refuses(lease)
    subject.tick(6)
    assert subject.refuses(lease)
    subject.store.invalidate(["a"])
    assert subject.refuses(lease)
    subject.store.clear()
    assert subject.refuses(lease)


def test_two_leases_of_one_name_are_voided_together(subject):
    """One invalidation ends every walk that was under way."""
    leases = [subject.lease() for _ in range(5)]
    subject.store.invalidate(["a"])
    assert all(subject.refuses(lease) for lease in leases)


def test_an_invalidation_forgets_exactly_its_names(subject):
    """The names given are forgotten, known or not; the others are not."""
    for name, code in {"a": FIRST, "b": NOWHERE, "c": FIRST, "d": NOWHERE}.items():
        subject.fill(name, code)
    subject.store.invalidate({"a", "b", "never seen"})
    subject.store.invalidate([])
    assert subject.knows_nothing("a")
    assert subject.knows_nothing("b")
    assert subject.knows("c")
    assert subject.knows("d", NOWHERE)


def test_clear_forgets_everything(subject):
    """After ``clear`` no name is known, and new leases work."""
    for code, name in enumerate("abc"):
        subject.fill(name, code)
    subject.store.clear()
    assert all(subject.knows_nothing(name) for name in "abc")
    subject.fill(code=held(1))
    assert subject.knows(code=held(1))


def test_an_entry_lives_for_its_ttl(subject):
    """Every fill says how long its entry lives; a new fill starts anew."""
    subject.fill("short", ttl=5.0)
    subject.fill("long", ttl=60.0)
    subject.tick(4.9)
    assert subject.knows("short")
    subject.tick(0.2)
    assert subject.knows_nothing("short")
    assert subject.knows("long")
    subject.fill("short", held(1), ttl=5.0)
    assert subject.knows("short", held(1))


@pytest.mark.parametrize("ttl", [60.0, 20.0])
@pytest.mark.parametrize("how", ["fill", "fill_many"])
def test_what_completes_an_entry_gets_no_older_than_it(subject, how, ttl):
    """It rests on what the entry says. (The lease is the one that came with it.)"""
    subject.fill(code=from_(1), ttl=30.0)
    subject.tick(20)
    lease = subject.lease()
    if how == "fill":
        subject.store.fill("a", lease, held(1), ttl)
    else:
        subject.store.fill_many({"a": (lease, held(1), ttl)})
    subject.tick(9)
    assert subject.knows(code=held(1))
    subject.tick(2)
    assert subject.knows_nothing()


def test_what_completes_an_entry_that_is_over_is_not_kept(subject):
    """The deadline goes with the lease."""
    subject.fill(code=from_(1), ttl=30.0)
    subject.tick(20)
    lease = subject.lease()
    subject.tick(11)
    subject.store.fill("a", lease, held(1), 60.0)
    subject.store.fill_many({"a": (lease, held(1), 60.0)})
    assert subject.knows(code=None)


# What is over, and was said last of who holds a file


def test_who_held_a_file_is_kept_when_the_lifetime_is_over(subject):
    """For the grace, and for who asks for that; to all others it is a miss."""
    subject.fill("a", held(3), ttl=60.0)
    assert subject.remembers(held(3))
    subject.tick(61)
    assert subject.knows_nothing()
    assert subject.store.seconds_left("a") is None
    assert subject.remembers(held(3))
    subject.tick(GRACE - 2)
    assert subject.knows_nothing()
    assert subject.remembers(held(3))
    subject.tick(2)
    assert subject.remembers(None)


def test_only_of_the_names_asked(subject):
    """And of those of which something is kept."""
    for index, name in enumerate("abc"):
        subject.fill(name, held(index), ttl=60.0)
    subject.tick(61)
    subject.store.look_up(["a", "b"])
    found = subject.store.look_up_held(["b", "c", "unknown"])
    assert found.items() <= {"b": held(1), "c": held(2)}.items()
    assert len(found) == 2 or subject.kind.forgets


@pytest.mark.parametrize("code", [NOWHERE, HIDDEN, from_(1)])
def test_nothing_else_is_kept(subject, code):
    """What says of no backend that it holds the file is worth nothing."""
    subject.fill(code=code, ttl=60.0)
    assert not subject.store.look_up_held(["a"])
    subject.tick(61)
    assert not subject.store.look_up_held(["a"])


@pytest.mark.parametrize("how", ["invalidate", "clear", "clear_below"])
@pytest.mark.parametrize("when", ["before", "after", "noticed", "said less since"])
def test_what_is_over_is_forgotten_with_the_name(subject, how, when):
    """As what is not; also if less was said since."""
    subject.fill(ttl=60.0)
    if when != "before":
        subject.tick(61)
    if when == "noticed":
        assert subject.knows_nothing()
    if when == "said less since":
        subject.fill(code=from_(1), ttl=60.0)
    given = {"invalidate": (["a"],), "clear": (), "clear_below": (None, "a")}
    getattr(subject.store, how)(*given[how])
    assert not subject.store.look_up_held(["a"])
    subject.tick(61)
    assert not subject.store.look_up_held(["a"])
    lease = subject.lease()
    subject.store.fill("a", lease, from_(1), 60.0)
    assert not subject.store.look_up_held(["a"])


@pytest.mark.parametrize("code", [NOWHERE, HIDDEN, held(0), from_(3)])
@pytest.mark.parametrize("how", ["fill", "fill_many"])
def test_a_fill_replaces_what_is_over(subject, code, how):
    """It was learned later, and contradicts it."""
    subject.fill(code=held(2), ttl=60.0)
    subject.tick(61)
    lease = subject.lease()
    if how == "fill":
        subject.store.fill("a", lease, code, 60.0)
    else:
        subject.store.fill_many({"a": (lease, code, 60.0)})
    assert subject.knows(code=code)
    assert subject.remembers(code if code == held(0) else None)
    subject.tick(59)
    assert subject.knows(code=code)
    subject.tick(2)
    assert subject.knows_nothing()
    assert subject.remembers(code if code == held(0) else None)


@pytest.mark.parametrize("code", [from_(1), from_(2)])
def test_what_says_less_leaves_it_there(subject, code):
    """Who asks for a URL learns no more than "not above": the holder may be the same."""
    subject.fill(code=held(2), ttl=60.0)
    for seconds in (61, 61, GRACE - 123):
        subject.tick(seconds)
        subject.fill(code=code, ttl=60.0)
        assert subject.knows(code=code)
        assert subject.remembers(held(2))
    subject.tick(62)
    assert subject.knows_nothing()
    assert subject.remembers(None)  # it has a grace of its own


def test_what_says_less_may_be_completed(subject):
    """Then that counts, with the lifetime that is left."""
    subject.fill(code=held(2), ttl=60.0)
    subject.tick(61)
    subject.fill(code=from_(1), ttl=60.0)
    subject.tick(10)
    subject.fill(code=held(1), ttl=60.0)
    assert subject.knows(code=held(1))
    assert subject.remembers(held(1))
    subject.tick(51)
    assert subject.knows_nothing() or subject.kind.forgets
    assert subject.remembers(held(1))
    subject.tick(GRACE)
    assert subject.remembers(None)


def test_the_grace_begins_anew_with_every_fill(subject):
    """However often it is renewed."""
    for _ in range(10):
        subject.fill(code=held(2), ttl=60.0)
        subject.tick(GRACE)
        assert subject.knows_nothing()
        assert subject.remembers(held(2))


def test_peek_never_says_more_than_look_up(subject):
    """Where ``peek`` answers, it is the answer of ``look_up``."""
    for code, name in enumerate(["none", "held", "from"]):
        subject.fill(name, code)
    subject.store.invalidate(["held"])
    for name in ["none", "held", "from", "unknown"]:
        peeked = subject.store.peek(name)
        found = subject.store.look_up([name])[name][0]
        assert peeked in (None, found) if subject.store.has_peek else peeked is None


@pytest.mark.parametrize("code", [NOWHERE, held(1)])
def test_how_long_an_entry_will_be_there(subject, code):
    """None where there is none, and from a store that cannot tell."""
    store = subject.store
    assert store.seconds_left("a") is None
    lease = subject.lease()
    assert store.seconds_left("a") is None
    store.fill("a", lease, code, 60.0)
    left = store.seconds_left("a")
    assert (left is not None) is subject.kind.dates or subject.kind.forgets
    assert left is None or 50 < left <= 60
    subject.tick(30)
    left = store.seconds_left("a")
    assert left is None or 20 < left <= 30
    store.invalidate(["a"])
    assert store.seconds_left("a") is None


def test_counters_add_up(subject):
    """Also from another store of the chain; and they are no matter of the names."""
    store = subject.store
    wanted = ["hits", "backend:caf\xe9 \n:calls", "never"]
    assert not store.published(wanted)
    before = time.time()
    for delta in (1, 2**40):
        assert store.publish({"hits": delta, wanted[1]: 5})
    subject.fill()
    assert subject.knows()
    store.invalidate(["a", "hits"])
    store.clear()
    if subject.kind.counts:
        found = dict(store.published(wanted))
        assert int(before) <= found.pop(SINCE) <= time.time()
        assert found == {"hits": 1 + 2**40, wanted[1]: 10}
    assert subject.knows_nothing()


def test_stats_are_counters(subject):
    """``stats`` maps names to integers."""
    subject.fill()
    assert all(
        isinstance(key, str) and isinstance(value, int)
        for key, value in subject.store.stats().items()
    )


@pytest.fixture
def eager_switching():
    """Threads take turns after a few bytecodes instead of 5 ms."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.slow
def test_no_thread_sees_a_value_older_than_a_finished_write(subject, eager_switching):
    """Judged by history: what a look-up gives is at least what was written before."""
    names, rounds = ("a", "b"), 300
    truth = dict.fromkeys(names, 0)  # what the backends hold: a version
    told = dict.fromkeys(names, 0)  # the version whose writer has returned
    writing = {name: threading.Lock() for name in names}
    stale, errors, hits = [], [], [0]
    start = threading.Barrier(6)

    def write(name):
        for turn in range(rounds):
            with writing[name]:
                version = truth[name] = truth[name] + 1
                if turn % 50 == 49:
                    subject.store.clear()
                else:
                    subject.store.invalidate([name, "other"])
                told[name] = version

    def read(name):
        for _ in range(rounds * 3):
            floor = told[name]
            code, lease = subject.store.look_up([name])[name]
            if code is None:
                version = truth[name]
                subject.store.fill(name, lease, held(version), 60.0)
                continue
            hits[0] += 1
            if code < held(floor):
                stale.append((name, floor, code >> 1))

    def run(work, name):
        try:
            start.wait(10)
            work(name)
        except Exception as error:
            errors.append(error)

    threads = [
        threading.Thread(target=run, args=(work, name), daemon=True)
        for name in names
        for work in (write, read, read)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert errors == []
    assert stale == []
    assert hits[0] > 0
