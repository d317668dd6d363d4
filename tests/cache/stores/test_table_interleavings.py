"""Every order in which hits, fills, writes, evictions and interrupts can come.

The store's own code, step by step (``tests/support/steps.py``). A reader never gets an
answer older than a write that had returned when it began; no entry is older than one that
has returned, nor outlives what it rests on; the bound holds; and at the end nobody holds
the lock, every name can be evicted, and another name can be filled.

A slice of the orders; ``HYPOTHESIS_PROFILE=thorough`` tries all. Each rule of
CONTRIBUTING ("The table") is taken out of the code, to see that it is needed.
"""

from __future__ import annotations

import sys
import types
from collections import deque
from functools import partial
from pathlib import Path

import pytest
from proofs import THOROUGH
from steps import codes_within, explore

from fallback_storage.cache.entry import NOWHERE, from_, held, is_held
from fallback_storage.cache.stores import leases as leases_module
from fallback_storage.cache.stores import local as local_module
from fallback_storage.cache.stores import table as table_module
from fallback_storage.cache.stores.base import EVERY
from fallback_storage.utils import interrupts

MODULES = {"leases": leases_module, "table": table_module, "local": local_module}
TTL = 8.0
NAMES = "abcdxyz"
# Of a version: "held by", or "not above", which can be completed.
FULL = 50


def full(version):
    return NOWHERE if version % 2 else held(FULL + version)


def part(version):
    return from_(1 + version)


class Code:
    """The three modules, with some lines replaced by others."""

    def __init__(self, changes=()):
        self.codes = codes_within(interrupts.surely.__code__)
        for act in ("hit", "read", "warm", "written", "forget_all", "tick"):
            self.codes |= codes_within(getattr(World, act).__code__)
        modules = {}
        for name, module in MODULES.items():
            source = Path(module.__file__).read_text()
            source = source.replace("GROUPS = 256", "GROUPS = 4")
            source = source.replace("hash(name)", "ord(name[0])")
            for where, old, new in changes:
                if where == name:
                    assert source.count(old) == 1, old
                    source = source.replace(old, new)
            made = types.ModuleType(f"{module.__name__}_here")
            # What one imports of the others is what is made here.
            for other, there in modules.items():
                sys.modules[f"here_{other}"] = there
                source = source.replace(
                    f"from fallback_storage.cache.stores.{other} import",
                    f"from here_{other} import",
                )
            # (Not a file's name, for there would be none when coverage is reported.)
            compiled = compile(source, f"<{name} here>", "exec")
            self.codes |= codes_within(compiled)
            exec(compiled, made.__dict__)
            modules[name] = made
        for other in modules:
            sys.modules.pop(f"here_{other}", None)
        self.leases = modules["leases"].leases
        self.table = modules["table"]
        self.local = modules["local"]
        self.group_of = modules["leases"].group_of


