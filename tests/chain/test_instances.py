"""Storages that are not thread-safe: one call at a time in each of a few instances."""

from __future__ import annotations

import gc
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import pytest
from django.core.exceptions import SuspiciousOperation
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from fakes import RecordingStorage, read
from interrupts import at_every_moment

from fallback_storage.chain import instances
from fallback_storage.chain.profile import Profile
from fallback_storage.exceptions import BackendUnavailable
from fallback_storage.storage import FallbackStorage

FILES = {"a": b"1", "d/b": b"22"}
MINE = {"PROFILE": {"THREAD_SAFE": False, "THREAD_SAFE_METHODS": ["url"]}}


class Connection(RecordingStorage):
    """One connection: it bears one call, and none after a failure."""

    made: ClassVar[list[Connection]] = []
    files_of_all = FILES

    def __init__(self, label="connection"):
        super().__init__(label)
        self.files = self.files_of_all
        self.users = self.most = 0
        self.broken = self.closed = False
        self.reads_from = "connection"
        self.made.append(self)

    def act(self, method, name):
        self.users += 1
        self.most = max(self.most, self.users)
        try:
            if self.broken or self.closed:
                raise AttributeError("'NoneType' object has no attribute 'is_active'")
            super().act(method, name)
        except ConnectionError:
            self.broken = True
            raise
        finally:
            self.users -= 1

    def close(self):
        self.closed = True


@pytest.fixture(autouse=True)
def made(monkeypatch):
    monkeypatch.setattr(Connection, "made", [])
    monkeypatch.setattr(Connection, "files_of_all", dict(FILES))
    return Connection.made


@pytest.fixture
def chain(settings):
    settings.STORAGES = {
        **settings.STORAGES,
        "remote": {"BACKEND": f"{__name__}.Connection", "OPTIONS": {"label": "r"}},
    }
    return FallbackStorage([{"ALIAS": "remote", **MINE}], cache=False)


@pytest.fixture
def blocking(monkeypatch):
    """Let every instance that is made wait in ``size``; yield the gate and who is in."""
    gate, inside = threading.Event(), threading.Semaphore(0)

    def wait(name):
        inside.release()
        assert gate.wait(30)

    plain = Connection.__init__

    def init(self, *args, **kwargs):
        plain(self, *args, **kwargs)
        self.before("size", wait)

    monkeypatch.setattr(Connection, "__init__", init)
    yield gate, inside
    gate.set()


def test_no_instance_has_two_calls_at_once(chain, made):
    """However many threads ask; and there are a few instances only."""

    def work(number):
        assert chain.exists("a") is True
        assert chain.size("d/b") == 2
        assert read(chain, "a") == b"1"

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(200)))
    template, *others = made
    assert template.calls == []
    assert 1 <= len(others) <= instances.INSTANCES
    assert {each.most for each in others} == {1}


def test_an_instance_that_was_given_is_asked_by_one_at_a_time(made):
    """There is no other one, and it is not replaced."""
    path = {"__module__": "storages.backends.sftpstorage"}
    given = type("SFTPStorage", (Connection,), path)()
    chain = FallbackStorage([given], cache=False)
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda _: chain.exists("a"), range(100)))
    given.fail("exists", ConnectionError("dropped"))
    assert chain.resolve("a").held is None
    assert (given.most, given.closed, len(made)) == (1, False, 1)


def test_an_instance_that_failed_is_used_no_more(chain, made):
    """The next call has another one: an outage does not outlive itself."""
    chain.exists("a")
    made[-1].fail("exists", ConnectionError("dropped"))
    assert chain.resolve("a").held is None
    assert chain.exists("a") is True
    assert len(made) == 3
    assert made[1].closed is True


