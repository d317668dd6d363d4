"""The memo's policy: lifetimes, counters, and whom an invalidation reaches."""

from __future__ import annotations

import gc
import weakref

import pytest

from fallback_storage.cache import invalidation
from fallback_storage.cache.entry import HIDDEN, NOWHERE, from_, held
from fallback_storage.cache.memo import Memo
from fallback_storage.cache.stores.base import Store
from fallback_storage.cache.stores.local import LocalStore
from fallback_storage.cache.stores.null import NullStore


@pytest.fixture
def make_memo(clock):
    def make(chain_length=2, **options):
        return Memo(LocalStore(clock=clock), chain_length, **options)

    return make


def remember(memo, name, code):
    _, lease = memo.look_up(name)
    return memo.fill(name, lease, code)


class BareStore(Store):
    """Only what the contract demands: a dict that voids no lease."""

    def __init__(self):
        self.codes = {}
        self.closed = False

    def look_up(self, names):
        return {name: (self.codes.get(name), None) for name in names}

    def fill(self, name, lease, code, ttl):
        self.codes[name] = code
        return name != "refused"

    def invalidate(self, names):
        for name in names:
            self.codes.pop(name, None)

    def clear(self):
        self.codes.clear()

    def close(self):
        super().close()
        self.closed = True


def test_without_a_memo_nothing_is_known():
    """A store that keeps nothing, which ``cache=False`` gives."""
    memo = Memo(NullStore(), 2, ttl=0)
    assert memo.look_up("a") == (None, None)
    assert memo.look_up_many(["a", "b"]) == {"a": (None, None), "b": (None, None)}
    assert memo.fill("a", None, held(0)) is False
    assert memo.peek("a") is None
    assert memo.look_up("a") == (None, None)
    assert memo.remembers is False
    memo.forget(["a"])
    memo.forget_all()


@pytest.mark.parametrize("code", [held(0), held(1), from_(1)])
def test_what_is_known_lives_for_ttl(make_memo, clock, code):
    """A known holder, or a known-miss prefix, lives for ``ttl`` seconds."""
    memo = make_memo(ttl=300, negative_ttl=5)
    assert remember(memo, "a", code)
    clock.tick(299.9)
    assert memo.look_up("a")[0] == memo.peek("a") == code
    clock.tick(0.1)
    assert memo.peek("a") is None
    assert memo.look_up("a")[0] is None


@pytest.mark.parametrize("code", [NOWHERE, HIDDEN], ids=["nowhere", "hidden"])
def test_held_by_none_lives_for_negative_ttl(make_memo, clock, code):
    """That nobody holds a name is forgotten after ``negative_ttl`` seconds."""
    memo = make_memo(ttl=300, negative_ttl=5)
    assert remember(memo, "a", code)
    clock.tick(4.9)
    assert memo.look_up("a")[0] == memo.peek("a") == code
    clock.tick(0.1)
    assert memo.peek("a") is None
    assert memo.look_up("a")[0] is None


@pytest.mark.parametrize(
    ("ttls", "forgotten", "kept"),
    [
        ({"ttl": 0}, held(0), NOWHERE),
        ({"ttl": 0}, from_(1), NOWHERE),
        ({"negative_ttl": 0}, NOWHERE, held(0)),
    ],
)
def test_a_lifetime_of_zero_remembers_nothing_of_its_kind(
    make_memo, ttls, forgotten, kept
):
    """Zero seconds: not filled, waiters are told so; the other kind is unaffected."""
    memo = make_memo(**ttls)
    assert remember(memo, "a", forgotten) is False
    assert memo.look_up("a")[0] is None
    assert remember(memo, "b", kept) is True
    assert memo.look_up("b")[0] == kept


@pytest.mark.parametrize("code", [held(2), from_(2), -1])
def test_a_code_of_a_longer_chain_is_a_miss(code):
    """An entry that this chain cannot have written is never believed."""
    store = BareStore()
    memo = Memo(store, chain_length=2)
    store.codes["a"] = code
    assert memo.look_up("a") == (None, None)
    assert memo.stats()["misses"] == 1


