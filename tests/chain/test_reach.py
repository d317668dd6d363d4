"""A backend that cannot be reached costs one deadline, and is left alone then."""

from __future__ import annotations

import gc
import logging
import pickle
import signal
import threading
from contextvars import ContextVar

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import FileSystemStorage, Storage
from fakes import RecordingStorage
from silent import SilentStorage, silent

from fallback_storage import signals
from fallback_storage.chain import backend, reach, reaches
from fallback_storage.chain.outcomes import Attempt, Outcome
from fallback_storage.exceptions import BackendUnavailable, OperationNotSupportedError
from fallback_storage.storage import FallbackStorage

NAMES = [f"{number}.jpg" for number in range(100)]
CALLER = ContextVar("caller", default="nobody")


@pytest.fixture(autouse=True)
def exact(monkeypatch):
    """Pauses are as long as they are written, and deadlines are those of the code."""
    monkeypatch.setattr(reach, "JITTER", 0)
    monkeypatch.setattr(backend, "DEADLINE", reach.DEADLINE)


@pytest.fixture
def chain_of(clock):
    """Build chains on the test's clock; in the end their servers answer."""
    chains = []

    def build(*entries, **options):
        class Chain(FallbackStorage):
            pass

        Chain.clock = clock
        chains.append(Chain(list(entries), **{"cache": False, **options}))
        return chains[-1]

    yield build
    for chain in chains:
        for each in chain.backends:
            if isinstance(each.storage, SilentStorage):
                each.storage.answer()


@pytest.fixture
def mirror(chain_of):
    return chain_of(
        {"BACKEND": "fakes.RecordingStorage", "NAME": "local"},
        silent(NAME="production", READ_ONLY=True),
    )


@pytest.fixture
def production(mirror):
    return mirror.backends[1].storage


def breaker_of(chain, index=1):
    return list(chain.stats()["backends"].values())[index]["breaker"]


def test_a_hundred_names_cost_one_call(mirror, production, caplog):
    """The first has the deadline; the others fail without a call, and say when."""
    production.hang()
    with caplog.at_level(logging.INFO, "fallback_storage"):
        assert [mirror.exists(name) for name in NAMES] == [False] * 100
    assert production.count() == 1
    counts = mirror.stats()["backends"]["production"]
    assert (counts["calls"], counts["failures"], counts["given_up"]) == (1, 1, 1)
    assert (counts["breaker"], counts["retry_in"]) == ("open", 10)
    [line] = [r.getMessage() for r in caplog.records if "left alone" in r.getMessage()]
    assert line == (
        "'production' cannot be reached (no answer within 0.05 seconds): left alone "
        "for 10 s"
    )
    with pytest.raises(BackendUnavailable) as caught:
        mirror.size("a.jpg")
    assert caught.value.backend == "production"
    assert caught.value.retry_in == 10
    assert "asked again in 10 s" in str(caught.value)


def test_three_failures_in_a_row_are_an_outage(mirror, production):
    """By connection and its like; one answer in between, and they are no row."""
    production.files["here"] = b"1"
    production.fail("size", ConnectionError("secret-endpoint"))
    for _ in range(2):
        with pytest.raises(ConnectionError, match="secret"):
            mirror.size("here")
    assert mirror.exists("here")
    for _ in range(3):
        with pytest.raises(ConnectionError, match="secret"):
            mirror.size("here")
    production.reset()
    with pytest.raises(BackendUnavailable) as caught:
        mirror.size("here")
    assert not mirror.exists("here")
    assert production.count() == 0
    assert caught.value.cause == "ConnectionError"  # and none of its words


@pytest.mark.parametrize("error", [PermissionError("403"), ValueError(), OSError()])
def test_what_is_answered_is_no_outage(mirror, production, error):
    """Nor is an error of the program."""
    production.fail("exists", error)
    for _ in range(5):
        assert not mirror.exists("a")
    assert production.count() == 5
    assert breaker_of(mirror) == "closed"