def test_an_instance_that_said_no_is_used_again(chain, made):
    """Not there, not implemented, a refused name: its connection is as good as before."""
    chain.exists("a")
    storage = made[-1]
    for error in (
        FileNotFoundError(2, "gone"),
        NotImplementedError(),
        SuspiciousOperation(),
    ):
        storage.fail("size", error)
        with pytest.raises(Exception):  # noqa: B017, PT011
            chain.size("a")
    storage.heal("size")
    assert chain.size("a") == 1
    assert len(made) == 2


def test_a_file_is_read_before_its_connection_is_lent_to_another(chain, made):
    """What ``open`` returns makes no use of it."""
    file = chain.open("a")
    made[-1].broken = True
    with file:
        assert file.read() == b"1"
        assert file.size == 1
        file.seek(0)
        assert list(file.chunks()) == [b"1"]


def test_waiting_for_a_turn_has_an_end(chain, blocking, monkeypatch):
    """And urls need none."""
    gate, inside = blocking
    with ThreadPoolExecutor(instances.INSTANCES) as pool:
        calls = [pool.submit(chain.size, "a") for _ in range(instances.INSTANCES)]
        for _ in calls:
            assert inside.acquire(timeout=30)
        monkeypatch.setattr(instances, "PATIENCE", 0.01)
        with pytest.raises(BackendUnavailable, match="'remote' is not available: busy"):
            chain.size("a")
        assert chain.url("a") == "https://r.example/a"
        gate.set()
        assert [call.result() for call in calls] == [1] * len(calls)
    assert chain.size("a") == 1


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_gives_the_turn_back(chain, made, interrupt):
    """And the instance, of which nobody knows what it was doing, is used no more."""
    chain.exists("a")
    for _ in range(instances.INSTANCES + 1):
        made[-1].fail("exists", interrupt())
        with pytest.raises(interrupt):
            chain.exists("a")
        assert chain.exists("a") is True


def test_no_interrupt_anywhere_costs_a_turn(made, monkeypatch):
    """There is one only, of an instance that was given."""
    monkeypatch.setattr(instances, "PATIENCE", 0.01)
    lent = instances.Instances("given", Connection(), Profile(thread_safe=False))
    moments = at_every_moment([instances, threading], lambda: lent.exists("a"))
    for moment in moments:
        assert lent.exists("a") is True, moment
    assert moment > 3


def test_saves_and_deletes_go_to_one_instance_each(chain):
    name = chain.save("new", ContentFile(b"3"))
    assert read(chain, name) == b"3"
    chain.delete(name)
    assert chain.exists(name) is False


def test_the_storage_of_the_alias_stays_the_projects_own(chain, made):
    """It is not used, and not replaced."""
    own = storages["remote"]
    chain.exists("a")
    assert storages["remote"] is own
    assert own.calls == []
    assert chain.backends[0].storage.label == "r"
    assert isinstance(chain.backends[0].storage, Connection)
    assert not hasattr(chain.backends[0].storage, "no_such_thing")


def test_instances_are_closed_with_the_chain(settings, made):
    """No connection is left of a chain that is gone."""
    chain = FallbackStorage(
        [{"BACKEND": f"{__name__}.Connection", **MINE}], cache=False
    )
    chain.exists("a")
    storage = made[-1]
    del chain
    gc.collect()
    assert storage.closed is True


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
# Other tests may have left threads.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_forked_child_leaves_its_parents_connections_alone(settings, made):
    """It makes its own, and closes only those."""
    chain = FallbackStorage(
        [{"BACKEND": f"{__name__}.Connection", **MINE}], cache=False
    )
    chain.exists("a")
    parents = made[-1]
    child = os.fork()
    if not child:
        chain.exists("a")
        gc.collect()
        mine = made[-1]
        os._exit(0 if mine is not parents and not parents.closed else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_arguments_of_url_are_looked_at_as_ever(settings):
    """A storage that takes none is asked without them."""
    chain = FallbackStorage(
        [{"BACKEND": f"{__name__}.Connection", **MINE}], cache=False
    )
    assert chain.url("a", expire=3) == "https://connection.example/a"
