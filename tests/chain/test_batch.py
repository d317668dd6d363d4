"""Many names at once give the answers of one name after the other, for less."""

from __future__ import annotations

import re
import shutil
import tempfile
import threading
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest
from caches import RecordingCache
from clocks import ManualClock
from django.core.exceptions import ImproperlyConfigured, SuspiciousFileOperation
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, InMemoryStorage, Storage
from fakes import RecordingStorage
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from fallback_storage.cache import snapshots
from fallback_storage.cache.stores.django_cache import DjangoCacheStore
from fallback_storage.chain.outcomes import Outcome, Source
from fallback_storage.conf.memo import close_shared_stores
from fallback_storage.storage import FallbackStorage

PAGE = [f"d{number % 7}/{number}.jpg" for number in range(100)]


class Chain(FallbackStorage):
    """The storage under test, on a clock that is moved by hand."""

    clock = ManualClock()


class Moody(RecordingStorage):
    """An object store that cannot answer for some names. ``errors``: name -> exception."""

    errors = {}  # noqa: RUF012 - replaced, never changed

    def exists(self, name):
        if name in self.errors:
            raise self.errors[name]
        return super().exists(name)


def entry(storage, name, **policy):
    # typing.cast is a callable with a dotted path that returns what it is given.
    return {
        "BACKEND": "typing.cast",
        "OPTIONS": {"typ": Storage, "val": storage},
        "NAME": name,
        **policy,
    }


@pytest.fixture(params=["Django cache", pytest.param("redis", marks=pytest.mark.slow)])
def shared_memo(request, settings):
    yield from shared(request, settings)


@pytest.fixture(
    params=["process", "Django cache", pytest.param("redis", marks=pytest.mark.slow)]
)
def memo(request, settings):
    """``cache`` of a chain, for each kind of memo."""
    if request.param == "process":
        yield None
        return
    yield from shared(request, settings)


def shared(request, settings):
    backend, location = "caches.RecordingCache", request.node.name
    if request.param == "redis":
        pytest.importorskip("redis")
        backend = "django.core.cache.backends.redis.RedisCache"
        location = request.getfixturevalue("valkey").url
    RecordingCache.reset()
    options = {"OPTIONS": {"MAX_ENTRIES": 100_000}} if "Rec" in backend else {}
    settings.CACHES = {"media": {"BACKEND": backend, "LOCATION": location, **options}}
    yield "media"
    close_shared_stores()


def with_memo(memo, **more):
    return {"ALIAS": memo, **more} if memo else more


# --- The same answers -----------------------------------------------------------

serial = count()

FILES = ["a", "a/b", "a/c", "d/e", "d/f", "d/g", "x y/ä%+.jpg", "-", "a-b", "a.b/c"]
ODD = [
    "",
    ".",
    "a/",
    "d/e/",
    "./a",
    "a//b",
    "d\\e",
    "x/../a",
    "d/",
    "no/such/a",
    "no/such/b",
]
REFUSED = ["../a", "/a", "a\0b"]
ERRORS = [
    ConnectionError("down"),
    PermissionError("no"),
    NotImplementedError(),
    FileNotFoundError(2, "none"),
    SuspiciousFileOperation("bad"),
    ImproperlyConfigured("worse"),
]
SELDOM = st.sampled_from([False, False, False, True])
NAMES = st.one_of(st.sampled_from(FILES), st.sampled_from(FILES + ODD))
BACKENDS = st.lists(
    st.fixed_dictionaries(
        {
            "kind": st.sampled_from(["flat", "files", "memory"]),
            "files": st.sets(st.sampled_from(FILES), max_size=6),
            "errors": st.dictionaries(
                # Errors that are raised at once end the example: not too often.
                st.sampled_from(FILES),
                st.sampled_from(ERRORS[:4] * 4 + ERRORS[4:]),
                max_size=2,
            ),
            "read_only": st.booleans(),
            "live": SELDOM,
            "concurrent": SELDOM,
        }
    ),
    min_size=2,
    max_size=4,
)
BEFORE = st.lists(
    st.tuples(
        st.sampled_from(
            ["resolve", "resolve", "url", "exists", "forget", "delete", "lose"]
        ),
        st.sampled_from(FILES),
    ),
    max_size=8,
)


