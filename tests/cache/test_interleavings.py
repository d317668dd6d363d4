"""The stamp scheme, over every interleaving of readers, writers and evictions.

What runs is the real ``DjangoCacheStore``, over a cache that exists in this model only.
An actor is run from its beginning with the answers it has had so far; at the first cache
call without an answer it stops, and the search decides who goes on. Two states in which
cache, backend and all answers are the same are one state, so the search is exhaustive.

A backend is a version number: a writer raises it, then invalidates. The rule checked in
every state: no entry that counts, and no answer given, is older than a write whose call
had returned.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest

from fallback_storage.cache.stores import django_entries as wire
from fallback_storage.cache.stores.django_cache import (
    CacheLosesWritesError,
    DjangoCacheStore,
)

NAME = "a"


class NeedsAnswerError(BaseException):
    """Stops an actor at a step whose outcome is not known yet."""

    def __init__(self, step):
        self.step = step


class Tape:
    """The answers an actor has had, and what it asks next."""

    def __init__(self, actor, answers):
        self.actor = actor
        self._answers = iter(answers)
        self._tokens = 0

    def ask(self, *step):
        for answer in self._answers:
            return answer
        raise NeedsAnswerError(step)

    def new_token(self):
        self._tokens += 1
        return f"{self.actor}{self._tokens}".rjust(wire.TOKEN_LENGTH, "-")


class ModelCache:
    """A Django cache each of whose steps is a step of the search.

    Nothing of several keys is atomic, as in locmem and file. ``atomic``: reads of
    several keys are one step, as in Redis, memcached and a database. ``racy_add``: it
    looks first and writes then, as the file cache. ``resends``: its client sends every
    ``add`` twice, as one does that lost the first answer.
    """

    def __init__(self, tape, atomic=False, racy_add=False, resends=False):
        self._tape = tape
        self._atomic = atomic
        self._racy_add = racy_add
        self._resends = resends

    def get_many(self, keys):
        if self._atomic:
            values = self._tape.ask("get_many", *keys)
        else:
            values = [self._tape.ask("get_many", key)[0] for key in keys]
        return {
            key: value
            for key, value in zip(keys, values, strict=True)
            if value is not None
        }

    def add(self, key, value, timeout):
        if self._racy_add:
            if self._tape.ask("get_many", key)[0] is not None:
                return False
            self.set(key, value, timeout)
            return True
        if self._resends:
            self._tape.ask("add", key, value)
        return self._tape.ask("add", key, value)

    def set(self, key, value, timeout):
        self._tape.ask("set", key, value)

    def set_many(self, values, timeout):
        for key, value in values.items():
            self.set(key, value, timeout)
        return []

    def delete_many(self, keys):
        for key in keys:
            self._tape.ask("delete", key)


class ModelStore(DjangoCacheStore):
    """The real store over the model's cache and tokens. No time passes."""

    def __init__(self, tape, **how):
        super().__init__("", "c", clock=lambda: 0.0)
        self._tape = tape
        self._how = how

    def _cache(self):
        return ModelCache(self._tape, **self._how)

    def _new_token(self):
        return self._tape.new_token()


class StampedLate(ModelStore):
    """Wrong: a stamp that is missing is made up, and written with the entry."""

    def _complete(self, values, keys, seconds, *, replace):
        for key in keys:
            values.setdefault(key, self._new_token())

    def fill(self, name, lease, code, ttl):
        generation, stamp = lease.tokens.split(".")
        cache = self._cache()
        cache.add(self._keys.generation, generation, 1)
        cache.add(self._keys.stamp(name), stamp, 1)
        return super().fill(name, lease, code, ttl)


class Deleting(ModelStore):
    """Wrong where a client sends twice: the stamp is deleted, not replaced."""

    def invalidate(self, names):
        self._cache().delete_many([self._keys.stamp(name) for name in names])


class StampedLateDeleting(Deleting, StampedLate):
    """Wrong: both at once."""


class ManyAtOnce(ModelStore):
    """Right: stamps are set, not added, as for several names."""

    def _complete(self, values, keys, seconds, *, replace):
        super()._complete(
            values, keys, seconds, replace=keys != [self._keys.generation]
        )


def read(store, tape):
    """Look up, ask the backend and fill: on a hit too, as for a better answer."""
    try:
        code, lease = store.look_up([NAME])[NAME]
    except CacheLosesWritesError:
        return
    if code is not None:
        tape.ask("answer", code)
    store.fill(NAME, lease, tape.ask("probe"), 60)


def write(store, tape):
    tape.ask("write")
    deliver(store.invalidate, [NAME])


def write_and_clear(store, tape):
    tape.ask("write")
    deliver(store.clear)


def deliver(invalidate, *args):
    """Invalidate until it is seen to be so: evictions can hide it."""
    while True:
        try:
            return invalidate(*args)
        except CacheLosesWritesError:
            continue


class Point:
    """Where an actor is: the answers it has had, and its next step or None."""

    def __init__(self, run, answers=()):
        self.answers = answers
        self.step = None
        self._run = run
        self._after = {}
        try:
            run(answers)
        except NeedsAnswerError as stopped:
            self.step = stopped.step

    def after(self, answer):
        if answer not in self._after:
            self._after[answer] = Point(self._run, (*self.answers, answer))
        return self._after[answer]


