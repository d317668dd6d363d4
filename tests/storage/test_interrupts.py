"""An exception from outside, at every moment of every operation.

Ctrl-C, or what a task queue's signal handler raises. Whatever it ends: no entry is
stale, no name reserved, no flight in the air, no lock held, no part of a file left, and
the next call does what it should.

A few moments are drawn. ``HYPOTHESIS_PROFILE=thorough`` tries all, and prints how many
there are, how many were tried, and how many failed; of shared stores those in which the
memo is at work, for the others are those of the local one.
"""

from __future__ import annotations

import functools
import pprint
import random
import sys

import pytest
from interrupted import CHAINS, NEW, OPERATIONS, SPECIAL, World
from interrupts import IN_MEMO, WITHIN, Moments, TimeLimitError, fail
from proofs import THOROUGH

# Moments of one operation that are tried where not all are.
FEW = 3

STORES = {
    "local": None,
    "django": {"ALIAS": "django"},
    "redis": {"ALIAS": "redis"},
}
LOCMEM = "django.core.cache.backends.locmem.LocMemCache"
REDIS = "django.core.cache.backends.redis.RedisCache"


def but_one(first, *others):
    """The first, and the others for slow tests."""
    return [first, *(pytest.param(each, marks=pytest.mark.slow) for each in others)]


@pytest.fixture(params=but_one("local", "django", "redis"))
def cache(request, settings):
    settings.CACHES = {**settings.CACHES, "django": {"BACKEND": LOCMEM}}
    if request.param == "redis":
        location = request.getfixturevalue("valkey").url
        # A machine that is busy is no failure of the store.
        patient = {"socket_timeout": 60, "socket_connect_timeout": 60}
        alias = {"BACKEND": REDIS, "LOCATION": location, "OPTIONS": patient}
        settings.CACHES["redis"] = alias
    return STORES[request.param]


@pytest.fixture(autouse=True)
def unraisable(monkeypatch):
    """What an interrupt leaves open is closed when its frames go, and says so."""
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)


def nothing(world):
    return {}


def run(make, operation, events=nothing):
    """Return the moments, and what is wrong when these things came in between.

    ``events`` returns them for a world, by the number of their moment.
    """
    lost = []
    sys.unraisablehook = lost.append
    world = make()
    files = IN_MEMO if world.is_shared else WITHIN
    world.moments = moments = Moments(events(world), files)
    faults = []
    try:
        if operation in SPECIAL:
            SPECIAL[operation](world)
        else:
            with moments:
                OPERATIONS[operation](world)
    except (KeyboardInterrupt, TimeLimitError):
        # In here the frames are still alive.
        faults += world.faults()
    except NotImplementedError:  # buckets have no paths
        faults += world.faults()
    except Exception as error:
        faults += [f"raised {type(error).__name__}"] if events is nothing else []
        faults += world.faults()
    else:
        faults += world.faults()
    faults += [f"at last: {fault}" for fault in world.faults_at_last()]
    world.close(afresh=bool(faults))
    # What a buffer was left with went to a descriptor that others may have by now.
    errors = [each.exc_value for each in lost]
    faults += [f"lost: {error!r}" for error in errors if isinstance(error, OSError)]
    return moments, faults


def try_moments(make, operation, events_at, moments_of, title, capsys):
    """Try moments of an operation; ``moments_of(count)`` chooses them."""
    moments, faults = run(make, operation)
    count = moments.passed
    assert faults == []
    if not count and not title.startswith("local"):
        return  # of shared stores only what the memo does is tried
    assert count > 0
    tried, wrong = 0, {}
    for moment in moments_of(count):
        tried += 1
        moments, faults = run(make, operation, functools.partial(events_at, moment))
        if faults:
            wrong[f"{moment} {moments.places}"] = faults
    if THOROUGH:
        with capsys.disabled():
            print(f"\n{title} {operation:15} {count:5} {tried:5} {len(wrong):5}")  # noqa: T201
    assert not wrong, f"{len(wrong)} of {tried}: {pprint.pformat(wrong, width=200)}"


def drawn(seed, few=FEW):
    """Return what draws moments: all of them, or a few."""

    def draw(count):
        everything = range(1, count + 1)
        if THOROUGH:
            return everything
        return sorted(random.Random(seed).sample(everything, min(few, count)))

    return draw


def name_of(cache):
    return cache["ALIAS"] if cache else "local"


@pytest.mark.parametrize("operation", [*OPERATIONS, *SPECIAL])
@pytest.mark.parametrize("chain", but_one(*CHAINS))
def test_an_interrupt_leaves_nothing(cache, tmp_path, chain, operation, capsys):
    def interrupt(moment, world):
        return {moment: fail((KeyboardInterrupt, TimeLimitError)[moment % 2])}

    make = functools.partial(World, tmp_path / "world", chain, cache)
    draw = drawn(f"{chain} {operation}")
    title = f"{name_of(cache):7} {chain:8}"
    try_moments(make, operation, interrupt, draw, title, capsys)


WRITES = ["write", "save", "delete-below", "read-promote", "exists", "resolve_many"]


@pytest.mark.parametrize("operation", WRITES)
def test_the_collector_closes_a_written_file(cache, tmp_path, operation, capsys):
    """In the middle of the operation, on its thread: whatever lock that holds."""

    def close(moment, world):
        file = world.opened(NEW, "wb")
        # To open one takes some steps off the operation: the last may not come.
        world.uploads.append(file)
        return {moment: file.close}

    make = functools.partial(World, tmp_path / "world", "mirror", cache)
    title = f"{name_of(cache):7} collector"
    try_moments(make, operation, close, drawn(operation), title, capsys)


@pytest.mark.parametrize("operation", WRITES)
def test_an_interrupt_beside_another_thread(cache, tmp_path, operation, capsys):
    """That thread does something with the same names, from an earlier moment on."""

    def interrupt(moment, world):
        choices = random.Random(f"{operation} {moment}")
        act = OPERATIONS[choices.choice(WRITES)]
        begin = functools.partial(world.begin, act)
        # (At the same moment it is only interrupted.)
        return {choices.randint(1, moment): begin, moment: fail(KeyboardInterrupt)}

    make = functools.partial(World, tmp_path / "world", "mirror", cache)
    title = f"{name_of(cache):7} threads "
    few = drawn(operation, few=3)
    try_moments(make, operation, interrupt, few, title, capsys)