def build_storage(kind, label, files, errors, root):
    if kind == "flat":
        storage = Moody(label, dict.fromkeys(files, b"x"))
        storage.errors = errors
        return storage
    storage = FileSystemStorage(root / label, base_url="/f/")
    if kind == "memory":
        storage = InMemoryStorage(base_url="/m/")
    for name in sorted(files):
        with suppress(OSError):  # "a" and "a/b" are not both files
            storage._save(name, ContentFile(b"x"))
    return storage


def build_chain(backends, root, cache, on_delete):
    entries = []
    for index, each in enumerate(backends):
        storage = build_storage(
            each["kind"], f"{root.name}-{index}", each["files"], each["errors"], root
        )
        entries.append(
            entry(
                storage,
                f"{root.name}-{index}",
                READ_ONLY=each["read_only"],
                ALWAYS_PROBE=each["live"],
                CONCURRENT=each["concurrent"],
            )
        )
    return Chain(entries, cache, on_delete=on_delete)


def told(resolution):
    """Return all that a resolution tells; of the backends' names, the position."""
    return (
        resolution.name,
        resolution.index,
        (resolution.backend or "").rpartition("-")[2],
        resolution.held,
        resolution.hidden,
        resolution.source,
        [
            (
                line.backend.rpartition("-")[2],
                line.outcome,
                type(line.exception),
                line.remembered,
            )
            for line in resolution.trail
        ],
    )


def prepare(chains, steps):
    for step, name in steps:
        for chain in chains:  # in turn: what one forgets all forget
            with suppress(Exception):
                if step == "lose":  # behind its back
                    chain.backends[0].storage.delete(name)
                else:
                    getattr(chain, step)(name)


def one_by_one(chain, names):
    """Return what each name gives, or the type of what is raised, by spelling."""
    answers, asked = {}, {}
    for name in names:
        try:
            # In one call a file is asked for once. (More questions end with a breaker.)
            clean = chain._clean(name)
            if clean not in asked:
                asked[clean] = told(chain.resolve(name))
        except Exception as error:
            answers[name] = type(error)
        else:
            answers[name] = asked[clean]
    return answers


def check_equality(backends, on_delete, steps, names, ttls, memo):
    root = Path(tempfile.mkdtemp(prefix="batch-"))
    cache = {"TTL": ttls[0], "NEGATIVE_TTL": ttls[1]}
    try:
        chains = [
            build_chain(
                backends, root / f"{next(serial)}x", with_memo(memo, **cache), on_delete
            )
            for _ in range(2)
        ]
        prepare(chains, steps)
        singly, together = chains
        expected = one_by_one(singly, names)
        raised = {each for each in expected.values() if isinstance(each, type)}
        if raised:
            with pytest.raises(tuple(raised)):
                together.resolve_many(iter(names))
            return
        found = together.resolve_many(iter(names))
        assert {name: told(each) for name, each in found.items()} == expected
        assert list(found) == list(dict.fromkeys(names))
        # What is remembered of it is the same as well.
        for name in names:
            assert told(together.resolve(name)) == told(singly.resolve(name))
    finally:
        close_shared_stores()
        shutil.rmtree(root)


@pytest.fixture
def quiet(caplog):
    caplog.set_level("CRITICAL", "fallback_storage")


CASES = {
    "backends": BACKENDS,
    "on_delete": st.sampled_from(["first", "whiteout", "whiteout"]),
    "steps": BEFORE,
    "names": st.lists(NAMES, max_size=14),
    "refused": st.sampled_from([None] * 9 + REFUSED),
    "ttls": st.sampled_from([(300, 5), (300, 5), (0, 5), (300, 0)]),
}