def test_it_is_back_after_one_call_that_tries(mirror, production, clock, caplog):
    production.files["here"] = b"1"
    production.hang()
    assert not mirror.exists("here")
    production.answer()
    clock.tick(9.9)
    assert not mirror.exists("here")
    clock.tick(0.1)
    production.reset()
    with caplog.at_level(logging.INFO, "fallback_storage"):
        assert mirror.exists("here")
    assert "'production' answers again" in caplog.text
    assert production.count() == 1
    assert breaker_of(mirror) == "closed"
    assert mirror.stats()["backends"]["production"]["retry_in"] is None
    assert all(mirror.exists("here") for _ in range(3))


def test_the_pause_doubles_up_to_a_minute(mirror, production, clock):
    """While it stays away; after an answer it begins anew."""
    production.fail("exists", ConnectionError())
    for _ in range(3):
        mirror.exists("a")
    pauses = []
    for _ in range(5):
        pauses.append(mirror.stats()["backends"]["production"]["retry_in"])
        clock.tick(pauses[-1])
        mirror.exists("a")
    assert pauses == [10, 20, 40, 60, 60]
    assert production.count() == 8
    production.heal()
    clock.tick(60)
    mirror.exists("a")
    production.hang()
    mirror.exists("a")
    assert mirror.stats()["backends"]["production"]["retry_in"] == 10


def test_pauses_differ_a_little(chain_of, monkeypatch):
    """Many processes do not try at once."""
    monkeypatch.setattr(reach, "JITTER", 0.1)
    monkeypatch.setattr(reach.random, "random", lambda: 0.5)
    chain = chain_of(silent(RETRY_AFTER=100))
    chain.backends[0].storage.hang()
    with pytest.raises(BackendUnavailable, match="asked again in 105 s"):
        chain.exists("a")


def test_without_a_breaker_every_call_has_its_deadline(chain_of):
    """``RETRY_AFTER`` is 0: the server is asked each time."""
    chain = chain_of(RecordingStorage(), silent(RETRY_AFTER=0))
    storage = chain.backends[1].storage
    storage.hang()
    assert [chain.exists(name) for name in NAMES[:3]] == [False] * 3
    assert storage.count() == 3
    assert chain.stats()["backends"]["SilentStorage"]["breaker"] == "closed"


def ask_in_threads(chain, number, answers):
    def ask():
        try:
            answers.append(chain.exists("a"))
        except BaseException as error:
            answers.append(error)

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(number)]
    for thread in threads:
        thread.start()
    return threads


def test_many_threads_have_one_deadline_each(mirror, production, clock):
    """Those that wait for their turn when it is found out are not sent there."""
    production.hang()
    answers = []
    for thread in ask_in_threads(mirror, 64, answers):
        thread.join(30)
    assert answers == [False] * 64
    asked = production.count()
    assert asked <= reach.THREADS
    # The one that tries has a thread, although the others' are stuck.
    clock.tick(10)
    for thread in ask_in_threads(mirror, 64, answers):
        thread.join(30)
    assert answers == [False] * 128
    assert production.count() == asked + 1


def test_a_pool_that_moves_opens_nothing(chain_of):
    """More callers than threads wait for their turn, and their time begins then."""
    chain = chain_of({**silent(), "DEADLINE": 30})
    storage = chain.backends[0].storage
    storage.hang()
    answers = []
    threads = ask_in_threads(chain, 20, answers)
    storage.wait_for(reach.THREADS - 1)
    storage.answer()
    for thread in threads:
        thread.join(30)
    assert answers == [False] * 20
    assert storage.count() == 20
    assert breaker_of(chain, 0) == "closed"


def until(condition):
    for _ in range(20_000):
        if condition():
            return
        threading.Event().wait(0.001)
    raise AssertionError


def test_who_waits_for_a_turn_fails_when_the_outage_is_known(chain_of):
    """However that was found out; nobody is sent there any more."""
    chain = chain_of(RecordingStorage(), {**silent(), "DEADLINE": 600})
    storage = chain.backends[1].storage
    storage.hang()
    answers = []
    threads = ask_in_threads(chain, 10, answers)
    storage.wait_for(reach.THREADS - 1)
    waiting = chain.backends[1].reach._workers.room.waiting
    until(lambda: len(waiting) == 3)

    def fail():
        raise ConnectionResetError

    for _ in range(3):
        with pytest.raises(ConnectionResetError):
            chain.backends[1].reach.call(chain.backends[1], fail)
    until(lambda: len(answers) == 3)
    assert storage.count() == reach.THREADS - 1
    storage.answer()
    for thread in threads:
        thread.join(30)
    assert answers == [False] * 10


