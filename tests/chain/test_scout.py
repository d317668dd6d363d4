"""What is found by looks alone is what a walk finds; in any doubt a walk is made."""

from __future__ import annotations

import logging
import os
from functools import partial
from pathlib import Path

import pytest
from django.core.files.storage import FileSystemStorage
from fakes import RecordingStorage, read_only
from hypothesis import given
from hypothesis import strategies as st
from proofs import searching

from fallback_storage.cache import snapshots
from fallback_storage.cache.invalidation import invalidate
from fallback_storage.chain import equivalents
from fallback_storage.exceptions import BackendUnavailable
from fallback_storage.signals import backend_failed, resolved
from fallback_storage.storage import FallbackStorage
from fallback_storage.utils.logs import warner

LOCMEM = "django.core.cache.backends.locmem.LocMemCache"
NAMES = ("here", "there", "a", "a/b", "link", "nowhere", "d/x", "d/y", "no/x", "no/y")


@pytest.fixture
def local(tmp_path):
    root = tmp_path / "local"
    (root / "a").mkdir(parents=True)
    (root / "d").mkdir()
    for name in ("here", "a/b", "d/x"):
        (root / name).write_bytes(b"x")
    (root / "link").symlink_to("nowhere at all")
    return FileSystemStorage(root, base_url="/local/")


@pytest.fixture
def other(tmp_path):
    root = tmp_path / "other"
    root.mkdir()
    (root / "there").write_bytes(b"x")
    return FileSystemStorage(root, base_url="/other/")


@pytest.fixture
def remote():
    return RecordingStorage("remote", {"there": b"x", "a": b"x"})


def memo(chain):
    return chain._get_engine().memo


# Answers


def answers(chain):
    exists = {name: chain.exists(name) for name in NAMES}
    return exists, {name: chain.url(name) for name in NAMES}


@pytest.mark.parametrize("cache", [None, False, {"TTL": 0}, {"NEGATIVE_TTL": 0}])
@pytest.mark.parametrize("lexists", [True, False])
def test_they_are_those_of_walks(local, other, remote, monkeypatch, cache, lexists):
    if not lexists:
        monkeypatch.setattr(equivalents, "LEXISTS", None)
    for backends in ([local, other], [local, other, remote], [local, remote, other]):
        chain, walking = (FallbackStorage(backends, cache=cache) for _ in range(2))
        engine = walking._get_engine()
        engine.find = lambda name, stop: None
        monkeypatch.setattr(engine.resolver.scout, "look", lambda *args, **_: None)
        expected = answers(walking)
        assert answers(chain) == expected == answers(chain)
        for name in NAMES:
            assert memo(chain).peek(name) == memo(walking).peek(name), name


@searching(30)
@given(st.lists(st.sampled_from(NAMES), max_size=12), st.booleans())
def test_those_of_many_are_those_of_each(local, other, names, complete):
    for backends in ([local, other], [local, other, RecordingStorage("remote")]):
        chain, single = FallbackStorage(backends), FallbackStorage(backends)
        chain.prefetch(names, complete=complete)
        for name in names:
            single.exists(name) if complete else single.url(name)
        for name in names:
            assert memo(chain).peek(name) == memo(single).peek(name), name
        assert [chain.url(name) for name in names] == [single.url(n) for n in names]


def test_a_page_costs_a_look_for_each_name(local, other, monkeypatch):
    """And none for those in a directory that is not there, but one for that."""
    chain = FallbackStorage([local, other])
    chain.prefetch(["x", "y"])
    before = chain.backends[0].calls
    chain.prefetch([f"no/{number}" for number in range(10)])
    chain.prefetch([f"d/{number}" for number in range(10)])
    assert chain.backends[0].calls - before == 1 + 10
    assert chain.backends[1].calls == 0


def test_what_is_known_is_not_looked_for_again(local, other):
    chain = FallbackStorage([local, other])
    chain.prefetch(["here", "nowhere"])
    calls = chain.backends[0].calls
    chain.prefetch(["here", "nowhere"])
    assert chain.backends[0].calls == calls
    chain.prefetch(["here", "nowhere"], complete=True)
    # (Of the one it is known that another may have it.)
    assert chain.backends[1].calls == 1
    assert memo(chain).peek("nowhere") == 0


def test_of_a_chain_of_one_nothing_is_learnt_for_its_urls(local, remote):
    """Before its only backend is nobody, who could be said not to have a file."""
    for backend, name in ((remote, "there"), (local, "here")):
        chain = FallbackStorage([backend])
        chain.prefetch([name, "nowhere"])
        assert memo(chain).peek(name) is None
        assert chain.exists(name)
        chain.prefetch([name, "nowhere"], complete=True)
        assert memo(chain).peek(name) == 1