def property_of(examples):
    found = hypothesis_settings(
        max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck)
    )
    return lambda test: found(given(**CASES)(test))


def check_case(memo, backends, on_delete, steps, names, refused, ttls):
    assume(on_delete == "first" or not all(each["read_only"] for each in backends))
    names = [*names, refused] if refused else names
    check_equality(backends, on_delete, steps, names, ttls, memo)


def test_a_name_that_is_given_twice_is_asked_for_once(quiet):
    """Else a backend that is down would be left alone one question earlier."""
    down = {"a": ConnectionError("down")}
    each = {"kind": "flat", "files": set(), "read_only": True, "live": False}
    backends = [
        {**each, "errors": errors, "concurrent": False} for errors in ({}, down)
    ]
    check_equality(backends, "first", [], ["a", "a"], (300, 5), None)


@pytest.mark.slow
@property_of(150)
def test_many_names_are_answered_as_one_after_the_other(
    quiet, backends, on_delete, steps, names, refused, ttls
):
    """Holder, trail, exceptions and what is remembered: any chain, any memo's state."""
    check_case(None, backends, on_delete, steps, names, refused, ttls)


@property_of(20)
def test_so_they_are_with_a_shared_memo(
    shared_memo, quiet, backends, on_delete, steps, names, refused, ttls
):
    """The same, where answers go through a server or a cache."""
    check_case(shared_memo, backends, on_delete, steps, names, refused, ttls)


@pytest.mark.slow
@property_of(100)
def test_a_prefetch_changes_no_answer(
    quiet, backends, on_delete, steps, names, refused, ttls
):
    """Those of a chain that asks each time, by whatever is asked afterwards."""
    assume(on_delete == "first" or not all(each["read_only"] for each in backends))
    steps = [(step, name) for step, name in steps if step != "lose"]
    for complete in (False, True):
        root = Path(tempfile.mkdtemp(prefix="batch-"))
        try:
            check_prefetch(backends, root, on_delete, steps, names, complete)
        finally:
            close_shared_stores()
            shutil.rmtree(root)


def check_prefetch(backends, root, on_delete, steps, names, complete):
    places = [root / f"{next(serial)}x" for _ in range(2)]
    chain = build_chain(backends, places[0], {"ALIAS": "default"}, on_delete)
    truth = build_chain(backends, places[1], False, on_delete)
    prepare([chain, truth], steps)
    with suppress(SuspiciousFileOperation, ImproperlyConfigured):
        chain.prefetch(names, complete=complete)
    for operation in ("url", "exists", "resolve"):
        for name in names:
            found = answer(chain, operation, name)
            expected = answer(truth, operation, name)
            assert found == expected, (operation, name)
    snapshots.end()


def answer(chain, operation, name):
    try:
        found = getattr(chain, operation)(name)
    except Exception as error:
        return type(error)
    if operation == "resolve":
        return found.index, found.held, found.hidden
    return re.sub(r"//\d+x", "", found) if operation == "url" else found


def test_two_spellings_of_one_whiteout(tmp_path):
    """ "a" and "a/" are two questions with one whiteout, in a directory to come."""
    home = FileSystemStorage(tmp_path)
    below = RecordingStorage("below", {"d/a": b"x"})
    chain = FallbackStorage(
        [home, entry(below, "below", READ_ONLY=True)], on_delete="whiteout"
    )
    names = ["d/a", "d/a/", "d/b"]
    for _ in range(2):
        found = chain.resolve_many(names)
        assert [each.held for each in found.values()] == [True, False, False]
        chain.forget(*names)
    chain.delete("d/a")
    found = chain.resolve_many(names)
    assert [each.hidden for each in found.values()] == [True, True, False]


@pytest.mark.parametrize("names", ["a", b"a", Path("a")], ids=["str", "bytes", "path"])
def test_one_name_is_not_many(names):
    """A text is no collection of names of one letter each."""
    with pytest.raises(TypeError, match="collection"):
        FallbackStorage([RecordingStorage()]).resolve_many(names)