class World:
    """A store, what is true, and what some threads do; see ``steps.Run``.

    The version of a name is how often it was written: nobody holds it while that is odd.
    """

    interrupts = nests = 0
    # Instead of a write.
    nested_reads = ()

    def __init__(self, code, run, *, acts, start=(), bound=1, grace=0.0, **budgets):
        self.code, self.run, self.codes = code, run, code.codes
        self.now = 0.0
        self.truth = dict.fromkeys(NAMES, 0)
        self.done = dict.fromkeys(NAMES, 0)
        self.bound = bound
        self.__dict__.update(budgets)
        code.leases.after_fork()
        self.store = code.local.LocalStore(bound, lambda: self.now, grace)
        self.numbers = {}
        for name, what, is_used in start:
            lease = self.store.look_up_one(name)[1]
            self.store.fill(name, lease, (part if what == "part" else full)(0), TTL)
            if is_used:
                self.store.peek(name)
            if what == "over":
                self.now += TTL
        code.leases.lock = run.lock
        self.acts = [partial(getattr(self, act), *names) for act, *names in acts]

    # What the threads do

    def hit(self, name):
        floor = self.done[name]
        code = self.store.peek(name)
        if code is not None:
            self.expect(name, code, floor)

    def read(self, name, say=full):
        floor = self.done[name]
        code, lease = self.store.look_up_one(name)
        version = self.truth[name]
        if code is not None:
            if say is part or code == NOWHERE or is_held(code):
                self.expect(name, code, floor)
                return
            version = min(version, self.version_of(name, code))
        limit = lease[1] if isinstance(lease, tuple) else self.now + TTL
        self.store.fill(name, lease, say(version), TTL)
        entry = self.store.known.get(name)
        if code is not None and entry is not None and entry.code == say(version):
            assert entry.deadline <= limit, "it outlives what it rests on"
        assert version >= floor, "an answer is too old"

    def learn(self, name):
        self.read(name, part)

    def warm(self, name):
        every = self.store.look_up_one(EVERY)[1]
        version = self.truth[name]
        lease = self.store.look_up_one(name)[1]
        if self.store.look_up_one(EVERY)[1] is every:
            self.store.fill(name, lease, full(version), TTL)

    def write(self, name):
        self.written(name, lambda: self.store.invalidate((EVERY, name)))

    def write_all(self, name):
        self.written(name, self.store.clear)

    def forget_all(self):
        self.store.clear()

    def written(self, name, forget):
        version = self.truth[name] + 1

        def act():
            self.truth[name] = version

        def end():
            self.run.arm()
            forget()

        try:
            interrupts.surely(act, end)
        finally:
            self.done[name] = max(self.done[name], version)

    def tick(self):
        for seconds in map(float, (TTL / 2, TTL / 2, TTL / 2)):
            self.now += seconds

    def nested(self):
        """What the garbage collector does in the middle: it closes a written file."""
        for name in self.nested_reads:
            lease = self.store.look_up_one(name)[1]
            self.store.fill(name, lease, full(self.truth[name]), TTL)
        if self.nested_reads:
            return
        self.truth["a"] += 1
        self.store.invalidate((EVERY, "a"))
        self.done["a"] = self.truth["a"]

    # What is right

    def version_of(self, name, code):
        if code == NOWHERE:
            return self.truth[name] - (not self.truth[name] % 2)
        return (code >> 1) - (FULL if is_held(code) else 1)

    def expect(self, name, code, floor):
        assert self.version_of(name, code) >= floor, "a hit is too old"

    def check(self):
        store = self.store
        # (What is asked in the middle of a fill may take the last place first.)
        spare = self.nests if self.nested_reads else 0
        assert len(store.known.entries) <= self.bound + spare, "the bound does not hold"
        for entries in (store.known.entries, store.absent.entries, store.over):
            for name, entry in list(entries.items()):
                if entries is store.over or entry.deadline > self.now:
                    version = self.version_of(name, entry.code)
                    assert version >= self.done[name], f"a stale entry of {name}"

    def finish(self):
        assert self.run.lock.owner is None, "a lock is held"
        store = self.store
        for table in (store.known, store.absent):
            queued = {*table._queues[0], *table._queues[1]}
            assert queued >= set(table.entries), "a name can never be evicted"
        for name in "xyz":
            lease = store.look_up_one(name)[1]
            assert store.fill(name, lease, full(0), TTL), "nothing can be filled"
        self.nests = 0
        self.check()

    def frozen(self, value):
        if isinstance(value, (int, float, str, type(None))):
            return value
        if isinstance(value, (tuple, list, deque)):
            return tuple(map(self.frozen, value))
        if type(value) is object:
            return "lease", self.numbers.setdefault(value, len(self.numbers))
        if hasattr(value, "deadline"):
            return value.code, value.deadline, value.fresh
        return type(value).__name__, value is self.store.known

    def state(self):
        store = self.store
        current = self.code.leases.current
        shown = [
            tuple((n, e.code, e.deadline, e.fresh) for n, e in entries.items())
            for entries in (store.known.entries, store.absent.entries, store.over)
        ]
        queues = [
            (table._ahead, *map(tuple, table._queues))
            for table in (store.known, store.absent)
        ]
        voided = [
            self.numbers.setdefault(current[self.code.group_of(n)], len(self.numbers))
            for n in (EVERY, "a", "b")
        ]
        lock = self.run.lock
        return hash(
            (
                *shown,
                *queues,
                *voided,
                lock.owner,
                lock.depth,
                self.now,
                *self.truth.values(),
                *self.done.values(),
            )
        )