def test_what_was_replaced_is_asked_once(local, remote, monkeypatch):
    """Also if it raises: who asks is told, or another backend is asked."""
    chain, asked = FallbackStorage([local, remote]), []
    assert not chain.exists("nowhere")
    assert chain.url("other")

    def exists(name, error=None):
        asked.append(name)
        if error:
            raise error
        return False

    monkeypatch.setattr(local, "exists", exists)
    assert chain.exists("there")
    assert asked == ["there"]
    assert not chain.exists("d/y")
    assert chain.url("d/x") == remote.url("d/x")
    chain.prefetch(["x", "y"])
    assert asked == ["there", "d/y", "d/x", "x", "y"]
    del asked[:]
    monkeypatch.setattr(local, "exists", partial(exists, error=OSError("the disk")))
    chain.forget_all()
    assert not chain.exists("z")
    assert asked == ["z"]


# No late fill


@pytest.fixture
def written_meanwhile(monkeypatch):
    """A function that lets somebody write while a chain looks for a file."""

    def begin(chain, name):
        lstat = os.lstat

        def look(path):
            try:
                return lstat(path)
            finally:
                if str(path).endswith(name):
                    invalidate([name])

        look_anew = equivalents.plain_look(chain.backends[0].storage, pytest.fail)
        look_anew.__defaults__ = (look,)
        chain.backends[0].__dict__["only_look"] = look_anew

    return begin


@pytest.mark.parametrize("name", ["here", "nowhere"])
@pytest.mark.parametrize("method", ["exists", "url"])
def test_what_was_written_meanwhile_is_not_remembered(
    local, other, written_meanwhile, name, method
):
    chain = FallbackStorage([local, other])
    written_meanwhile(chain, name)
    getattr(chain, method)(name)
    assert memo(chain).peek(name) is None
    assert chain.stats()["late_fills"] == 1


def test_nor_is_what_was_looked_for_with_others(local, other, written_meanwhile):
    chain = FallbackStorage([local, other])
    written_meanwhile(chain, "d/x")
    chain.prefetch(["d/x", "here"])
    assert memo(chain).peek("d/x") is None
    assert memo(chain).peek("here") == 1
    assert chain.stats()["late_fills"] == 1
    assert chain.stats()["fills"] == 1


# A place that turns out to vary is remembered nothing of


@pytest.mark.parametrize("method", ["exists", "url", "prefetch"])
def test_no_place_that_varies_is_remembered(local, other, method):
    chain = FallbackStorage([local, other])
    assert chain.backends[1].storage
    chain.backends[1].place_varies = True
    getattr(chain, method)(["here", "d/x"] if method == "prefetch" else "here")
    assert memo(chain).peek("here") is None
    assert chain.stats().get("fills", 0) == 0


# Backends that are left alone


def leave_alone(chain, index=-1):
    breaker = chain.backends[index].reach.breaker
    for _ in range(3):
        breaker.failed(breaker.ticket)
    assert breaker.rests


@pytest.fixture
def outage(local, remote, walks):
    chain = FallbackStorage([local, remote])
    assert not chain.exists("nowhere at first")
    leave_alone(chain)
    chain.forget_all()
    warner.forget()
    assert chain.exists("nowhere") is False  # which is told
    walks.clear()
    remote.reset()
    return chain


@pytest.fixture
def walks(monkeypatch):
    from fallback_storage.chain import resolver

    begun, walk = [], resolver.Walk

    def begin(operation, name, **options):
        begun.append(name)
        return walk(operation, name, **options)

    monkeypatch.setattr(resolver, "Walk", begin)
    return begun


def test_an_outage_makes_no_walks(outage, remote, walks):
    assert not outage.exists("nowhere")
    assert outage.exists("here")
    assert walks == []
    assert remote.counts() == {}
    assert memo(outage).peek("nowhere") is None, "a failure is no miss"
    assert memo(outage).peek("here") == 1


def test_it_is_told_once_in_a_while_how_often(outage, walks, monkeypatch, caplog):
    for _ in range(5):
        outage.exists("nowhere")
    assert walks == []
    now = warner._clock()
    monkeypatch.setattr(warner, "_clock", lambda: now + 61)
    assert not outage.exists("nowhere")
    assert walks == ["nowhere"]
    assert "(5 more before)" in caplog.text


def test_who_debugs_is_told_of_each(outage, walks, caplog):
    with caplog.at_level(logging.DEBUG, "fallback_storage"):
        assert not outage.exists("nowhere")
    assert walks == ["nowhere"]


def test_who_listens_is_told_of_each(outage, walks):
    heard = []

    def hear(failure, **kwargs):
        heard.append(failure.name)

    backend_failed.connect(hear)
    try:
        assert not outage.exists("nowhere")
    finally:
        backend_failed.disconnect(hear)
    assert heard == walks == ["nowhere"]


