"""One backend, many names: the answers of ``exists``, in fewer calls."""

from __future__ import annotations

import gc
import threading
from contextvars import ContextVar

import pytest
from django.core.exceptions import ImproperlyConfigured, SuspiciousFileOperation
from django.core.files.storage import FileSystemStorage, Storage
from fakes import RecordingStorage
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from fallback_storage.chain import ask_many, equivalents, exists_many
from fallback_storage.chain.ask_many import IN_A_ROW, SAMPLE
from fallback_storage.chain.exists_many import probe_many
from fallback_storage.chain.flat_listing import Listed
from fallback_storage.chain.outcomes import Outcome
from fallback_storage.chain.reach import THREADS
from fallback_storage.chain.walk import Walk
from fallback_storage.exceptions import BackendUnavailable, MissingPlaceError
from fallback_storage.signals import backend_failed
from fallback_storage.storage import FallbackStorage

HELD, ABSENT, FAILED = Outcome.HELD, Outcome.ABSENT, Outcome.FAILED
NAMES = [f"d/{number}" for number in range(40)]
CONCURRENT = {"BACKEND": "fakes.RecordingStorage", "CONCURRENT": True}
# Questions at the same time: from the caller's thread, too.
TOGETHER = THREADS + 1


def backend_of(storage, **policy):
    entry = {
        "BACKEND": "typing.cast",
        "OPTIONS": {"typ": Storage, "val": storage},
        **policy,
    }
    chain = FallbackStorage([entry], cache=False)
    backend = chain.backends[0]
    backend.kept = chain  # counts go to it
    return backend


def outcomes(backend, names):
    return {name: each.outcome for name, each in probe_many(backend, names).items()}


def singly(backend, names):
    return {name: Walk("exists", name).probe(backend) for name in names}


@pytest.fixture
def looks(monkeypatch):
    """The paths that are looked at, each look by one system call or by two."""
    import os

    looked = []

    def noted(function):
        def look(path):
            if looked[-1:] != [str(path)]:
                looked.append(str(path))
            return function(path)

        return look

    monkeypatch.setattr(os, "lstat", noted(os.lstat))
    monkeypatch.setattr(equivalents, "LEXISTS", noted(equivalents.LEXISTS))
    return looked


# Local directories


def test_a_directory_that_is_not_there_is_looked_at_once(tmp_path, looks):
    """For each of the directories that are wanted, not for each name."""
    backend = backend_of(FileSystemStorage(tmp_path))
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "a").touch()
    names = [f"{place}/{name}" for place in ("x", "x/y", "here") for name in "abc"]
    found = outcomes(backend, [*names, "alone/a", "z", ""])
    there = {name: each for name, each in found.items() if each is not ABSENT}
    assert there == {"here/a": HELD, "": Outcome.TAKEN}
    # x, x/y; here and its three; alone/a, z and the root.
    assert len(looks) == 2 + 4 + 3
    # (A look at a directory that is there is no call.)
    assert backend.calls == 2 + 3 + 3


@pytest.mark.parametrize("parent", ["file", "link", "loop", "locked", "long"])
def test_odd_parents_give_the_answers_of_exists(tmp_path, parent):
    """A file where a directory is wanted, a link to nowhere, a name that is too long."""
    backend = backend_of(FileSystemStorage(tmp_path))
    path = tmp_path / "p"
    name = "p"
    if parent == "file":
        path.touch()
    elif parent == "link":
        path.symlink_to(tmp_path / "nowhere")
    elif parent == "loop":
        path.symlink_to(path)
    elif parent == "locked":
        path.mkdir(mode=0)
    else:
        name = "p" * 300
    names = [f"{name}/{each}" for each in ("a", "b", "c/d", "c/e", "a/")]
    assert outcomes(backend, names) == singly(backend, names)