@pytest.mark.parametrize("name", [1, None, b"a"])
def test_what_is_no_name_is_refused(name):
    storage = RecordingStorage()
    with pytest.raises(TypeError):
        FallbackStorage([storage]).resolve_many(["a", name])
    assert storage.calls == []


def test_no_names_cost_nothing(memo):
    chain = FallbackStorage([RecordingStorage("none")], memo)
    RecordingCache.reset()
    assert chain.resolve_many([]) == {}
    assert RecordingCache.calls == []


# --- What it costs ----------------------------------------------------------------


@pytest.fixture
def round_trips(memo, request):
    """A function that tells how often the memo's store was called since the last time."""
    if memo is None:
        yield lambda: 0
        return
    if "redis" not in request.node.name:

        def calls():
            made = len(RecordingCache.calls)
            RecordingCache.calls.clear()
            return made

        yield calls
        return
    redis = pytest.importorskip("redis")
    client = redis.Redis(port=request.getfixturevalue("valkey").port)
    ours = {"get", "mget", "eval", "evalsha", "unlink", "set", "scan", "hincrby"}

    def commands():
        stats = client.info("commandstats")
        client.config_resetstat()
        return sum(
            each["calls"]
            for name, each in stats.items()
            if name.removeprefix("cmdstat_") in ours
        )

    commands()
    yield commands
    client.close()


def test_a_page_of_known_names_is_one_round_trip(memo, round_trips):
    """A hundred names, some held by nobody: one call of the store, none of a backend."""
    front = RecordingStorage("front-trip", dict.fromkeys(PAGE[:50], b"x"))
    back = RecordingStorage("back-trip", dict.fromkeys(PAGE[50:90], b"x"))
    chain = FallbackStorage([front, back], memo)
    cold = chain.resolve_many(PAGE)
    for backend, asked in ((front, PAGE), (back, PAGE[50:])):
        assert sorted(backend.calls) == sorted(("exists", name) for name in asked)
        backend.reset()
    round_trips()
    warm = chain.resolve_many(PAGE)
    assert round_trips() == (1 if memo else 0)
    assert front.calls == back.calls == []
    assert [each.index for each in warm.values()] == [0] * 50 + [1] * 40 + [None] * 10
    assert [each.index for each in cold.values()] == [
        each.index for each in warm.values()
    ]
    assert {each.source for each in warm.values()} == {Source.MEMO}
    assert chain.stats()["walks"] == 100


def test_a_page_of_unknown_names_is_four_round_trips_at_the_most(
    memo, round_trips, monkeypatch
):
    """To look them up, for the leases, and for the fills: one for each lifetime."""
    monkeypatch.setattr(DjangoCacheStore, "_sends_once", lambda self: True)
    front = RecordingStorage("front-cold", dict.fromkeys(PAGE[:90], b"x"))
    chain = FallbackStorage([front], memo)
    chain.resolve_many(["warms", "up"])
    # (Within the server, a script's own commands count as well.)
    round_trips()
    before = len(RecordingCache.calls)
    chain.resolve_many(PAGE)
    if memo and before == 0 and RecordingCache.calls:
        assert RecordingCache.calls == ["get_many", "set_many", "set_many", "set_many"]


def test_what_is_half_known_is_asked_of_the_others(memo):
    """After a cold ``url`` only the last backend is asked."""
    backends = [RecordingStorage(f"{label}-half") for label in ("front", "back")]
    backends[1].files["a"] = b"x"
    chain = FallbackStorage(backends, memo)
    chain.url("a"), chain.url("b")
    assert chain.resolve_many(["a", "b"])["a"].held
    assert [backend.count("exists") for backend in backends] == [2, 2]
    assert chain.exists("a")
    assert not chain.exists("b")
    assert [backend.count("exists") for backend in backends] == [2, 2]