def test_a_look_that_is_not_enough_is_no_call(outage):
    """A walk looks again, and is told of."""
    before = outage.backends[0].calls
    outage.exists("nowhere")
    assert outage.backends[0].calls == before + 1
    warner.forget()
    outage.exists("nowhere")
    assert outage.backends[0].calls == before + 2


def test_strict_raises(local, remote):
    """Also where another chain has told of the same."""
    lenient, chain = (FallbackStorage([local, remote], strict=s) for s in (False, True))
    chain.exists("x")
    lenient.exists("x")
    for each in (lenient, chain):
        leave_alone(each)
    assert not lenient.exists("nowhere")
    for _ in range(3):
        with pytest.raises(BackendUnavailable):
            chain.exists("nowhere")
        assert chain.exists("here")


def test_if_nobody_answers_it_raises(local, remote):
    """Also where another chain has told of the same."""
    backends = [remote, RecordingStorage("other")]
    chain, other = FallbackStorage(backends), FallbackStorage([local, *backends])
    chain.exists("x")
    leave_alone(chain, 0)
    leave_alone(chain, 1)
    other.exists("x")
    leave_alone(other, 1)
    leave_alone(other, 2)
    assert not other.exists("nowhere")
    assert [each.name for each in chain.backends] == [
        e.name for e in other.backends[1:]
    ]
    for _ in range(3):
        with pytest.raises(Exception, match="failed in 2 backends"):
            chain.exists("nowhere")


def test_one_below_may_hold_it(local, remote, other, walks):
    """Which is told as well, and not remembered."""
    chain = FallbackStorage([local, remote, other])
    chain.exists("x")
    leave_alone(chain, 1)
    chain.forget_all()
    assert not chain.exists("nowhere")
    walks.clear()
    assert chain.exists("there")
    assert chain.url("there") == other.url("there")
    assert memo(chain).peek("there") is None
    assert walks[0] == "there"


def test_who_is_back_is_asked_at_once(outage, remote):
    breaker = outage.backends[1].reach.breaker
    assert not outage.exists("there")
    assert breaker.succeeded(breaker.ticket)
    assert outage.exists("there")
    assert remote.counts() == {"exists": 1}


def test_what_it_held_is_believed(settings, local, clock):
    """Grace: of that the memo is asked, and so a walk is made."""

    class Chain(FallbackStorage):
        pass

    Chain.clock = clock
    entry, _ = read_only(settings, {"far": b"x", "deleted": b"x"})
    chain = Chain([local, entry])
    assert chain.exists("far")
    assert chain.exists("deleted")
    assert not chain.exists("nowhere")
    clock.tick(301)
    leave_alone(chain)
    invalidate(["deleted"])
    for _ in range(3):
        assert chain.exists("far")
        assert not chain.exists("deleted")
        assert not chain.exists("nowhere")
    assert chain.stats()["grace_hits"] == 3


def test_those_of_many_in_it_are_asked_for(local, other):
    """If nobody knows whether it can be reached."""
    chain = FallbackStorage([local, other, RecordingStorage("remote")])
    chain.prefetch(["here"])
    chain.backends[0].__dict__["only_look"] = pytest.fail
    breaker = chain.backends[0].reach.breaker
    breaker.failed(breaker.ticket)
    chain.prefetch(["here", "d/x"])
    assert memo(chain).peek("d/x") == 1


@pytest.mark.parametrize("ttl", ["TTL", "NEGATIVE_TTL"])
def test_what_is_not_to_be_remembered_is_no_late_fill(local, other, ttl):
    chain = FallbackStorage([local, other], cache={ttl: 0})
    names = {"TTL": ["here", "d/x"], "NEGATIVE_TTL": ["nowhere", "no/x"]}[ttl]
    chain.exists(names[0])
    chain.prefetch(names, complete=True)
    assert chain.stats()["fills"] == chain.stats()["late_fills"] == 0


@pytest.mark.parametrize("name", ["./here", Path("here"), "d//../here", "d\\x", "a/"])
def test_other_spellings_are_left_to_the_long_way(local, other, name):
    chain = FallbackStorage([local, other])
    assert chain.exists(name)
    assert chain.url(name) == local.url("d/x" if name == "d\\x" else name)
    known = chain._get_engine().memo.store.known.entries
    assert known.keys() <= {"here", "d/x"}


def test_a_shared_memo_has_what_was_looked_for(local, other):
    chain, worker = (
        FallbackStorage([local, other], cache={"ALIAS": "default"}) for _ in range(2)
    )
    chain.exists("here")
    chain.url("nowhere")
    chain.prefetch(["d/x", "no/x"], complete=True)
    found = memo(worker).look_up_many(["here", "nowhere", "d/x", "no/x"])
    assert [code for code, _ in found.values()] == [1, 2, 1, 0]