@pytest.mark.parametrize("how", ["class", "instance", "path"])
def test_a_storage_that_decides_for_itself_is_asked(tmp_path, how):
    """A subclass with an ``exists`` of its own may hold what no directory shows."""

    class Own(FileSystemStorage):
        def exists(self, name):
            return name.endswith("1")

    class Flat(FileSystemStorage):
        def path(self, name):
            return super().path(name.replace("/", "-"))

    storage = Own(tmp_path) if how == "class" else Flat(tmp_path)
    if how == "instance":
        storage = FileSystemStorage(tmp_path)
        storage.exists = Own(tmp_path).exists
    (tmp_path / "d-1").touch()
    backend = backend_of(storage)
    assert outcomes(backend, ["d/1", "d/2", "d/3"]) == {
        "d/1": HELD,
        "d/2": ABSENT,
        "d/3": ABSENT,
    }


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(ConnectionError("down"), FAILED), (FileNotFoundError(2, "cwd"), ABSENT)],
)
def test_a_location_that_cannot_be_told_is_an_answer(error, outcome):
    """Of a storage whose place depends on the tenant, say."""

    class Tenant(FileSystemStorage):
        @property
        def location(self):
            raise error

    backend = backend_of(Tenant())
    names = ["d/a", "d/b"]
    assert (
        outcomes(backend, names)
        == singly(backend, names)
        == dict.fromkeys(names, outcome)
    )


def test_a_name_that_leaves_the_directory_is_refused(tmp_path):
    backend = backend_of(FileSystemStorage(tmp_path))
    with pytest.raises(SuspiciousFileOperation):
        probe_many(backend, ["../a/b", "../a/c"])


# Listings


@pytest.fixture
def listed(monkeypatch):
    """Let a storage list its files in flat pages, of ten keys at the most.

    ``pages`` counts them. ``gaps``: keys that are no names, which fill a page as well.
    """

    class Listing:
        pages = 0
        gaps: frozenset[str] = frozenset()
        order = staticmethod(sorted)
        error = None

    def flat_pages(backend, start, *, own):
        assert own
        files = backend.storage.files
        keys = Listing.order(key for key in files if key.startswith(start))
        for first in range(0, max(1, len(keys)), 10):
            Listing.pages += 1
            if Listing.error:
                raise Listing.error
            page = [
                Listed(key)
                for key in keys[first : first + 10]
                if key not in Listing.gaps
            ]
            if page:
                yield page

    monkeypatch.setattr(exists_many, "lists_flat", lambda backend: True)
    monkeypatch.setattr(exists_many, "flat_pages", flat_pages)
    monkeypatch.setattr(exists_many, "PAGE_SIZE", 10)
    monkeypatch.setattr(exists_many, "PAGE_COST", 2.5)
    monkeypatch.setattr(exists_many, "WORTH_LISTING", 5)
    return Listing


PARTS = st.sampled_from(["a", "b", "a-", "a.b", "0", "ä"])
PATHS = st.lists(PARTS, min_size=1, max_size=4).map("/".join)
PATHS = st.one_of(PATHS, st.integers(0, 60).map("crowd/{:02}".format))


@pytest.mark.slow
@hypothesis_settings(
    max_examples=300, deadline=None, suppress_health_check=list(HealthCheck)
)
@given(
    files=st.sets(PATHS, max_size=60),
    wanted=st.lists(PATHS, unique=True, max_size=40),
    crowd=st.sampled_from([0, 0, 30, 300]),
    reverse=st.booleans(),
)
def test_listings_tell_what_questions_would(listed, files, wanted, crowd, reverse):
    """In any order of the pages, and for not much more."""
    listed.pages = 0
    listed.order = lambda keys: sorted(keys, reverse=reverse)
    files = {*files, *(f"crowd/{number:03}" for number in range(crowd))}
    storage = RecordingStorage(files=dict.fromkeys(files, b""))
    backend = backend_of(storage)
    names = [*wanted, *(f"{name}/" for name in wanted[:2])]
    found = outcomes(backend, names)
    assert list(found) == list(dict.fromkeys(names))
    for name, outcome in found.items():
        assert outcome is (HELD if name in files else ABSENT)
    # A page for each five names, at each depth (four), beside the questions.
    assert listed.pages * 2.5 + storage.count() <= len(names) * (1 + 4) + 2.5