def test_a_failure_is_not_a_miss(memo):
    """Of what could not be asked nothing is remembered; of the other names it is."""
    front, back = Moody("front-fails"), RecordingStorage("back-fails", {"b": b"x"})
    front.errors = {"a": ConnectionError("down"), "b": PermissionError("no")}
    chain = FallbackStorage([front, back], memo)
    for _ in range(2):
        found = chain.resolve_many(["a", "b", "c"])
        assert [each.held for each in found.values()] == [None, True, False]
        assert found["a"].trail[0].outcome is Outcome.FAILED
    assert front.count("exists") == 1
    front.errors = {}
    front.files = {"a": b"x", "b": b"x"}
    assert [each.index for each in chain.resolve_many(["a", "b"]).values()] == [0, 0]


def test_a_negative_lifetime_of_zero_is_kept(clock, monkeypatch):
    """What is not to be remembered is not; and who waits for it need not look for it."""
    backend = RecordingStorage("zero")
    chain = FallbackStorage([backend], {"NEGATIVE_TTL": 0})
    chain.resolve_many(["a"])
    backend.files["a"] = b"x"
    assert chain.resolve_many(["a"])["a"].held


# --- One walk per cold name -------------------------------------------------------


def run(*functions):
    """Call functions in a thread each, all at once; return what each gave or raised."""
    start = threading.Barrier(len(functions))
    results = [None] * len(functions)

    def call(index, function):
        start.wait(10)
        try:
            results[index] = function()
        except Exception as error:
            results[index] = error

    threads = [
        threading.Thread(target=call, args=each, daemon=True)
        for each in enumerate(functions)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive(), "A deadlock."
    return results


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["resolve_many", "mixed", "opposite order"])
def test_each_cold_name_is_walked_once(memo, kind):
    """However many ask for the same names at once, alone and together, in any order."""
    names = PAGE[:30]
    backend = RecordingStorage(f"once-{kind}", dict.fromkeys(names[::2], b"x"))
    chain = FallbackStorage([backend], memo)
    chain.exists("warm")
    backend.reset()
    first = threading.Event()
    backend.before("exists", lambda name: first.wait(0.05))  # others come meanwhile
    calls = [lambda: chain.resolve_many(names)] * 6
    if kind == "mixed":
        calls[3:] = [lambda n=n: chain.resolve(names[n]) for n in (0, 1, 29)]
    elif kind == "opposite order":
        calls[1::2] = [
            lambda start=start: chain.resolve_many(names[start::-1])
            for start in (29, 20, 10)
        ]
    results = run(*calls)
    for result in results:
        found = result if isinstance(result, dict) else {result.name: result}
        for name, each in found.items():
            assert each.held is (name in backend.files)
    check_asked_once(backend, names, memo)


def check_asked_once(backend, names, memo, at_most=2):
    asked = [name for _, name in backend.calls]
    assert set(asked) == set(names)
    # Looking up many names in a Django cache voids the leases of who came just before.
    most = at_most if memo and RecordingCache.calls else 1
    assert max(map(asked.count, names)) <= most


def test_overlapping_sets_end(memo):
    """Each waits for what the other leads: none waits for ever, no name is asked twice."""
    backend = RecordingStorage("overlap")
    chain = FallbackStorage([backend], memo)
    sets = [PAGE[start : start + 40] for start in (0, 20, 40, 60)]
    sets += [part[::-1] for part in sets]
    results = run(*(lambda part=part: chain.resolve_many(part) for part in sets))
    assert [list(result) for result in results] == sets
    check_asked_once(backend, PAGE, memo, at_most=4)


