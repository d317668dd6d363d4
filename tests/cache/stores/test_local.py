"""What only the store in process memory promises: bounds, order, fork, groups."""

from __future__ import annotations

from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proofs import searching

from fallback_storage.cache.entry import MAX_CHAIN, NOWHERE, from_, held
from fallback_storage.cache.stores import leases, local
from fallback_storage.cache.stores.base import EVERY
from fallback_storage.cache.stores.local import LocalStore
from fallback_storage.utils import forks

FIRST = held(0)


@pytest.fixture
def make_store(clock):
    def make(max_entries=10):
        return LocalStore(max_entries, clock)

    return make


def lease_of(store, name):
    return store.look_up([name])[name][1]


def fill(store, name, code=FIRST, ttl=60.0):
    return store.fill(name, lease_of(store, name), code, ttl)


def known(store, names):
    """Return the names that are known, without using them."""
    return [
        name
        for name in names
        if name in store.known.entries or name in store.absent.entries
    ]


def test_the_bound_of_known_names_holds_exactly(make_store):
    """``max_entries`` names are kept, not one more and not one less."""
    store = make_store(10)
    names = [str(number) for number in range(25)]
    for count, name in enumerate(names, 1):
        fill(store, name)
        assert store.stats()["entries"] == min(count, 10)
    assert known(store, names) == names[15:]


def test_the_bound_of_negatives_is_a_tenth_and_holds_exactly(make_store):
    """Of names that nobody holds a tenth of ``max_entries`` is kept."""
    store = make_store(100)
    names = [str(number) for number in range(25)]
    for count, name in enumerate(names, 1):
        fill(store, name, NOWHERE)
        assert store.stats()["negative_entries"] == min(count, 10)
    assert known(store, names) == names[15:]


def test_the_smallest_store_keeps_one_name_of_each_kind(make_store):
    """``max_entries=1`` keeps one known name and one negative."""
    store = make_store(1)
    fill(store, "a", held(0))
    fill(store, "b", NOWHERE)
    assert (store.peek("a"), store.peek("b")) == (held(0), NOWHERE)
    fill(store, "c", held(1))
    fill(store, "d", NOWHERE)
    assert [store.peek(name) for name in "abcd"] == [None, None, held(1), NOWHERE]


def test_a_flood_of_unknown_names_evicts_nothing_known(make_store):
    """Whoever asks for names that do not exist cannot push out what is known."""
    store = make_store(10)
    names = [f"known{number}" for number in range(10)]
    for name in names:
        fill(store, name, held(1))
    for number in range(10_000):
        fill(store, f"unknown{number}", NOWHERE)
    assert all(store.peek(name) == held(1) for name in names)
    assert store.stats()["negative_entries"] == 1


def test_a_name_is_known_in_one_way_only(make_store):
    """A name that appears, or goes away, leaves its entry of the other kind."""
    store = make_store(10)
    fill(store, "a", NOWHERE)
    fill(store, "a", held(1))
    assert store.peek("a") == held(1)
    assert (store.stats()["entries"], store.stats()["negative_entries"]) == (1, 0)
    fill(store, "a", NOWHERE)
    assert store.peek("a") == NOWHERE
    assert (store.stats()["entries"], store.stats()["negative_entries"]) == (0, 1)


@pytest.mark.parametrize("touch", ["peek", "look_up", "look_up_one"])
def test_a_name_that_was_used_stays_while_others_were_not(make_store, touch):
    """Used is what was found by a peek or a look-up; the oldest goes of the others."""
    store = make_store(3)
    for name in "abc":
        fill(store, name)
    getattr(store, touch)(["a"] if touch == "look_up" else "a")
    fill(store, "d")
    assert known(store, "abcd") == ["a", "c", "d"]
    fill(store, "e")
    assert known(store, "abcde") == ["a", "d", "e"]


def test_a_name_is_not_used_by_being_filled_again(make_store):
    """Else who reads all names, once in a lifetime, would have used all of them."""
    store = make_store(3)
    for name in "abca":
        fill(store, name) if name not in known(store, "abc") else store.fill(
            name, leases.leases.of(name), FIRST, 60.0
        )
    fill(store, "d")
    assert known(store, "abcd") == ["b", "c", "d"]