def test_a_directory_of_just_the_wanted_names_is_pages_alone(listed):
    storage = RecordingStorage(files=dict.fromkeys(NAMES, b""))
    assert set(outcomes(backend_of(storage), NAMES).values()) == {HELD}
    assert (listed.pages, storage.count()) == (4, 0)


def test_a_crowd_is_left_to_itself(listed):
    """The listing is given up; the small directory beside it is listed."""
    crowd = dict.fromkeys([f"c/{number:03}" for number in range(500)], b"")
    few = dict.fromkeys([f"few/{number}" for number in range(8)], b"")
    storage = RecordingStorage(files={**crowd, **few})
    names = ["c/400", "c/450", "c/none", *few, "logo"]
    found = outcomes(backend_of(storage), names)
    assert [name for name, each in found.items() if each is ABSENT] == [
        "c/none",
        "logo",
    ]
    assert (listed.pages, storage.count()) == (2, 4)


def test_one_name_beside_a_directory_is_no_reason_to_ask_for_all(listed):
    """Too much lies at the root; what is left of the names has a directory."""
    files = [f"a/{number:03}" for number in range(50)]
    files += [f"z/{number}" for number in range(9)]
    storage = RecordingStorage(files=dict.fromkeys(files, b""))
    names = [*files[-9:], "logo"]
    outcomes(backend_of(storage), names)
    assert (listed.pages, storage.count()) == (2, 1)


def test_keys_that_are_no_names_do_not_keep_a_listing_going(listed):
    """A page with a folder's marker holds a name less, and is not the last one."""
    files = [f"d/{number:03}" for number in range(1000)]
    listed.gaps = frozenset(files[::10])
    storage = RecordingStorage(files=dict.fromkeys(files, b""))
    names = [f"d/{number}5" for number in range(33, 100, 11)]
    outcomes(backend_of(storage), names)
    assert (listed.pages, storage.count()) == (2, 7)


class Answered(Exception):
    """As a client of HTTP raises it."""

    def __init__(self, code):
        super().__init__(code)
        self.code = code


@pytest.mark.parametrize(
    ("error", "may_list"),
    [
        (PermissionError(), True),
        (KeyError("a bug"), True),
        (Answered(403), False),
        (Answered(405), False),
        (Answered(501), False),
    ],
    ids=["local", "bug", "403", "405", "501"],
)
def test_a_listing_that_fails_is_asked_instead(listed, error, may_list):
    """Where only listing is refused, or what failed says nothing of the server."""
    storage = RecordingStorage(files=dict.fromkeys(NAMES[::2], b""))
    listed.error = error
    backend = backend_of(storage)
    assert list(outcomes(backend, NAMES).values()) == [HELD, ABSENT] * 20
    assert (listed.pages, storage.count(), backend.failures) == (1, 40, 1)
    outcomes(backend, NAMES)
    assert listed.pages == (2 if may_list else 1)


@pytest.mark.parametrize("code", [None, 400, 404, 429, 503])
def test_a_listing_that_fails_settles_it(listed, code):
    """Nobody is asked for what would get the same answer, 40 times."""
    storage = RecordingStorage(files=dict.fromkeys(NAMES, b""))
    listed.error = ConnectionError() if code is None else Answered(code)
    backend = backend_of(storage)
    failures = []

    def note(failure, **kwargs):
        failures.append(failure)

    backend_failed.connect(note)
    try:
        found = probe_many(backend, [*NAMES, "d/"])
    finally:
        backend_failed.disconnect(note)
    assert [(each.operation, each.name, each.exception) for each in failures] == [
        ("listdir", "d/", listed.error)
    ]
    assert {attempt.outcome for attempt in found.values()} == {FAILED}
    (error,) = {attempt.exception for attempt in found.values()}
    if code == 404:
        # A listing that finds nothing is none: there is no bucket.
        assert isinstance(error, MissingPlaceError)
        error = error.__cause__
    assert error is listed.error
    assert (listed.pages, storage.count()) == (1, 0)
    assert (backend.calls, backend.failures) == (1, 1)
    listed.error = None
    assert set(outcomes(backend, NAMES).values()) == {HELD}