def test_who_listens_is_told_of_each_of_many(local, other):
    heard = []

    def hear(resolution, **kwargs):
        heard.append(resolution.name)

    resolved.connect(hear)
    try:
        FallbackStorage([local, other]).prefetch(["here", "nowhere"])
    finally:
        resolved.disconnect(hear)
    assert sorted(heard) == ["here", "nowhere"]


def test_who_has_all_urls_asks_nobody(local, other):
    chain = FallbackStorage([local, other], urls="home")
    for backend in chain.backends:
        backend.__dict__["only_look"] = pytest.fail
    assert chain.url("there") == local.url("there")


def test_what_is_there_costs_one_system_call(local, monkeypatch):
    """And two where nothing was before."""
    told = []

    def lexists(path):
        told.append(path)
        return os.path.lexists(path)

    monkeypatch.setattr(equivalents, "LEXISTS", lexists)
    chain = FallbackStorage([local, RecordingStorage("remote")])
    for name in ("nowhere", "here", "d/x", "a/b"):
        chain.url(name)
    assert len(told) == 1


def test_a_remote_file_costs_no_third_look(local, remote, monkeypatch):
    """One that is not enough, and the walk's."""
    looked, lstat = [], os.lstat

    def look(path):
        looked.append(str(path))
        return lstat(path)

    chain = FallbackStorage([local, remote])
    chain.exists("here")
    monkeypatch.setattr(equivalents, "LEXISTS", None)
    for backend in chain.backends[:1]:
        for known in ("look", "only_look"):
            told = partial(getattr(backend, known), lstat=look)
            backend.__dict__[known] = told
    assert chain.exists("there")
    assert len(looked) == 2


# A shared memo that is left alone: of nothing is anything known


@pytest.fixture
def far(settings):
    return read_only(settings, {"there": b"x", "a": b"x"})


@pytest.fixture
def alone(local, far, clock, settings, walks):
    """A chain whose memo is left alone, which knows of files that are gone since."""

    class Chain(FallbackStorage):
        pass

    Chain.clock = clock
    settings.CACHES = {"default": {"BACKEND": LOCMEM, "LOCATION": "alone"}}
    entry, remote = far
    chain = Chain([local, entry], cache={"ALIAS": "default", "GRACE": 60})
    for name in NAMES:
        chain.exists(name)
    Path(local.path("d/x")).unlink()
    breaker = memo(chain).store._breaker
    for _ in range(3):
        breaker.failed(breaker.ticket)
    memo(chain).store._update()
    assert memo(chain).store.rests
    walks.clear()
    remote.reset()
    return chain


def test_a_memo_that_is_left_alone_costs_no_walks(
    alone, local, far, walks, monkeypatch
):
    entry, remote = far
    without = FallbackStorage([local, entry], cache=False)
    bypassed = memo(alone).store.stats()["bypassed"]
    resolver = alone._get_engine().resolver
    monkeypatch.setattr(resolver, "find", pytest.fail)
    for name in ("here", "d/x", "d/y", "there"):
        assert alone.url(name) == without.url(name)
    assert alone.exists("here")
    assert walks == []
    assert remote.counts().keys() == {"url"}
    assert memo(alone).store.stats()["bypassed"] == bypassed + 5
    monkeypatch.undo()
    assert answers(alone) == answers(without)


def test_it_is_tried_again_when_its_pause_is_over(alone, clock):
    clock.tick(11)
    assert not alone.exists("d/x")
    assert not memo(alone).store.rests
    assert memo(alone).store.stats()["breaker_open"] == 0


def test_what_was_held_before_both_failed_is_left_to_the_long_way(alone, walks):
    """It may be that more is known of it than the memo can tell now."""
    leave_alone(alone)
    warner.forget()
    for _ in range(2):
        assert not alone.exists("there")
    assert walks == ["there"] * 2
    assert alone.exists("here")


@pytest.mark.parametrize("near", [True, False])
def test_a_page_that_was_asked_for_before_makes_no_request(alone, far, near):
    names, remote = ["here", "there", "nowhere"], far[1]
    engine = alone._get_engine()
    if near:  # which is not asked while the store is left alone
        engine.peek = lambda name: None
    store = engine.memo.store
    breaker = store._breaker
    breaker.succeeded(breaker.ticket)
    store._update()
    alone.prefetch(names, complete=True)
    for _ in range(3):
        breaker.failed(breaker.ticket)
    store._update()
    remote.reset()
    assert [alone.exists(name) for name in names] == [True, True, False]
    assert remote.counts() == {}
    snapshots.end()
    assert [alone.exists(name) for name in names] == [True, True, False]
    assert remote.counts() == {"exists": 2}