def test_a_scan_evicts_no_name_that_is_in_use(make_store):
    """Least recently used would forget them all."""
    store = make_store(100)
    used = [f"used{number}" for number in range(50)]
    for number in range(1000):
        fill(store, f"once{number}")
        if number % 20 == 0:
            for name in used:
                store.peek(name) or fill(store, name)
    assert known(store, used) == used


@pytest.mark.parametrize("code", [FIRST, NOWHERE])
def test_names_that_come_and_go_take_no_more_room(make_store, code):
    """Of a name that is forgotten the place is kept, and taken again."""
    store = make_store(10)
    for _ in range(100):
        for name in "abc":
            fill(store, name, code)
            fill(store, name, held(1))
        store.invalidate(["a"])
    for table in (store.known, store.absent):
        assert sum(map(len, table._queues)) <= 3
        assert len(table) == sum(name in known(store, "bc") for name in "bc") or (
            table is store.absent
        )


def test_a_lease_is_void_after_invalidation_and_eviction(make_store):
    """The right to fill is not kept with the entry: eviction does not renew it."""
    store = make_store(2)
    fill(store, "a")
    lease = lease_of(store, "a")
    store.invalidate(["a"])
    for name in "bcde":
        fill(store, name)
    assert not store.fill("a", lease, held(1), 60.0)
    assert store.peek("a") is None


def test_a_lease_outlives_eviction_without_invalidation(make_store):
    """Eviction alone voids nothing: the answer is still right."""
    store = make_store(2)
    fill(store, "a")
    lease = lease_of(store, "a")
    for name in "bcd":
        fill(store, name)
    assert store.fill("a", lease, held(1), 60.0)
    assert store.peek("a") == held(1)


def test_a_write_may_cost_another_name_one_walk_and_no_more(make_store, monkeypatch):
    """Names of one group share the voiding of leases, not of entries."""
    for module in (leases, local):
        monkeypatch.setattr(module, "GROUPS", 1)
    store = make_store()
    fill(store, "kept", held(1))
    lease = lease_of(store, "other")
    store.invalidate(["a"])
    assert not store.fill("other", lease, held(0), 60.0)
    assert store.peek("kept") == held(1)
    assert fill(store, "other")


def test_a_lease_on_every_name_ends_with_its_own_invalidation_only(
    make_store, monkeypatch
):
    """Else a warm-up, which forgets what it renews, would void its own marker."""
    for module in (leases, local):
        monkeypatch.setattr(module, "GROUPS", 1)
    store = make_store()
    lease = lease_of(store, EVERY)
    store.invalidate(["a"])
    assert lease_of(store, EVERY) == lease
    store.invalidate([EVERY])
    assert lease_of(store, EVERY) != lease
    lease = lease_of(store, EVERY)
    store.clear()
    assert lease_of(store, EVERY) != lease


@pytest.mark.parametrize("code", [held(MAX_CHAIN - 1), from_(MAX_CHAIN - 1), held(0)])
@pytest.mark.parametrize("now", [0.0, 1000.0, 4e9])
def test_code_and_expiry_do_not_run_into_each_other(code, now):
    """The longest chain and a clock of any height fit into one integer."""
    store = LocalStore(clock=lambda: now)
    assert fill(store, "a", code, ttl=1e9)
    assert store.peek("a") == code
    assert store.look_up(["a"])["a"][0] == code


def test_stats_count_peeks_that_answered_and_entries(make_store, clock):
    """Hits by kind; an expired entry is no hit, and counts until it is replaced."""
    store = make_store()
    fill(store, "a", held(0), ttl=5)
    fill(store, "b", NOWHERE, ttl=5)
    for name in ("a", "a", "b", "c"):
        store.peek(name)
    counts = {"hits": 2, "negative_hits": 1, "entries": 1, "negative_entries": 1}
    assert store.stats() == counts
    clock.tick(5)
    store.peek("a")
    store.peek("b")
    assert store.stats() == counts
    store.look_up(["a", "b"])
    assert store.stats() == {**counts, "entries": 0, "negative_entries": 0}


def test_after_a_fork_nothing_is_known_and_the_lock_is_free(make_store):
    """A child starts empty, even if another thread held the lock at the fork."""
    store = make_store()
    fill(store, "a")
    store.peek("a")
    leases.leases.lock.acquire()
    forks._in_child()
    assert store.peek("a") is None
    assert set(store.stats().values()) == {0}
    assert fill(store, "a")