@pytest.mark.parametrize("code", [403, 503])
def test_a_listing_that_fails_is_not_tried_in_other_directories(listed, code):
    """The first one is of all names, and too costly; the next one ends it."""
    files = [f"{each}/{number:03}" for each in "abc" for number in range(300)]
    storage = RecordingStorage(files=dict.fromkeys(files, b""))
    names = files[::30]
    error = Answered(code)

    class Failing(dict):
        def __iter__(self):
            if listed.pages == 2:
                listed.error = error
            return super().__iter__()

    storage.files = Failing(storage.files)
    found = outcomes(backend_of(storage), names)
    assert listed.pages == 3
    assert set(found.values()) == ({HELD} if code == 403 else {HELD, FAILED})


def test_a_listing_that_breaks_off_decides_what_it_told(listed, monkeypatch):
    """The rest has failed: nothing is absent because it was not reached."""
    storage = RecordingStorage(files=dict.fromkeys(NAMES, b""))
    backend = backend_of(storage)
    pages = exists_many.flat_pages

    def broken(*args, **kwargs):
        yield next(pages(*args, **kwargs))
        raise ConnectionError

    monkeypatch.setattr(exists_many, "flat_pages", broken)
    found = outcomes(backend, sorted(NAMES))
    assert list(found.values()) == [HELD] * 10 + [FAILED] * 30
    assert storage.count() == 0


@pytest.mark.parametrize("error", [SuspiciousFileOperation(), ImproperlyConfigured()])
def test_a_listing_raises_what_must_not_be_passed_over(listed, error):
    listed.error = error
    with pytest.raises(type(error)):
        probe_many(backend_of(RecordingStorage()), NAMES)


# Threads


@pytest.fixture
def at_once(monkeypatch):
    """Threads are worth while for anything."""
    monkeypatch.setattr(ask_many, "NEW_THREAD", 0)
    monkeypatch.setattr(ask_many, "KEPT_THREAD", 0)


def test_the_others_are_asked_at_the_same_time(at_once):
    """As many as there are threads, after a sample; every one once."""
    together = threading.Barrier(TOGETHER)
    storage = RecordingStorage(files=dict.fromkeys(NAMES[::2], b""))
    others = set(NAMES[SAMPLE : SAMPLE + TOGETHER])
    storage.before("exists", lambda name: name in others and together.wait(20))
    backend = backend_of(storage, CONCURRENT=True)
    assert list(outcomes(backend, NAMES).values()) == [HELD, ABSENT] * 20
    assert sorted(storage.calls) == sorted(("exists", name) for name in NAMES)
    assert not together.broken
    assert backend.calls == 40


@pytest.mark.parametrize(
    ("seconds", "kept", "threads"),
    [
        (0.1, 0, 0),
        (0.3, 0, 1),
        (1.3, 0, 3),
        (100, 0, THREADS),
        (0.001, 2, 0),
        (0.1, 2, 2),
        (1.3, 3, 3),  # four would do as well
        (100, 3, THREADS),
    ],
)
def test_a_thread_is_to_save_more_than_it_costs(seconds, kept, threads):
    assert ask_many._worth(seconds, kept) == threads


def test_threads_are_used_again(at_once):
    """Each has a client of its own, which is costly to make."""
    together = threading.Barrier(TOGETHER)
    clients = threading.local()
    made = []

    class Storage(RecordingStorage):
        def exists(self, name):
            if not hasattr(clients, "client"):
                clients.client = object()
                made.append(threading.current_thread())
            if name in NAMES[SAMPLE : SAMPLE + TOGETHER]:
                together.wait(20)
            return False

    backend = backend_of(Storage(), CONCURRENT=True)
    probe_many(backend, NAMES)
    assert len(made) == TOGETHER
    for thread in made[1:]:
        assert thread.daemon  # a process that ends does not wait for it
    probe_many(backend, NAMES)
    assert len(made) == TOGETHER