def test_a_late_fill_is_counted_and_not_worth_a_walk_of_ones_own(make_memo):
    """Whoever waited for a fill that came too late looks the name up again."""
    memo = make_memo()
    _, lease = memo.look_up("a")
    memo.forget(["a"])
    assert memo.fill("a", lease, held(0)) is True
    assert memo.look_up("a")[0] is None
    assert memo.stats()["late_fills"] == 1
    assert memo.stats()["fills"] == 0


def test_stats_add_up_the_memo_and_its_store(make_memo):
    """Look-ups count in the memo, peeks in the store; the sum is shown."""
    memo = make_memo()
    remember(memo, "a", held(1))
    remember(memo, "b", NOWHERE)
    memo.look_up_many(["a", "b", "c"])
    memo.peek("a")
    memo.peek("b")
    memo.peek("c")
    assert memo.stats() == {
        "hits": 2,
        "negative_hits": 2,
        "misses": 3,
        "fills": 2,
        "late_fills": 0,
        "entries": 1,
        "negative_entries": 1,
    }


def test_a_store_needs_four_methods_only():
    """The rest of the contract has defaults: no peek, no counters, one fill at a time."""
    store = BareStore()
    memo = Memo(store, chain_length=2)
    assert memo.peek("a") is None
    fills = {"a": (None, held(0), 9.0), "refused": (None, held(1), 9.0)}
    assert store.fill_many(fills) == 1
    assert store.codes["a"] == held(0)
    assert memo.look_up("a")[0] == held(0)
    memo.forget_all()
    assert memo.look_up("a")[0] is None
    assert set(memo.stats()) == {
        "hits", "negative_hits", "misses", "fills", "late_fills",
    }  # fmt: skip


def test_forget_reaches_this_memo_only(make_memo):
    """What one memo finds out to be wrong says nothing about another chain's memo."""
    one, other = make_memo(), make_memo()
    for memo in (one, other):
        remember(memo, "a", held(0))
    one.forget(["a"])
    assert one.peek("a") is None
    assert other.peek("a") == held(0)
    other.forget_all()
    assert other.peek("a") is None


def test_invalidate_reaches_every_memo_and_only_the_names_given(make_memo):
    """A write through any instance is forgotten in all of them."""
    every = [make_memo(), make_memo(chain_length=3)]
    leases = []
    for memo in every:
        remember(memo, "a", held(0))
        remember(memo, "b", held(1))
        leases.append(memo.look_up("c")[1])
    invalidation.invalidate({"a", "c"})
    for memo, lease in zip(every, leases, strict=True):
        assert memo.peek("a") is None
        assert memo.peek("b") == held(1)
        memo.fill("c", lease, held(0))
        assert memo.peek("c") is None


def test_invalidate_all_empties_every_memo(make_memo):
    """A change whose extent is not known is forgotten in all memos, all names."""
    every = [make_memo(), make_memo(chain_length=3)]
    leases = []
    for memo in every:
        remember(memo, "a", held(0))
        remember(memo, "b", NOWHERE)
        leases.append(memo.look_up("c")[1])
    invalidation.invalidate(None)
    for memo, lease in zip(every, leases, strict=True):
        assert memo.peek("a") is memo.peek("b") is None
        memo.fill("c", lease, held(0))
        assert memo.peek("c") is None


@pytest.mark.parametrize("store", [LocalStore, BareStore])
def test_a_memo_ends_with_its_last_reference(store):
    """A storage that an app throws away takes its memo along, at once.

    The garbage collector may come late, and each write would be told to its store.
    """
    gc.disable()
    try:
        memo = Memo(store(), chain_length=2)
        remember(memo, "a", held(0))
        gone = weakref.ref(memo)
        del memo
        assert gone() is None
    finally:
        gc.enable()
    invalidation.invalidate({"a"})