def test_a_hit_waits_for_nobody(make_store):
    """Threads that answer from memory do not take turns."""
    store = make_store()
    fill(store, "a")
    fill(store, "b", NOWHERE)
    found = []
    with leases.leases.lock:
        reader = Thread(target=lambda: found.extend(map(store.peek, "abc")))
        reader.start()
        reader.join(30)
    assert found == [FIRST, NOWHERE, None]


def test_a_lease_of_the_parent_is_void_in_the_child(make_store):
    """A fork in the middle of a walk does not renew a lease that was voided before."""
    store = make_store()
    lease = lease_of(store, "a")
    store.invalidate(["a"])
    forks._in_child()
    assert not store.fill("a", lease, held(1), 60.0)


@searching(100)
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(
                st.just("fill"),
                st.sampled_from("abcd"),
                st.integers(0, 5),
                st.sampled_from([0.5, 5.0, 50.0]),
            ),
            st.tuples(st.just("lease"), st.sampled_from("abcd")),
            st.tuples(st.just("late"), st.sampled_from("abcd"), st.integers(0, 5)),
            st.tuples(st.just("invalidate"), st.sets(st.sampled_from("abcd"))),
            st.tuples(st.just("clear")),
            st.tuples(st.just("tick"), st.sampled_from([0.25, 1.0, 10.0])),
        ),
        max_size=30,
    )
)
def test_any_sequence_of_calls_agrees_with_a_dictionary(steps):
    """Below its bounds the store is a dictionary with expiry and leases."""
    now = [100.0]
    store = LocalStore(clock=lambda: now[0])
    model, leases, valid = {}, {}, set()

    def remember(name, code, ttl):
        expiry = now[0] + ttl
        _, before = model.get(name, (None, 0.0))
        # What rests on an entry that is still alive gets no older than that.
        model[name] = (code, min(expiry, before) if before > now[0] else expiry)

    for step, *rest in steps:
        if step == "fill":
            name, code, ttl = rest
            assert fill(store, name, code, ttl)
            remember(name, code, ttl)
        elif step == "lease":
            leases[rest[0]] = lease_of(store, rest[0])
            valid.add(rest[0])
        elif step == "late":
            name, code = rest
            kept = store.fill(name, leases.get(name), code, 1.0)
            # Groups: another name's write may void this lease, never the reverse.
            assert name in valid or not kept
            if kept:
                remember(name, code, 1.0)
        elif step == "invalidate":
            store.invalidate(rest[0])
            model = {key: kept for key, kept in model.items() if key not in rest[0]}
            valid -= rest[0]
        elif step == "clear":
            store.clear()
            model.clear()
            valid.clear()
        else:
            now[0] += rest[0]
        for name in "abcd":
            code, expiry = model.get(name, (None, 0.0))
            expected = code if expiry > now[0] else None
            assert store.peek(name) == expected
            if step != "tick":
                assert store.look_up([name])[name][0] == expected


def test_what_completes_an_entry_that_was_evicted_gets_no_older_than_it(clock):
    """The deadline goes with the lease, not with the entry."""
    store = LocalStore(max_entries=1, clock=clock)
    fill(store, "a", from_(1), ttl=30.0)
    lease = store.look_up_one("a")[1]
    fill(store, "b", held(0), ttl=60.0)
    assert store.peek("a") is None
    assert store.fill("a", lease, held(1), 60.0)
    assert 29 < store.seconds_left("a") <= 30


def test_what_is_over_goes_first(clock):
    """It takes room of the known names, and leaves it to the first that needs it."""
    store = LocalStore(max_entries=3, clock=clock, grace=600)

    def fill(name):
        store.fill(name, store.look_up_one(name)[1], held(1), 60.0)

    fill("old")
    clock.tick(61)
    assert store.look_up_one("old")[0] is None
    fill("a")
    fill("b")
    assert store.stats()["entries"] == 3
    assert store.look_up_held(["old"]) == {"old": held(1)}
    fill("c")
    assert store.stats()["entries"] == 3
    assert store.look_up_held(["old"]) == {}
    assert [store.peek(name) for name in "abc"] == [held(1)] * 3


def test_without_a_grace_nothing_is_kept_that_is_over(clock):
    """No memory is spent on it."""
    store = LocalStore(clock=clock)
    store.fill("a", store.look_up_one("a")[1], held(1), 60.0)
    clock.tick(61)
    assert store.look_up_held(["a"]) == {}
    store.look_up_one("a")
    assert store.stats()["entries"] == 0