def test_an_interrupt_ends_the_waiting_at_once(at_once):
    """A thread that hangs is not waited for."""
    begun, end, ended = threading.Event(), threading.Event(), threading.Event()
    caller = threading.current_thread()

    class Hanging(RecordingStorage):
        def exists(self, name):
            if name not in NAMES[SAMPLE:]:
                return False
            if threading.current_thread() is caller:
                assert begun.wait(20)
                raise KeyboardInterrupt
            begun.set()
            end.wait(20)
            ended.set()
            return False

    with pytest.raises(KeyboardInterrupt):
        probe_many(backend_of(Hanging(), CONCURRENT=True), NAMES)
    assert not ended.is_set()
    end.set()


@pytest.mark.slow
def test_a_thousand_chains_leave_no_thread(at_once):
    """They wait for more to do, but not when their chain is gone."""
    before = set(threading.enumerate())
    for number in range(1000):
        chain = FallbackStorage([{**CONCURRENT, "NAME": f"a{number}"}])
        assert set(chain.resolve_many(NAMES[:6])) == set(NAMES[:6])
        assert len(set(threading.enumerate()) - before) < 200
    del chain
    gc.collect()
    for thread in set(threading.enumerate()) - before:
        thread.join(20)
        assert not thread.is_alive()


@pytest.mark.parametrize("policy", [{}, {"CONCURRENT": False}])
def test_who_does_not_bear_it_is_asked_in_one_thread(at_once, policy):
    threads = set()
    storage = RecordingStorage()
    storage.before("exists", lambda name: threads.add(threading.get_ident()))
    probe_many(backend_of(storage, **policy), NAMES)
    assert threads == {threading.get_ident()}


def test_who_is_fast_is_asked_in_one_thread():
    threads = set()
    storage = RecordingStorage()
    storage.before("exists", lambda name: threads.add(threading.get_ident()))
    probe_many(backend_of(storage, CONCURRENT=True), NAMES)
    assert threads == {threading.get_ident()}


def test_failures_are_those_of_one_thread(at_once):
    """Each name has the answer of its own question."""

    class Moody(RecordingStorage):
        def exists(self, name):
            if name[-1] in "37":
                raise ConnectionError(name)
            return super().exists(name)

    backend = backend_of(Moody(), CONCURRENT=True)
    found = probe_many(backend, NAMES)
    for name, attempt in found.items():
        assert attempt.outcome is (FAILED if name[-1] in "37" else ABSENT)
        assert attempt.outcome is ABSENT or str(attempt.exception) == name
    assert backend.failures == 8


@pytest.mark.parametrize("policy", [{"CONCURRENT": True}, {}], ids=["far", "near"])
@pytest.mark.parametrize("down_from", [0, 1, 6])
def test_who_cannot_be_reached_is_asked_for_three_names(policy, down_from):
    """The others have failed with the last of them; before, each has its own answer."""

    class Down(RecordingStorage):
        def exists(self, name):
            self.act("exists", name)
            if self.count() > down_from:
                raise ConnectionError(name)
            return True

    backend = backend_of(Down(), **policy)
    found = probe_many(backend, NAMES)
    asked = down_from + IN_A_ROW
    expected = [HELD] * down_from + [FAILED] * (len(NAMES) - down_from)
    assert [attempt.outcome for attempt in found.values()] == expected
    texts = [str(attempt.exception) for attempt in found.values()][down_from:]
    own = NAMES[down_from:asked]
    assert texts == own + [own[-1]] * (len(NAMES) - asked)
    assert backend.storage.count() == asked
    assert (backend.calls, backend.failures) == (asked, IN_A_ROW)


def test_threads_ask_for_few_names_more(at_once):
    """Each of those that are under way already."""
    together = threading.Barrier(TOGETHER)

    class Down(RecordingStorage):
        def exists(self, name):
            self.act("exists", name)
            if name in NAMES[:SAMPLE]:
                return True
            if name in NAMES[SAMPLE : SAMPLE + TOGETHER]:
                together.wait(20)
            raise ConnectionError(name)

    many = [*NAMES, *(f"e/{number}" for number in range(400))]
    backend = backend_of(Down(), CONCURRENT=True)
    found = probe_many(backend, many)
    outcomes = [attempt.outcome for attempt in found.values()]
    assert outcomes == [HELD] * SAMPLE + [FAILED] * (len(many) - SAMPLE)
    assert backend.storage.count() <= SAMPLE + IN_A_ROW + THREADS + 1


