"""What is kept for one request: what voids it, who sees it, what it costs."""

from __future__ import annotations

import gc
import multiprocessing
import threading
from contextvars import copy_context

import pytest

from fallback_storage.cache import snapshots
from fallback_storage.cache.entry import held
from fallback_storage.cache.snapshots import MAX_CALLS, MAX_SECONDS, Snapshot


@pytest.fixture(autouse=True)
def own_request():
    snapshots.end()
    yield
    snapshots.end()


@pytest.fixture
def token():
    return object()


def test_it_answers_what_it_keeps(clock):
    snapshot = Snapshot(clock)
    snapshot.keep({"a": held(1), "b": 0})
    assert [snapshot.peek(name) for name in "abc"] == [held(1), 0, None]


def test_what_is_invalidated_is_forgotten_and_not_kept_again(clock):
    """What is to be kept now may have been read before."""
    snapshot = Snapshot(clock)
    snapshot.keep({"a": 1})
    snapshot.invalidate({"a", "b"})
    snapshot.keep({"a": 1, "b": 1, "c": 1})
    assert [snapshot.peek(name) for name in "abc"] == [None, None, 1]


def test_after_clear_nothing_is_kept(clock):
    snapshot = Snapshot(clock)
    snapshot.keep({"a": 1})
    snapshot.clear()
    snapshot.keep({"a": 1, "b": 1})
    snapshot.invalidate({"c"})
    assert snapshot.peek("a") is snapshot.peek("b") is None
    assert snapshot.is_over()


def test_it_is_over_after_some_seconds(clock):
    """And then it grows no more, whatever is written in a process without requests."""
    snapshot = Snapshot(clock)
    snapshot.keep({"a": 1})
    clock.tick(MAX_SECONDS - 0.01)
    snapshot.invalidate({"b"})
    assert snapshot.peek("a") == 1
    assert not snapshot.is_over()
    clock.tick(0.02)
    assert snapshot.peek("a") is None
    assert snapshot.is_over()
    snapshot.invalidate(map(str, range(1000)))
    assert not snapshot._void
    assert not snapshot._codes


def test_an_earlier_one_is_used_as_well(clock, token):
    """The newest first; not more than a page has parts, and none that is over."""
    first = snapshots.begin(token, clock)
    first.keep({"a": 1})
    second = snapshots.begin(token, clock)
    assert snapshots.current(token) == (second, first)
    other = snapshots.begin(object(), clock)
    assert other not in snapshots.current(token)
    for _ in range(2 * MAX_CALLS):
        last = snapshots.begin(token, clock)
    assert len(snapshots.current(token)) == MAX_CALLS
    assert snapshots.current(token)[0] is last
    clock.tick(MAX_SECONDS)
    new = snapshots.begin(token, clock)
    assert snapshots.current(token) == (new,)
    assert list(snapshots._current.get()) == [token]


def test_an_invalidation_reaches_all_of_them(clock, token):
    """Those of every memo, thread and context."""
    seen = [snapshots.begin(token, clock), snapshots.begin(object(), clock)]
    thread = threading.Thread(target=lambda: seen.append(snapshots.begin(token, clock)))
    thread.start()
    thread.join(10)
    for snapshot in seen:
        snapshot.keep({"a": 1, "b": 1})
    snapshots.invalidate({"a"})
    assert [snapshot.peek("a") for snapshot in seen] == [None] * 3
    assert [snapshot.peek("b") for snapshot in seen] == [1] * 3
    snapshots.clear()
    assert [snapshot.peek("b") for snapshot in seen] == [None] * 3


def test_a_context_keeps_to_itself(clock, token):
    """A copy sees what was begun before it was made; what it begins nobody else sees."""
    outer = snapshots.begin(token, clock)
    copy = copy_context()
    later = snapshots.begin(token, clock)
    assert copy.run(snapshots.current, token) == (outer,)
    copy.run(snapshots.end)
    assert snapshots.current(token) == (later, outer)
    assert copy.run(snapshots.current, token) == ()
    copy.run(snapshots.begin, token, clock)
    assert snapshots.current(token) == (later, outer)


def test_what_has_ended_is_freed(clock, token):
    """Nothing but the request holds a snapshot."""
    gc.collect()  # those of other tests
    before = len(snapshots._live.snapshots)
    for _ in range(100):
        snapshots.begin(token, clock)
        snapshots.end()
    gc.collect()
    assert len(snapshots._live.snapshots) == before


def _child(token, queue):
    queue.put(snapshots.current(token) == ())
    snapshots.invalidate({"a"})
    queue.put(snapshots.begin(token, lambda: 0.0).peek("a") is None)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_starts_without(clock, token):
    """It knows nothing of the page that its parent was making."""
    snapshots.begin(token, clock).keep({"a": 1})
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=_child, args=(token, queue))
    child.start()
    child.join(20)
    assert child.exitcode == 0
    assert queue.get()
    assert queue.get()