@pytest.fixture
def once():
    """Let Ctrl-C raise once, however often it comes; returns what tells that it did."""
    raised = threading.Event()

    def handle(*_args):
        if not raised.is_set():
            raised.set()
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, handle)
    yield raised
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no such signals")
def test_ctrl_c_while_one_waits_for_the_trial(chain_of, clock, once, monkeypatch):
    """The call goes on, and another one may try."""
    monkeypatch.setattr(reach, "TRIAL_WAIT", 5)
    chain = chain_of(silent(DEADLINE=5))
    storage = chain.backends[0].storage
    storage.fail("exists", ConnectionError())
    for _ in range(3):
        with pytest.raises(ConnectionError):
            chain.exists("a")
    storage.heal()
    storage.hang()
    clock.tick(10)

    def interrupt():
        storage.wait_for(1)
        # Again: one that comes just before the caller waits is seen when that ends.
        while not once.wait(0.1):
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        chain.exists("a")
    assert breaker_of(chain, 0) == "open"
    storage.answer()
    assert not chain.exists("a")
    assert breaker_of(chain, 0) == "closed"


def test_calls_from_before_the_outage_do_not_end_it(mirror, production, clock):
    """What comes late is dropped; and a file that comes late is closed."""
    closed = threading.Event()
    production.files["a"] = b"1"

    class Late(SilentStorage):
        def _open(self, name, mode="rb"):
            file = super()._open(name, mode)
            file.close = closed.set
            return file

    production.__class__ = Late
    production.hang()
    with pytest.raises(BackendUnavailable):
        mirror.open("a")
    production.answer()
    assert closed.wait(30)
    assert breaker_of(mirror) == "open"
    clock.tick(10)
    with mirror.open("a") as file:
        assert file.read() == b"1"


def test_a_listing_past_its_deadline_fails_alone(mirror, production):
    """It takes long where nothing else does."""
    production.files["a"] = b"1"
    production.hang()
    assert mirror.listdir("") == ([], [])
    production.answer()
    assert breaker_of(mirror) == "closed"
    assert mirror.exists("a")
    assert mirror.stats()["backends"]["production"]["given_up"] == 1


def test_the_callers_context_and_thread(mirror, production):
    """The context goes along; signals come in the caller's thread."""
    found, here = [], threading.get_ident()
    production.before = None

    class Telling(SilentStorage):
        def exists(self, name):
            found.append((CALLER.get(), threading.get_ident() == here))
            return super().exists(name)

    production.__class__ = Telling

    def receive(**data):
        found.append(threading.get_ident() == here)

    token = CALLER.set("me")
    heard = signals.called, signals.backend_failed, signals.breaker_opened
    for each in heard:
        each.connect(receive)
    try:
        mirror.exists("a")
        assert found == [True, ("me", False), True]
        production.hang()
        found.clear()
        mirror.exists("a")
        assert found == [True, ("me", False), True, True, True]
    finally:
        CALLER.reset(token)
        for each in heard:
            each.disconnect(receive)


def test_signals_tell_of_the_outage(mirror, production, clock):
    """One at its beginning, one at its end."""
    told = []

    def opened(sender, storage, backend, cause, **kwargs):
        told.append((backend, cause))

    signals.breaker_opened.connect(opened)
    signals.breaker_closed.connect(opened)
    try:
        production.hang()
        for _ in range(3):
            mirror.exists("a")
            clock.tick(10)
        production.answer()
        clock.tick(60)
        mirror.exists("a")
    finally:
        signals.breaker_opened.disconnect(opened)
        signals.breaker_closed.disconnect(opened)
    assert told == [
        ("production", "no answer within 0.05 seconds"),
        ("production", None),
    ]


@pytest.mark.parametrize("deadline", [0, 30])
@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_interrupt_leaves_no_trial(chain_of, clock, deadline, interrupt):
    """What a call raises is raised here; the next one may try."""
    chain = chain_of(silent(DEADLINE=deadline))
    storage = chain.backends[0].storage
    storage.fail("exists", ConnectionError())
    for _ in range(3):
        with pytest.raises(ConnectionError):
            chain.exists("a")
    clock.tick(10)
    storage.fail("exists", interrupt())
    with pytest.raises(interrupt):
        chain.exists("a")
    assert breaker_of(chain, 0) == "open"
    storage.heal()
    assert not chain.exists("a")
    assert breaker_of(chain, 0) == "closed"


