"""One walk per cold name, however many ask; and nobody waits for ever."""

from __future__ import annotations

import threading

import pytest
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile
from django.core.files.storage import Storage
from fakes import RecordingStorage

from fallback_storage.cache.counters import Counters
from fallback_storage.chain import resolver
from fallback_storage.chain.singleflight import Flight, Flights
from fallback_storage.storage import FallbackStorage

MANY = 64


class Interrupt(BaseException):
    """Like KeyboardInterrupt, but pytest does not stop for it."""


class Crew:
    """Threads that do the same thing; ``join`` gives what each returned or raised."""

    def __init__(self, count, function):
        self.results = [None] * count
        self._function = function
        self._threads = [
            threading.Thread(target=self._run, args=(index,), daemon=True)
            for index in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, index):
        try:
            self.results[index] = self._function()
        except BaseException as error:
            self.results[index] = error

    def join(self):
        for thread in self._threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in self._threads), "deadlock"
        return self.results


class Waiters(Counters):
    """The resolver's counters; ``arrive`` waits until that many callers wait."""

    def __init__(self, chain):
        chain.stats()  # builds what an instance builds at its first use
        resolver = chain._engine.resolver
        super().__init__(*resolver.stats())
        self._waiting = threading.Semaphore(0)
        resolver._counters = self

    def add(self, name, by=1):
        super().add(name, by)
        if name == "coalesced":
            self._waiting.release()

    def arrive(self, count):
        for _ in range(count):
            assert self._waiting.acquire(timeout=20)


def once(function):
    """Return a hook that runs ``function`` at its first call only."""
    calls = iter([function])
    return lambda name: next(calls, lambda name: None)(name)


def entry(storage, **policy):
    """Return a chain's entry for an instance with a policy."""
    # typing.cast is a callable with a dotted path that returns what it is given.
    return {
        "BACKEND": "typing.cast",
        "OPTIONS": {"typ": Storage, "val": storage},
        "NAME": storage.label,
        **policy,
    }


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """Nobody waits in vain unless a test says so: it would show as a deadlock."""
    monkeypatch.setattr(resolver, "PATIENCE", 1000.0)
    return lambda seconds: monkeypatch.setattr(resolver, "PATIENCE", seconds)


@pytest.fixture
def three():
    return [RecordingStorage(label) for label in ("front", "middle", "back")]


# The flights themselves


def test_the_first_leads_and_the_others_follow():
    """A key has one flight, until its leader lands it."""
    flights, first, second = Flights(), Flight(), Flight()
    with first.under_way, second.under_way:
        assert flights.board("a", first) is first
        assert flights.board("a", second) is first
        assert flights.board("b", second) is second
        assert flights.landings == 0
        flights.land(["a"], first)
        assert flights.landings == 1
        assert flights.board("a", second) is second


@pytest.mark.parametrize("settled", [True, False])
def test_landing_releases_the_waiters(settled):
    """Waiters learn at landing whether there is something to look up."""
    flight = Flight()
    with flight.under_way:
        crew = Crew(8, lambda: flight.wait(20))
        flight.settled = settled
    assert crew.join() == [settled] * 8


def test_a_wait_ends_without_a_landing():
    """A waiter whose patience ends goes on, whatever the leader does."""
    flight = Flight()
    flight.settled = True
    with flight.under_way:
        assert Crew(1, lambda: flight.wait(0.01)).join() == [False]


def test_a_leader_does_not_wait_for_itself():
    """A thread that meets its own flight goes on at once."""
    flight = Flight()
    with flight.under_way:
        assert flight.wait(1000) is False


def test_nobody_waits_for_a_flight_that_was_left_on_the_board():
    """Its leader was interrupted before it could take it off."""
    flights, left, mine = Flights(), Flight(), Flight()
    with left.under_way:
        flights.board("a", left)
    with mine.under_way:
        assert flights.board("a", mine) is mine
    assert flights.landings == 1


# 64 threads on one cold name