def of(*acts, **options):
    return {"acts": acts, **options}


A, USED, PARTLY = ("a", "full", False), ("a", "full", True), ("a", "part", False)
OVER = ("a", "over", False)
H, R, L, W, B = (
    ("hit", "a"),
    ("read", "a"),
    ("learn", "a"),
    ("write", "a"),
    ("read", "b"),
)
SCENARIOS = {
    "hit, write": of(H, W, start=[A]),
    "hit, fill, write": of(H, R, W, start=[A]),
    "refine": of(R, W, start=[PARTLY]),
    "refine, hit": of(R, H, W, start=[PARTLY]),
    "learn": of(L, W),
    "learn, read": of(R, L, W),
    "two writers": of(W, R, W, start=[PARTLY]),
    "evict": of(B, H, W, start=[A]),
    "evict, used": of(B, R, W, start=[USED]),
    "bound 2": of(B, H, W, start=[USED, ("c", "full", False)], bound=2),
    "clear": of(("write_all", "a"), R, H, start=[PARTLY]),
    "warm": of(("warm", "a"), W),
    "warm, clear": of(("warm", "a"), ("write_all", "a")),
    "expiry": of(R, ("tick",), H, start=[PARTLY]),
    "grace": of(L, W, start=[OVER], grace=99.0),
    "grace, nested": of(L, start=[OVER], grace=99.0, nests=1),
    "interrupted writer": of(W, R, start=[PARTLY], interrupts=1),
    "interrupted clear": of(("write_all", "a"), R, start=[PARTLY], interrupts=1),
    "interrupted eviction": of(B, H, start=[USED], interrupts=1),
    "interrupted hit": of(H, R, start=[A], interrupts=1),
    "nested, interrupted": of(R, start=[PARTLY], nests=1, interrupts=1),
    "nested in fill": of(R, H, start=[PARTLY], nests=1),
    "nested in hit": of(H, R, start=[A], nests=1),
    "nested in evict": of(B, H, start=[USED], nests=1),
    "nested in writer": of(W, R, start=[PARTLY], nests=2),
    "nested in clear": of(("write_all", "b"), R, nests=2),
    "nested in learn": of(L, nests=1),
    "nested reads": of(B, start=[A], nests=1, nested_reads="cd"),
    "nested reads in evict": of(B, start=[A], nests=1, nested_reads=("c", "d", "a")),
    "nested read in write": of(W, start=[A], nests=1, nested_reads="c"),
    "interrupted forget_all": of(("forget_all",), start=[A], interrupts=1),
}


def explored(scenario, code, runs=None):
    make = partial(World, code, **SCENARIOS[scenario])
    return explore(make, code.codes, runs)


@pytest.fixture(scope="module")
def code():
    return Code()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_some_orders(code, scenario):
    """Those with few turns of threads, and some others."""
    _, error, chosen = explored(scenario, code, 20)
    assert error is None, (error, chosen)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_many_orders(code, scenario):
    """All of them, when there is time."""
    _, error, chosen = explored(scenario, code, None if THOROUGH else 150)
    assert error is None, (error, chosen)