def test_reads_go_on_from_the_replica(chain_of):
    """The primary hangs: one deadline, then the replica answers at once."""
    chain = chain_of(
        silent(NAME="primary"),
        {"BACKEND": "fakes.RecordingStorage", "NAME": "replica", "READ_ONLY": True},
        cache=None,
    )
    primary, replica = (each.storage for each in chain.backends)
    replica.files.update(dict.fromkeys(NAMES, b"1"))
    primary.hang()
    for name in NAMES:
        with chain.open(name) as file:
            assert file.read() == b"1"
        assert chain.url(name) == replica.url(name)
        assert chain.size(name) == 1
    assert primary.count() == 1
    primary.answer()
    # Nothing was remembered.
    assert chain.stats()["fills"] == 0


def test_a_chain_of_its_own_makes_no_outage(chain_of):
    """Its entries have a breaker each; it answers for those that are there."""
    inner = chain_of(silent(NAME="down"), {"BACKEND": "fakes.RecordingStorage"})
    inner.backends[1].storage.files["there"] = b"1"
    outer = chain_of(inner, RecordingStorage())
    inner.backends[0].storage.hang()
    for _ in range(5):
        assert not outer.exists("gone")
    assert outer.exists("there")
    assert breaker_of(outer, 0) == "closed"
    assert breaker_of(inner, 0) == "open"


def test_while_it_is_left_alone_nothing_is_made_for_a_name(
    mirror, production, clock, monkeypatch, caplog
):
    """One error for all who ask within a second; no words, where nobody reads them."""
    mirror.exists("first")
    production.hang()
    assert not mirror.exists("a")
    caplog.set_level(logging.WARNING, "fallback_storage")
    made = []
    init, told = BackendUnavailable.__init__, []
    monkeypatch.setattr(
        BackendUnavailable,
        "__init__",
        lambda error, *args, **more: (made.append(args), init(error, *args, **more))[1],
    )
    monkeypatch.setattr(Attempt, "__str__", lambda attempt: told.append(attempt) or "")
    assert not any(mirror.exists(name) for name in NAMES)
    assert len(made) == 1
    assert not told
    clock.tick(1)
    assert mirror.resolve("a").trail[1].exception.retry_in == 9
    assert len(made) == 2


def test_who_raises_it_has_an_error_of_his_own(chain_of):
    """Traces of other threads' calls would be added to one that is shared."""
    chain = chain_of(silent())
    [production] = (each.storage for each in chain.backends)
    production.hang()
    with pytest.raises(BackendUnavailable):
        chain.exists("a")
    raised = []
    for _ in range(2):
        with pytest.raises(BackendUnavailable) as caught:
            chain.exists("a")
        raised.append(caught.value)
    assert raised[0] is not raised[1]
    assert str(raised[0]) == str(raised[1])


def test_a_storage_without_exists_lacks_it_also_when_it_is_away(chain_of):
    """So the chain's answer is the same before and in an outage."""

    class Opener:
        def _open(self, name, mode):
            raise ConnectionError

    chain = chain_of({"BACKEND": "fakes.RecordingStorage"}, Opener)
    for _ in range(4):
        with pytest.raises(ConnectionError):
            chain.open("a")
    assert breaker_of(chain) == "open"
    assert chain.resolve("a").trail[1].outcome is Outcome.UNSUPPORTED


LACKING = {
    "listdir": [""],
    "exists": ["a"],
    "size": ["a"],
    "delete": ["a"],
    "get_accessed_time": ["a"],
    "get_created_time": ["a"],
    "get_modified_time": ["a"],
}


class Bare(Storage):
    """Has nothing but files to open, and is away; the rest is Django's."""

    def _open(self, name, mode):
        raise ConnectionError