@pytest.mark.parametrize("holder", [0, 1, 2, None])
@pytest.mark.parametrize("operation", ["exists", "resolve", "url"])
@pytest.mark.parametrize("all_wait", [True, False], ids=["all wait", "some come late"])
def test_many_threads_make_one_walk(three, holder, operation, all_wait):
    """64 threads on one cold name ask every backend at most once, and agree."""
    if holder is not None:
        three[holder].files["a"] = b"x"
    chain = FallbackStorage(three)
    waiters = Waiters(chain)
    started = threading.Barrier(MANY)
    three[0].before(
        "exists", lambda name: waiters.arrive(MANY - 1 if all_wait else MANY // 8)
    )

    def ask():
        started.wait(20)
        answer = getattr(chain, operation)("a")
        return answer if operation != "resolve" else (answer.index, answer.held)

    answers = Crew(MANY, ask).join()
    assert answers == [answers[0]] * MANY
    assert (
        answers[0]
        == {
            "exists": holder is not None,
            "resolve": (holder, holder is not None),
            "url": three[2 if holder is None else holder].url("a"),
        }[operation]
    )
    last = 1 if operation == "url" else 2
    asked = min(last if holder is None else holder, last)
    assert [backend.count("exists") for backend in three] == [
        1 if index <= asked else 0 for index in range(3)
    ]
    assert chain.stats()["walks"] == 1


def test_a_leader_looks_again_if_a_flight_landed_meanwhile(three):
    """Between a miss and the lead another walk may end: it is not repeated."""
    three[1].files["a"] = b"x"
    chain = FallbackStorage(three)
    chain.stats()  # builds what an instance builds at its first use
    flights = chain._engine.resolver.flights
    board = flights.board

    def overtaken(key, mine):
        flights.board = board
        assert chain.exists("a")
        return board(key, mine)

    flights.board = overtaken
    assert chain.exists("a")
    assert [backend.count("exists") for backend in three] == [1, 1, 0]


def test_what_it_finds_then_may_say_more(three):
    """A walk that asks fewer, and is overtaken, does not take that away."""
    three[2].files["a"] = b"x"
    chain = FallbackStorage(three)
    chain.stats()
    flights = chain._engine.resolver.flights
    board = flights.board

    def overtaken(key, mine):
        flights.board = board
        assert chain.exists("a")
        return board(key, mine)

    flights.board = overtaken
    assert chain.url("a") == three[2].url("a")
    assert chain.exists("a")
    assert [backend.count("exists") for backend in three] == [1, 1, 1]


def test_other_names_do_not_wait(three):
    """Walks of two names are under way at the same time."""
    both = threading.Barrier(2)
    three[0].before("exists", lambda name: both.wait(20))
    chain = FallbackStorage(three)
    names = iter("ab")
    assert Crew(2, lambda: chain.exists(next(names))).join() == [False, False]


# Leaders that fail


@pytest.mark.parametrize(
    "error",
    [SuspiciousFileOperation("no"), Interrupt(), ConnectionError("down")],
    ids=["raised at once", "interrupted", "backend failed"],
)
def test_a_leader_that_fails_releases_its_waiters(three, error):
    """The leader's failure is its own: the others walk themselves, and find the file."""
    three[0].files["a"] = b"x"
    chain = FallbackStorage(three)
    waiters = Waiters(chain)

    def fail(name):
        waiters.arrive(15)
        raise error

    three[0].before("exists", once(fail))
    results = Crew(16, lambda: chain.exists("a")).join()
    failed = [result for result in results if result is not True]
    # The leader itself passes over a backend that fails.
    assert failed in ([error], [False])
    assert 2 <= three[0].count("exists") <= 16
    assert chain.exists("a")
    assert chain._engine.resolver.flights._flights == {}


def test_a_failure_is_not_shared(three):
    """While a backend fails every caller asks for himself, and nothing is kept."""
    three[0].fail("exists", OSError("no outage"))
    chain = FallbackStorage(three)
    waiters = Waiters(chain)
    three[1].before("exists", once(lambda name: waiters.arrive(7)))
    assert Crew(8, lambda: chain.exists("a")).join() == [False] * 8
    assert three[0].count("exists") == 8
    three[0].heal()
    three[0].files["a"] = b"x"
    assert chain.exists("a")


def test_waiters_of_a_walk_that_a_write_overtook_walk_again(three):
    """The walk's answer is void, so the waiters make a second walk: one, together."""
    chain, other = FallbackStorage(three), FallbackStorage(three)
    waiters = Waiters(chain)

    def overtake(name):
        waiters.arrive(15)
        assert other.save("a", ContentFile(b"x")) == "a"

    # The front has answered by then: what the leader finds is what was before.
    three[1].before("exists", once(overtake))
    results = Crew(16, lambda: chain.exists("a")).join()
    assert sorted(results) == [False] + [True] * 15
    # One walk for the leader, one for the save, one for all waiters.
    assert three[0].count("exists") == 3
    assert chain.stats()["late_fills"] == 1


def test_nobody_waits_longer_than_patience(three, patience):
    """A leader that hangs costs the others their patience, not their answer."""
    patience(0.05)
    three[0].files["a"] = b"x"
    chain = FallbackStorage(three)
    hanging, release = threading.Event(), threading.Event()

    def hang(name):
        hanging.set()
        release.wait(20)

    three[0].before("exists", once(hang))
    leader = Crew(1, lambda: chain.exists("a"))
    assert hanging.wait(20)
    assert Crew(8, lambda: chain.exists("a")).join() == [True] * 8
    assert leader.results == [None]
    release.set()
    assert leader.join() == [True]
    assert chain._engine.resolver.flights._flights == {}


# Chains within chains


def test_a_backend_may_ask_its_own_chain(three):
    """A backend that asks its chain for the name it is being asked for does not hang."""
    chain = FallbackStorage(three)
    three[2].files["a"] = b"x"
    answers = []
    three[1].before("exists", once(lambda name: answers.append(chain.exists(name))))
    assert Crew(1, lambda: chain.exists("a")).join() == [True]
    assert answers == [True]


@pytest.mark.parametrize("operation", ["exists", "url"])
def test_many_threads_on_a_chain_in_a_chain_make_one_walk(three, operation):
    """Each level makes one walk; the inner one is shared as well."""
    three[1].files["a"] = b"x"
    inner = FallbackStorage(three[:2])
    outer = FallbackStorage([inner, three[2]])
    waiters = Waiters(outer)
    three[0].before("exists", once(lambda name: waiters.arrive(MANY - 1)))
    answers = Crew(MANY, lambda: getattr(outer, operation)("a")).join()
    assert set(answers) == {True if operation == "exists" else three[1].url("a")}
    assert [backend.count("exists") for backend in three] == [1, 1, 0]


@pytest.mark.parametrize(
    "options",
    [
        {"backends": [(0, {"ALWAYS_PROBE": True}), (1, {})]},
        {"backends": [(1, {}), (0, {"ALWAYS_PROBE": True})]},
        {"backends": [(0, {}), (1, {})], "cache": False},
        {"backends": [(0, {}), (1, {})], "cache": {"TTL": 0}},
    ],
    ids=["live first", "live last", "no memo", "no lifetime"],
)
def test_what_cannot_be_shared_is_not_awaited(three, options):
    """Where the memo will not answer, callers ask the holder at the same time."""
    three[0].files["a"] = b"x"
    backends = [entry(three[index], **policy) for index, policy in options["backends"]]
    chain = FallbackStorage(**{**options, "backends": backends})
    assert chain.exists("a")
    both = threading.Barrier(2)
    three[0].before("exists", lambda name: both.wait(5))
    assert Crew(2, lambda: chain.exists("a")).join() == [True, True]


def test_a_flight_that_was_given_up_holds_up_nobody():
    """Who comes after an impatient waiter leads; the late landing ends no other flight."""
    flights, late, fresh = Flights(), Flight(), Flight()
    with late.under_way, fresh.under_way:
        flights.board("a", late)
        flights.land(["a"], late)
        assert flights.board("a", fresh) is fresh
        flights.land(["a"], late)
        assert flights.board("a", Flight()) is fresh