CALL = "len(name)"
FILL = "            return self._fill(name, lease, code, ttl, self._clock())"
RULES = {
    "a writer forgets, then voids": (
        "refine",
        (
            "local",
            "        for store in stores:",
            "        leases.void(names)\n        for store in stores:",
        ),
        (
            "local",
            "                store.over.pop(name, None)\n        leases.void(names)",
            "                store.over.pop(name, None)",
        ),
    ),
    "a writer has the lock": (
        "learn",
        (
            "local",
            "    with leases.lock:\n        for store",
            "    if True:\n        for store",
        ),
    ),
    "a writer forgets in both tables": (
        "two writers",
        ("local", "            store.absent.forget(names)\n", ""),
    ),
    "EVERY is voided before the names": (
        "warm",
        ("leases", "for name in names:", "for name in reversed(names):"),
    ),
    "EVERY is voided before the names, by clear, too": (
        "warm, clear",
        (
            "leases",
            "        self.current[-1] = fresh.pop()\n        self.current[:-1] = fresh\n",
            "        self.current[:-1] = fresh[:-1]\n        self.current[-1] = fresh[-1]\n",
        ),
    ),
    "no lease comes again": (
        "two writers",
        ("leases", "[object() for _ in range(", "[False for _ in range("),
        ("leases", "% GROUPS] = object()", "% GROUPS] = not current[group_of(name)]"),
    ),
    "a reader takes the lease first": (
        "refine",
        ("local", "(lease, entry.deadline)", "(leases.of(name), entry.deadline)"),
    ),
    "what completes an entry ends with it": (
        "expiry",
        ("local", "            deadline = min(deadline, last)", "            pass"),
    ),
    "a fill looks at the lease last": (
        "nested in fill",
        ("table", "if lease is not leases[group] or name not in", "if name not in"),
    ),
    "a new name's fill looks at the lease last": (
        "nested in learn",
        ("table", "if lease is not leases[group] or not queue", "if not queue"),
    ),
    "nothing is called between a fill's look and its store": (
        "nested in fill",
        (
            "table",
            "        entries[name] = entry",
            f"        {CALL}\n        entries[name] = entry",
        ),
    ),
    "a fill has the lock": (
        "learn",
        ("local", f"        with leases.lock:\n{FILL}", f"        if True:\n{FILL}"),
    ),
    "a fill evicts": (
        "evict",
        ("table", "while len(entries) >= self._bound:", "while False:"),
    ),
    "a hit is noted where its entry still is": (
        "hit, write",
        (
            "table",
            "if name in entries and entries[name] is old:",
            "if name in entries:",
        ),
    ),
    "a hit is noted with the lock": (
        "hit, write",
        ("local", "free += map(lock.acquire, (False,))", "free += (False,)"),
        ("local", "            if free[0]:", "            if not free[0]:"),
    ),
    "nothing is called between the look at an entry and the other one": (
        "nested in hit",
        (
            "table",
            "            entries[name] = new",
            f"            {CALL}\n            entries[name] = new",
        ),
    ),
    "a name in a queue may have no entry": (
        "interrupted eviction",
        (
            "table",
            "            entries.pop(name, None)",
            "            del entries[name]",
        ),
    ),
    "a name joins a queue before it has an entry": (
        "interrupted eviction",
        ("table", "            queue.append(name)\n", ""),
        ("table", " or not queue or queue[-1] is not name", ""),
        (
            "table",
            "        return True\n\n    def use",
            f"        {CALL}\n        if old is None:\n            queue.append(name)\n        return True\n\n    def use",
        ),
    ),
    "a name leaves a queue last": (
        "interrupted eviction",
        ("table", "        name = ahead[0]", "        name = ahead.popleft()"),
        (
            "table",
            "        if ahead and ahead[0] is name:\n            ahead.popleft()",
            "",
        ),
    ),
    "a name that came back does not leave": (
        "nested reads in evict",
        (
            "table",
            "            if name in entries:  # it came back\n                return\n",
            "",
        ),
    ),
    "a name has an entry only where it is in a queue": (
        "nested reads",
        ("table", " or queue[-1] is not name", ""),
    ),
    "a name is forgotten only where it is in a queue": (
        "nested read in write",
        (
            "table",
            "                entries[name] = FORGOTTEN",
            f"                {CALL}\n                entries[name] = FORGOTTEN",
        ),
    ),
    "nothing is called between the queues' end and the entries'": (
        "interrupted forget_all",
        (
            "table",
            "        self.entries.clear()",
            "        len(queues)\n        self.entries.clear()",
        ),
    ),
    "who held a file is not kept when the name was forgotten": (
        "grace, nested",
        ("local", " and lease is leases.current[group]", ""),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES)
def test_without_this_rule_it_fails(rule):
    scenario, *changes = RULES[rule]
    runs, error, _ = explored(scenario, Code(changes), 5000)
    assert error is not None, runs