@pytest.mark.parametrize("policy", [{}, {"PROFILE": {"THREAD_SAFE": False}}])
@pytest.mark.parametrize("method", LACKING)
def test_what_a_storage_lacks_it_lacks_also_when_it_is_away(
    chain_of, method, policy, caplog
):
    """A breaker does not hide it; nor does a chain's answer change in an outage."""

    def ask(chain):
        try:
            return getattr(chain, method)(*LACKING[method])
        except Exception as error:
            return type(error)

    bare = {"BACKEND": f"{__name__}.Bare", **policy}
    chains = chain_of(bare), chain_of({"BACKEND": "fakes.RecordingStorage"}, bare)
    before = [ask(chain) for chain in chains]
    assert issubclass(before[0], OperationNotSupportedError)
    for chain in chains:
        for _ in range(3):
            with pytest.raises(ConnectionError):
                chain.open("a")
        assert breaker_of(chain, -1) == "open"
    caplog.clear()
    assert [ask(chain) for chain in chains] == before
    assert not caplog.messages


def test_the_same_backend_is_left_alone_by_all(clock):
    """Chains of one process that have the same storage at the same place."""

    class Chain(FallbackStorage):
        pass

    Chain.clock = clock
    entry = {"BACKEND": f"{__name__}.Placed", "RETRY_AFTER": 10}
    places = [{**entry, "OPTIONS": {"bucket_name": name}} for name in "aab"]
    chains = [Chain([place], cache=False) for place in places]
    one, same, other = (chain.backends[0] for chain in chains)
    assert one.reach is same.reach
    assert one.reach is not other.reach
    for _ in range(3):
        with pytest.raises(ConnectionError):
            chains[0].exists("a")
    with pytest.raises(BackendUnavailable):
        chains[1].exists("a")
    assert same.storage.count() == 0
    again = Chain([places[2]], cache=False)
    assert again.backends[0].reach is other.reach


class Placed(RecordingStorage):
    def __init__(self, bucket_name):
        super().__init__()
        self.bucket_name = bucket_name
        self.fail("exists", ConnectionError())


def test_a_place_that_varies(clock):
    """The outage of one tenant's server is not another's."""

    class Chain(FallbackStorage):
        pass

    Chain.clock = clock
    chain = Chain([{"BACKEND": f"{__name__}.Tenants"}, RecordingStorage()], cache=False)
    storage = chain.backends[0].storage
    for tenant, calls in (("a", 3), ("b", 6), ("a", 6), ("b", 6)):
        Tenants.tenant = tenant
        for _ in range(5):
            assert not chain.exists("x")
        assert storage.count() == calls


class Tenants(RecordingStorage):
    tenant = "a"

    def __init__(self):
        super().__init__()
        self.fail("exists", ConnectionError())

    @property
    def location(self):
        return self.tenant


def test_nothing_is_kept_of_chains_that_are_gone(chain_of):
    before = set(threading.enumerate())
    chain = FallbackStorage(
        [{"BACKEND": f"{__name__}.Placed", "OPTIONS": {"bucket_name": "gone"}}]
    )
    gc.collect()
    ways = len(reaches._reaches)
    assert chain.backends[0].reach in reaches._reaches.values()
    asked = FallbackStorage([silent(DEADLINE=30)])
    asked.exists("a")
    started = set(threading.enumerate()) - before
    (thread,) = started
    del chain, asked
    gc.collect()
    assert len(reaches._reaches) == ways
    thread.join(30)
    assert not thread.is_alive()


def test_the_next_question_is_for_the_same_thread(chain_of):
    """That has its client already."""
    chain = chain_of(silent(DEADLINE=30))
    storage, threads = chain.backends[0].storage, set()
    storage.before = None

    class Telling(SilentStorage):
        def act(self, method, name):
            threads.add(threading.get_ident())

    storage.__class__ = Telling
    for name in NAMES:
        chain.exists(name)
    assert len(threads) == 1