class State(NamedTuple):
    cache: frozenset  # of (key, value)
    version: int  # of the backend
    finished: int  # the newest version whose writer has returned
    points: tuple  # of each actor
    floors: tuple  # of each actor: ``finished`` when it began
    evictions: int  # still to come


class Outcome(NamedTuple):
    states: int
    answering: int  # states in which a look-up would be answered
    stale: State | None  # one in which the rule is broken


class StaleError(Exception):
    """An answer was older than a write that had returned before the question."""


def explore(actors, evictions=0, make=ModelStore, **how):
    """Visit every state that can be reached, up to the first that breaks the rule."""

    def beginning(number, act):
        def run(answers):
            tape = Tape("rstu"[number], answers)
            act(make(tape, **how), tape)

        return Point(run)

    keys = ModelStore(None)._keys
    stamp_key, entry_key = keys.stamp_and_entry(NAME)

    def shows(cache):
        """Return the version that a look-up of this moment would answer."""
        tokens = f"{cache.get(keys.generation)}.{cache.get(stamp_key)}"
        entry = wire.read(cache.get(entry_key), tokens)
        return entry.code if entry and entry.deadline > 0 else None

    def advance(state, actor):
        """Return the state after the actor's next step; raise if an answer is stale."""
        cache, version, finished = dict(state.cache), state.version, state.finished
        point, floors = state.points[actor], state.floors
        if not point.answers:
            floors = (*floors[:actor], finished, *floors[actor + 1 :])
        name, *args = point.step
        answer = True
        if name == "get_many":
            answer = tuple(map(cache.get, args))
        elif name == "add":
            answer = args[0] not in cache
            cache.setdefault(*args)
        elif name == "set":
            cache[args[0]] = args[1]
        elif name == "delete":
            cache.pop(args[0], None)
        elif name == "probe":
            answer = version
        elif name == "write":
            answer = version = version + 1
        elif name == "answer" and args[0] < floors[actor]:
            raise StaleError
        point = point.after(answer)
        if point.step is None and actors[actor] is not read:
            finished = max(finished, point.answers[0])
        points = (*state.points[:actor], point, *state.points[actor + 1 :])
        return State(
            frozenset(cache.items()),
            version,
            finished,
            points,
            floors,
            state.evictions,
        )

    def successors(state):
        for actor, point in enumerate(state.points):
            # Of two that act alike the first begins first: the rest is its mirror.
            twin = actor > 0 and actors[actor] is actors[actor - 1]
            if twin and not state.points[actor - 1].answers:
                continue
            if point.step is not None:
                yield advance(state, actor)
        if state.evictions:
            for item in state.cache:
                yield state._replace(
                    cache=state.cache - {item}, evictions=state.evictions - 1
                )

    points = tuple(beginning(*numbered) for numbered in enumerate(actors))
    start = State(frozenset(), 0, 0, points, (0,) * len(actors), evictions)
    seen, pending, answering = {start}, [start], 0
    while pending:
        state = pending.pop()
        shown = shows(dict(state.cache))
        answering += shown is not None
        if shown is not None and shown < state.finished:
            return Outcome(len(seen), answering, state)
        try:
            for following in successors(state):
                if following not in seen:
                    seen.add(following)
                    pending.append(following)
        except StaleError:
            return Outcome(len(seen), answering, state)
    return Outcome(len(seen), answering, None)


R, W, C = read, write, write_and_clear
SCENARIOS = {
    # (With an eviction more it has 2.8 million states, none of them stale.)
    "two and two": ([R, R, W, W], 0, {"atomic": True}),
    "two readers, an eviction": ([R, R, W], 1, {}),
    "two writers, an eviction": ([R, W, W], 1, {}),
    "an add that is no add": ([R, R, W], 0, {"racy_add": True}),
    "an add sent twice": ([R, R, W], 0, {"resends": True}),
    "clear": ([R, R, C], 1, {}),
    "invalidate and clear": ([R, W, C], 1, {}),
    "several names at once": ([R, R, W], 1, {"make": ManyAtOnce}),
}
# Those with few states.
FEW = {"an add that is no add", "an add sent twice"}


@pytest.mark.parametrize(
    ("actors", "evictions", "how"),
    [
        pytest.param(*each, id=name, marks=() if name in FEW else pytest.mark.slow)
        for name, each in SCENARIOS.items()
    ],
)
def test_no_interleaving_shows_a_stale_entry(actors, evictions, how):
    """Nothing older than a finished write is ever visible, whoever goes when."""
    outcome = explore(actors, evictions, **how)
    assert outcome.stale is None
    assert outcome.states > 1000
    assert outcome.answering > 100


@pytest.mark.parametrize(
    ("make", "actors", "evictions", "how"),
    [
        # A stamp has to be there before the backend is asked ...
        (StampedLate, [read, write], 1, {}),
        # ... and has to be replaced, since a deleted one can be brought back.
        (StampedLateDeleting, [read, write], 0, {}),
        (Deleting, [read, read, write], 0, {"resends": True}),
    ],
)
def test_the_search_finds_what_is_wrong_with_simpler_schemes(
    make, actors, evictions, how
):
    """The search is no formality: each simplification has a stale state."""
    assert explore(actors, evictions, make, **how).stale is not None


@pytest.mark.slow
def test_a_resent_add_after_an_eviction_is_the_known_limit():
    """A client that resends commands, and evictions just then: a late fill counts."""
    assert explore([read, read, write], 1, resends=True).stale is not None