def test_who_is_left_alone_is_not_asked_again(at_once):
    """By a breaker: one refusal is enough."""
    storage = RecordingStorage()
    storage.fail("exists", BackendUnavailable("far", "it was given up"))
    found = probe_many(backend_of(storage), NAMES)
    assert {attempt.outcome for attempt in found.values()} == {FAILED}
    assert storage.count() == 1


def test_a_chain_within_the_chain_is_asked_for_every_name():
    """What one of its backends has is found, also if the other is away."""
    near = RecordingStorage("near", dict.fromkeys(NAMES[20:], b""))
    away = RecordingStorage("away")
    away.fail("exists", BackendUnavailable("far", "it was given up"))
    found = outcomes(backend_of(FallbackStorage([near, away])), NAMES)
    assert list(found.values()) == [FAILED] * 20 + [HELD] * 20


def test_other_failures_are_those_of_each_name():
    """An error of the program, or a 403, says nothing of the other names."""
    storage = RecordingStorage()
    for error in (ValueError(), Answered(403), Answered(400)):
        storage.reset()
        storage.fail("exists", error)
        probe_many(backend_of(storage), NAMES)
        assert storage.count() == len(NAMES)


@pytest.mark.parametrize("error", [SuspiciousFileOperation, KeyboardInterrupt])
def test_what_is_raised_at_once_stops_the_rest(at_once, error):
    """What is under way ends; what has not begun does not."""
    together = threading.Barrier(TOGETHER)
    begun = NAMES[SAMPLE : SAMPLE + TOGETHER]

    class Raising(RecordingStorage):
        def exists(self, name):
            self.act("exists", name)
            if name in begun:
                together.wait(20)
            if name in begun[::3]:
                raise error(name)
            # The others go on only when somebody has raised.
            if name in begun:
                raised.wait(0.2)
            return False

    raised = threading.Event()
    storage = Raising()
    names = NAMES * 1
    many = [*names, *(f"e/{number}" for number in range(400))]
    with pytest.raises(error):
        probe_many(backend_of(storage, CONCURRENT=True), many)
    assert storage.count() < len(many) / 2


def test_the_first_in_order_is_raised(at_once):
    """Of several that raised, that of the first name."""
    together = threading.Barrier(TOGETHER)
    begun = NAMES[SAMPLE : SAMPLE + TOGETHER]

    class Raising(RecordingStorage):
        def exists(self, name):
            if name not in begun:
                return False
            together.wait(20)
            raise SuspiciousFileOperation(name)

    with pytest.raises(SuspiciousFileOperation, match=f"^{begun[0]}$"):
        probe_many(backend_of(Raising(), CONCURRENT=True), NAMES)


def test_threads_have_the_callers_context(at_once):
    """What tracing goes by; and what they set is theirs."""
    variable = ContextVar("variable", default="nothing")
    variable.set("ours")
    seen = set()

    def look(name):
        seen.add(variable.get())
        if threading.current_thread() is not threading.main_thread():
            variable.set("theirs")

    storage = RecordingStorage()
    storage.before("exists", look)
    probe_many(backend_of(storage, CONCURRENT=True), NAMES)
    assert seen == {"ours"}
    assert variable.get() == "ours"


@pytest.mark.parametrize("threads", [0, 3])
def test_threads_that_cannot_be_had_are_done_without(at_once, monkeypatch, threads):
    """At the end of the process, or where it may have no more of them."""
    start = threading.Thread.start
    started = []

    def refuse(thread):
        if len(started) == threads:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    storage = RecordingStorage(files=dict.fromkeys(NAMES[::2], b""))
    found = outcomes(backend_of(storage, CONCURRENT=True), NAMES)
    assert list(found.values()) == [HELD, ABSENT] * 20
    assert storage.count() == 40


def test_a_storage_without_exists(at_once):
    storage = RecordingStorage(unsupported={"exists"})
    found = outcomes(backend_of(storage, CONCURRENT=True), NAMES)
    assert set(found.values()) == {Outcome.UNSUPPORTED}


def test_no_names():
    assert probe_many(backend_of(RecordingStorage()), []) == {}