def test_without_threads_it_is_asked_all_the_same(chain_of, monkeypatch, caplog):
    """And one warning says what is missing."""
    chain = chain_of(silent(DEADLINE=30))

    def refuse(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert not any(chain.exists(name) for name in NAMES)
    assert chain.backends[0].storage.count() == 100
    warned = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert ["enable-threads" in record.getMessage() for record in warned] == [True]


def test_the_error_can_be_pickled():
    error = BackendUnavailable("s3", "busy", 7.0)
    error.was_called = True
    again = pickle.loads(pickle.dumps(error))
    assert (again.backend, again.cause, again.retry_in) == ("s3", "busy", 7.0)
    assert again.was_called
    assert str(again) == str(error)
    assert BackendUnavailable("s3", "busy").retry_in is None


class Mount(FileSystemStorage):
    """A directory on a server that does not answer."""

    answers = threading.Event()
    calls = 0

    def path(self, name):
        Mount.calls += 1
        assert self.answers.wait(30)
        return super().path(name)


def test_a_mount_that_hangs(chain_of, tmp_path):
    """With a DEADLINE a look at a directory is a question, in whatever is asked."""
    Mount.answers, Mount.calls = threading.Event(), 0
    entry = {"BACKEND": f"{__name__}.Mount", "DEADLINE": 0.05, "LOOK_AGAIN": False}
    chain = chain_of({**entry, "OPTIONS": {"location": tmp_path}}, RecordingStorage())
    try:
        chain.backends[1].storage.files["a"] = b"1"
        assert chain.size("a") == 1
        assert chain.exists("a")
        assert not chain.exists("b")
        assert {each.held for each in chain.resolve_many(["a", "b"]).values()} == {
            True,
            None,
        }
        with chain.open("a") as file:
            assert file.read() == b"1"
        assert Mount.calls == 1
    finally:
        Mount.answers.set()


# Configuration

S3 = "storages.backends.s3.S3Storage"
MEMORY = "django.core.files.storage.InMemoryStorage"


@pytest.mark.parametrize(
    ("key", "value", "instead"),
    [
        ("DEADLINE", -1, "Write for how many seconds an answer is waited for"),
        ("DEADLINE", "5", "Write for how many seconds an answer is waited for"),
        ("DEADLINE", True, "Write for how many seconds an answer is waited for"),
        ("DEADLINE", float("nan"), "Write for how many seconds an answer is waited"),
        ("RETRY_AFTER", -1, "Write for how many seconds it is left alone"),
        ("RETRY_AFTER", float("inf"), "Write for how many seconds it is left alone"),
        ("RETRY_AFTER", "10", "Write a number"),
    ],
)
def test_what_is_no_time_is_refused(key, value, instead):
    with pytest.raises(ImproperlyConfigured, match=rf"backends\[0\]\['{key}'\]") as e:
        FallbackStorage([{"BACKEND": S3, key: value}])
    assert instead in str(e.value)


def test_what_needs_the_callers_thread_has_no_deadline():
    """What is in the process, or in the database; and a chain's entries have their own."""
    chain = FallbackStorage([{"BACKEND": MEMORY, "DEADLINE": 5}])
    with pytest.raises(ImproperlyConfigured, match=r"DEADLINE.*the caller's thread"):
        chain.exists("a")
    inner = {
        "BACKEND": "fallback_storage.storage.FallbackStorage",
        "OPTIONS": {"backends": [MEMORY]},
    }
    for key in ("DEADLINE", "RETRY_AFTER"):
        chain = FallbackStorage([{**inner, key: 5}])
        with pytest.raises(
            ImproperlyConfigured, match=rf"{key}.*entries of that chain"
        ):
            chain.exists("a")


@pytest.mark.parametrize(
    ("klass", "given", "deadline"),
    [
        (S3, {}, 5),
        (S3, {"DEADLINE": 0}, 0),
        (S3, {"DEADLINE": None}, 0),
        (S3, {"DEADLINE": 2.5}, 2.5),
        (S3, {"PROFILE": {"THREAD_SAFE": False}}, 0),
        (f"{__name__}.Sub", {}, 0),
        (f"{__name__}.Sub", {"DEADLINE": 1}, 1),
        ("fakes.RecordingStorage", {}, 0),
        ("django.core.files.storage.FileSystemStorage", {}, 0),
    ],
)
def test_who_has_a_deadline(klass, given, deadline):
    """Exactly the classes that are known to bear it; the others if it is written."""
    pytest.importorskip("storages.backends.s3")
    chain = FallbackStorage([{"BACKEND": klass, **given}])
    assert chain.backends[0].deadline == deadline


try:
    from storages.backends.s3 import S3Storage
except ImportError:
    S3Storage = RecordingStorage


class Sub(S3Storage):
    pass