@pytest.mark.parametrize("waiter", ["resolve", "resolve_many"])
def test_a_leader_that_raises_lets_its_waiters_go(waiter):
    """They walk themselves: one bad name spoils the call of who asked for it only."""
    backend = Moody("raises")
    backend.errors = {"bad": SuspiciousFileOperation("bad")}
    chain = FallbackStorage([backend])
    asked, go_on = threading.Event(), threading.Event()

    def hold(name):
        if not asked.is_set():
            asked.set()
            assert go_on.wait(10)

    backend.before("exists", hold)
    results = []

    def lead():
        with pytest.raises(SuspiciousFileOperation):
            chain.resolve_many(["a", "bad"])

    def wait():
        found = (
            chain.resolve("a")
            if waiter == "resolve"
            else chain.resolve_many(["a"])["a"]
        )
        results.append(found.held)

    leader = threading.Thread(target=lead, daemon=True)
    leader.start()
    assert asked.wait(10)
    other = threading.Thread(target=wait, daemon=True)
    other.start()
    while not chain.stats()["coalesced"]:
        assert other.is_alive()
    go_on.set()
    for thread in (leader, other):
        thread.join(10)
        assert not thread.is_alive()
    assert results == [False]
    assert chain._get_engine().resolver.flights._flights == {}


def test_who_waits_for_what_is_not_kept_does_not_queue():
    """With ``NEGATIVE_TTL`` 0 waiters walk at once, not one after the other."""
    backend = RecordingStorage("queue")
    chain = FallbackStorage([backend], {"NEGATIVE_TTL": 0})
    asked, go_on = threading.Event(), threading.Event()
    backend.before("exists", lambda name: (asked.set(), go_on.wait(10)))
    together = threading.Barrier(4)
    leader = threading.Thread(target=lambda: chain.resolve_many(["a"]), daemon=True)
    leader.start()
    assert asked.wait(10)
    waiters = [
        threading.Thread(target=lambda: chain.resolve("a"), daemon=True)
        for _ in range(4)
    ]
    for thread in waiters:
        thread.start()
    while chain.stats()["coalesced"] < 4:
        assert leader.is_alive()
    # All four are in the backend at once, or this breaks.
    backend.before("exists", lambda name: together.wait(10))
    go_on.set()
    for thread in (leader, *waiters):
        thread.join(10)
        assert not thread.is_alive()
    assert not together.broken
    assert chain.stats()["coalesced"] == 4


@pytest.mark.parametrize("moment", ["before it is asked", "after it was asked"])
@pytest.mark.parametrize("change", ["save", "delete"])
@pytest.mark.parametrize("names", [["a"], ["a", *PAGE]], ids=["one", "many"])
def test_a_write_during_a_batch_is_not_overtaken(memo, moment, change, names):
    """What the batch found out before the write is not remembered after it."""
    after = moment == "after it was asked"

    class Stopping(RecordingStorage):
        def exists(self, name):
            mine = name == "a" and threading.current_thread() is reader
            if mine and not after:
                stop()
            found = super().exists(name)
            if mine and after:
                stop()
            return found

    def stop():
        if not asked.is_set():
            asked.set()
            assert go_on.wait(10)

    asked, go_on = threading.Event(), threading.Event()
    label = f"race-{moment}-{change}-{len(names)}"
    front, back = Stopping(f"front-{label}"), RecordingStorage(f"back-{label}")
    if change == "delete":
        front.files["a"] = b"x"
    chain = FallbackStorage([front, entry(back, "back", READ_ONLY=True)], memo)
    reader = threading.Thread(target=lambda: chain.resolve_many(names), daemon=True)
    reader.start()
    assert asked.wait(10)
    # Not chain.save(): that would ask, and wait.
    if change == "save":
        chain._save("a", ContentFile(b"x"))
    else:
        chain.delete("a")
    go_on.set()
    reader.join(10)
    assert not reader.is_alive()
    assert chain.exists("a") is (change == "save")
    assert chain.resolve_many(["a"])["a"].held is (change == "save")
    assert chain.stats()["late_fills"] >= 1 or memo


def test_a_backend_may_ask_its_own_chain():
    """A question within a question: it is answered, and nobody waits for himself."""
    backend = RecordingStorage("asks", {"a": b"x"})
    chain = FallbackStorage([backend])
    nested = []

    def ask(name):
        if not nested:
            nested.append(None)
            nested.append(chain.resolve_many(["b", "a"])["a"].held)

    backend.before("exists", ask)
    assert chain.resolve_many(["a", "b"])["a"].held
    assert nested == [None, True]
