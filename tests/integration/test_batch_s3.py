"""Many names asked of a real S3 server: equal answers, and what they cost."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, Storage
from fakes import RecordingStorage
from real.proxy import FaultyProxy

from fallback_storage.chain import ask_many, exists_many
from fallback_storage.chain.exists_many import PAGE_COST, probe_many
from fallback_storage.chain.listing import PAGE_SIZE
from fallback_storage.chain.outcomes import Outcome
from fallback_storage.chain.reach import THREADS
from fallback_storage.exceptions import MissingPlaceError
from fallback_storage.jobs.sync import sync
from fallback_storage.jobs.warm import warm
from fallback_storage.storage import FallbackStorage

pytest.importorskip("storages.backends.s3")
import boto3.session
from botocore.exceptions import ClientError
from storages.backends.s3 import S3Storage

ODD = [
    "with some spaces.txt", "plus+plus.txt", "100%.txt", "a%20b.txt", "hash#1.txt",
    "what?.txt", "amp&equal=semi;.txt", "ünïcödé/日本語 📷.txt", "e\u0301.txt", "ä/b.txt",
]  # fmt: skip
SIBLINGS = ["a/b", "a-b", "a.b", "a0", "a/b-", "a/b/c", "a/b/c-d", "A/B"]


class Unlisted(S3Storage):
    """Its keys must not be listed: reading is all that its user may do."""

    @property
    def connection(self):
        connection = super().connection
        client = connection.meta.client
        client.get_paginator = self._refuse
        return connection

    def _refuse(self, operation):
        error = {"Error": {"Code": "AccessDenied", "Message": "no"}}
        raise ClientError(error, operation)


@pytest.fixture
def options(s3, s3_proxy):
    return s3.storage_options(endpoint_url=s3_proxy.endpoint_url)


@pytest.fixture
def make(options):
    """Make a chain of one S3 storage; every chain starts cold."""
    made = []

    def make(klass=S3Storage, cache=None, **more):
        storage = klass(**options, **more)
        made.append(storage)
        return FallbackStorage([storage], cache)

    yield make
    for storage in made:
        storage.connection.meta.client.close()


@pytest.fixture
def cost(s3_proxy):
    """A function: HEAD and LIST requests since the last time."""

    def cost():
        counts = s3_proxy.count("HEAD"), s3_proxy.count("GET")
        s3_proxy.clear()
        return counts

    return cost


def told(resolution):
    return (
        resolution.name,
        resolution.index,
        resolution.held,
        [(line.outcome, type(line.exception)) for line in resolution.trail],
    )


def check_equal(make, names, **more):
    """Compare with one after the other; return the chain that was asked for many."""
    single, many = make(cache=False, **more), make(**more)
    expected = {name: told(single.resolve(name)) for name in names}
    return many, expected


def put(s3, keys):
    for key in keys:
        s3.put(key, b"")


def test_names_of_all_kinds(s3, make, cost):
    """Three hundred in several directories: there, missing, odd, beginning alike."""
    there = [f"d{number % 5}/{number:03}.jpg" for number in range(0, 240, 2)]
    put(s3, [*there, *ODD[::2], *SIBLINGS[::2]])
    names = [f"d{number % 5}/{number:03}.jpg" for number in range(240)]
    names += [*ODD, *SIBLINGS, "a/", "a/b/", "", "d0", "d0/"]
    names += [f"none/{number}" for number in range(30)]
    chain, expected = check_equal(make, names)
    cost()
    found = chain.resolve_many(names)
    heads, lists = cost()
    assert {name: told(each) for name, each in found.items()} == expected
    # (This server's directories are held.)
    held = [name for name, each in found.items() if each.held and name[-1:] != "/"]
    assert set(held) == {*there, *ODD[::2], *SIBLINGS[::2]}
    # All but what means a directory; each page holds up to a thousand keys.
    directories = sum(not name or name.endswith("/") for name in names)
    assert heads <= directories
    assert lists == 1
    chain.resolve_many(names)
    assert cost() == (heads, 0)


def test_a_location_is_no_part_of_the_names(s3, make, cost):
    names = [f"d/{number} ä+%.jpg" for number in range(60)]
    put(s3, [f"sub/dir/{name}" for name in names[::2]])
    put(s3, [f"sub/dir2/{name}" for name in names] + names)
    chain, expected = check_equal(make, names, location="sub/dir")
    cost()
    found = chain.resolve_many(names)
    assert cost() == (0, 1)
    assert {name: told(each) for name, each in found.items()} == expected
    assert sum(each.held for each in found.values()) == 30


@pytest.fixture
def crowd(s3):
    """A directory of three thousand files, and a small one."""
    crowd = [f"crowd/{number:04}.jpg" for number in range(2300)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda key: s3.put(key, b""), crowd))
    put(s3, [f"few/{number}.jpg" for number in range(0, 40, 2)])
    return crowd


def test_few_among_many_cost_twice_their_questions_at_the_most(crowd, make, cost):
    """A listing is given up when it costs more than it tells; the rest is asked."""
    names = [
        *crowd[::77],
        *(f"crowd/{number:04}-none.jpg" for number in range(0, 2300, 230)),
    ]
    chain, expected = check_equal(make, names)
    cost()
    found = chain.resolve_many(names)
    heads, lists = cost()
    assert {name: told(each) for name, each in found.items()} == expected
    assert heads + lists * PAGE_COST <= 2 * len(names) + PAGE_COST
    assert lists <= 1 + len(names) // PAGE_COST

    # A group that lies in a directory of its own is listed there.
    small = [f"few/{number}.jpg" for number in range(40)]
    chain, expected = check_equal(make, [*names, *small, "one.jpg"])
    cost()
    found = chain.resolve_many([*names, *small, "one.jpg"])
    heads, lists = cost()
    assert {name: told(each) for name, each in found.items()} == expected
    assert heads <= len(names) + 1
    assert lists <= 5

    # Many among many: pages alone, no question.
    chain, expected = check_equal(make, crowd[1::20])
    found = chain.resolve_many(crowd)
    cost()
    chain = make()
    found = chain.resolve_many(crowd)
    assert cost() == (0, -(-len(crowd) // PAGE_SIZE))
    assert all(each.held for each in found.values())
    assert {name: told(found[name]) for name in crowd[1::20]} == expected


@pytest.mark.parametrize(
    "count", [exists_many.WORTH_LISTING - 1, exists_many.WORTH_LISTING]
)
def test_a_few_names_are_asked(s3, make, cost, count):
    """A page is tried only for as many as make it cheap."""
    names = [f"d/{number}" for number in range(count)]
    put(s3, names[:3])
    chain = make()
    cost()
    assert sum(each.held for each in chain.resolve_many(names).values()) == 3
    worth = count >= exists_many.WORTH_LISTING
    assert cost() == ((0, 1) if worth else (count, 0))


def test_who_may_not_list_is_asked(s3, make, cost):
    """The same answers, one question each."""
    names = [f"d/{number}" for number in range(40)]
    put(s3, names[::3])
    chain, expected = check_equal(make, names, klass=Unlisted)
    cost()
    found = chain.resolve_many(names)
    assert cost() == (40, 0)
    assert {name: told(each) for name, each in found.items()} == expected


@pytest.fixture
def impatient(options):
    """OPTIONS of a client that does not try again."""
    from botocore.config import Config

    config = Config(
        retries={"total_max_attempts": 1},
        connect_timeout=1,
        read_timeout=1,
        s3={"addressing_style": "path"},
    )
    return {**options, "client_config": config}


BATCHES = {
    "resolve_many": lambda chain, names: chain.resolve_many(names),
    "prefetch": lambda chain, names: chain.prefetch(names, complete=True),
}


@pytest.mark.parametrize("trouble", ["503", "hangs"])
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize(("count", "requests"), [(100, 1), (20, ask_many.IN_A_ROW)])
def test_a_batch_in_an_outage(s3, impatient, batch, trouble, count, requests):
    """One listing for many names, three questions for few, and then no more."""
    with FaultyProxy(s3.host, s3.port) as proxy:
        entry = {
            "BACKEND": "storages.backends.s3.S3Storage",
            "OPTIONS": {**impatient, "endpoint_url": proxy.endpoint_url},
            "RETRY_AFTER": 0,
        }
        chain = FallbackStorage([RecordingStorage("front"), entry])
        if trouble == "503":
            proxy.status = 503
        else:
            proxy.hang()
        names = [f"d/{number}" for number in range(count)]
        BATCHES[batch](chain, names)
        assert len(proxy.requests) == requests
        proxy.behave()
        put(s3, names)
        assert {each.held for each in chain.resolve_many(names).values()} == {True}
        chain.backends[1].storage.connection.meta.client.close()


def test_a_warm_up_and_a_sync_in_an_outage(s3, impatient, settings, tmp_path):
    """Neither asks for every name of what is below."""
    lower = FileSystemStorage(tmp_path / "lower", base_url="/lower/")
    names = [f"{number:02}" for number in range(60)]
    for name in names:
        lower.save(name, ContentFile(b"x"))
    with FaultyProxy(s3.host, s3.port) as proxy:
        storage = S3Storage(**{**impatient, "endpoint_url": proxy.endpoint_url})
        home = FileSystemStorage(tmp_path / "home", base_url="/home/")
        chain = FallbackStorage([home, storage, lower])
        proxy.status = 503
        *_, last = warm(chain, backend="FileSystemStorage-2")
        assert (last.unsure, last.filled) == (60, 0)
        assert len(proxy.requests) <= 2
        proxy.clear()
        (step,) = sync(chain)
        assert (step.final, step.backend) == (True, "S3Storage")
        assert len(proxy.requests) == 1
        storage.connection.meta.client.close()


def test_a_missing_bucket_is_asked_for_once(s3, s3_proxy, impatient, cost):
    storage = S3Storage(**{**impatient, "bucket_name": "no-such-bucket"})
    chain = FallbackStorage([RecordingStorage("front"), storage])
    found = chain.resolve_many([f"d/{number}" for number in range(100)])
    (error,) = {each.trail[1].exception for each in found.values()}
    assert isinstance(error, MissingPlaceError)
    assert cost() == (0, 1)
    storage.connection.meta.client.close()


def test_an_outage_is_a_failure_of_every_name(s3, s3_proxy, impatient):
    """And nothing of it is remembered."""
    storage = S3Storage(**impatient)
    front = RecordingStorage("front")
    chain = FallbackStorage([front, storage])
    names = [f"d/{number}" for number in range(30)]
    put(s3, names)
    s3_proxy.outage = True
    found = chain.resolve_many(names)
    assert {each.held for each in found.values()} == {None}
    assert {each.trail[1].outcome for each in found.values()} == {Outcome.FAILED}
    s3_proxy.outage = False
    assert {each.held for each in chain.resolve_many(names).values()} == {True}
    storage.connection.meta.client.close()


def test_whiteouts_in_a_bucket_are_listed(s3, options, cost):
    """The home is asked once for all whiteouts as well."""
    home = S3Storage(**options)
    below = RecordingStorage("below", {f"d/{number}": b"" for number in range(60)})
    entry = {
        "BACKEND": "typing.cast",
        "OPTIONS": {"typ": Storage, "val": below},
        "READ_ONLY": True,
    }
    chain = FallbackStorage([home, entry], on_delete="whiteout")
    for number in range(0, 60, 2):
        chain.delete(f"d/{number}")
    cost()
    found = chain.resolve_many(below.files)
    assert cost() == (0, 2)
    assert [each.hidden for each in found.values()] == [True, False] * 30
    home.connection.meta.client.close()


def test_questions_in_threads_have_clients_of_their_own(s3, options, monkeypatch, cost):
    """Where nothing can be listed, and it would take long."""
    monkeypatch.setattr(ask_many, "NEW_THREAD", 0)
    monkeypatch.setattr(exists_many, "WORTH_LISTING", 10_000)
    names = [f"d/{number}" for number in range(40)]
    put(s3, names[::2])
    # (All make their clients at once. On a machine with other work that takes seconds.)
    patient = {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": options,
        "DEADLINE": 0,
    }
    chain = FallbackStorage([patient])
    cost()
    answers = probe_many(chain.backends[0], names)
    assert cost() == (40, 0)
    assert [answers[name].outcome for name in names] == [
        Outcome.HELD,
        Outcome.ABSENT,
    ] * 20
    assert chain.backends[0].calls == 40
    chain.backends[0].storage.connection.meta.client.close()


class Counted(S3Storage):
    """As many write one: it asks in a way of its own, so no listing can answer for it."""

    def exists(self, name):
        return super().exists(name)


def test_a_subclass_makes_its_clients_once(s3, options, monkeypatch, cost):
    """Each takes 80 to 100 ms of CPU, and 8 MB."""
    monkeypatch.setattr(ask_many, "NEW_THREAD", 0)
    monkeypatch.setattr(ask_many, "KEPT_THREAD", 0)
    made = []
    client = boto3.session.Session.client

    def count(session, *args, **kwargs):
        made.append(threading.current_thread())
        return client(session, *args, **kwargs)

    monkeypatch.setattr(boto3.session.Session, "client", count)
    names = [f"d/{number}" for number in range(50)]
    put(s3, names[::2])
    chain = FallbackStorage([Counted(**options)])
    cost()
    for made_now in (range(2, THREADS + 2), [0]):
        made.clear()
        chain.forget_all()
        chain.prefetch(names, complete=True)
        assert cost() == (50, 0)
        assert len(made) in made_now
    chain.backends[0].storage.connection.meta.client.close()
