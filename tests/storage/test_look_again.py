"""A local file that went away behind the storage's back is missed at once, by everything."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, InMemoryStorage, Storage
from fakes import RecordingStorage, read

from fallback_storage import signals
from fallback_storage.cache import snapshots
from fallback_storage.conf.memo import close_shared_stores
from fallback_storage.storage import FallbackStorage

NAMES = ("photos/a.jpg", "photos/b.jpg", "c.jpg")
MOMENTS = ("get_accessed_time", "get_created_time", "get_modified_time")
READS = ("exists", "url", "size", "path", "resolve", "open", *MOMENTS)


class Own(FileSystemStorage):
    """Has an ``exists`` of its own, and counts."""

    asked = 0

    def exists(self, name):
        self.asked += 1
        return super().exists(name)


class Elsewhere(FileSystemStorage):
    """Its files are not where their names say."""

    def path(self, name):
        return super().path(f"elsewhere/{name}" if name else name)

    def _save(self, name, content):
        super()._save(name, content)
        return name


@pytest.fixture(params=[FileSystemStorage, Own, Elsewhere])
def local(request, tmp_path):
    local = request.param(tmp_path / "media", base_url="/media/")
    for name in NAMES:
        path = Path(local.path(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"local")
    return local


@pytest.fixture
def remote():
    return RecordingStorage("remote", dict.fromkeys(NAMES, b"remote!"))


def entry(storage, **policy):
    options = {"typ": Storage, "val": storage}
    return {"BACKEND": "typing.cast", "OPTIONS": options, **policy}


def ask(storage, operation, name):
    try:
        if operation == "open":
            return read(storage, name)
        answer = getattr(storage, operation)(name)
    except (FileNotFoundError, NotImplementedError) as error:
        return type(error)
    return answer.index if operation == "resolve" else answer


def is_plain(local):
    return type(local) is FileSystemStorage


def unlink(local, name):
    Path(local.path(name)).unlink()


def remove_all(local, name):
    shutil.rmtree(local.location)


def replace_by_directory(local, name):
    unlink(local, name)
    Path(local.path(name)).mkdir()


def replace_by_link_to_nowhere(local, name):
    unlink(local, name)
    Path(local.path(name)).symlink_to("/nowhere/at/all")


GOING = [unlink, remove_all, replace_by_directory, replace_by_link_to_nowhere]


@pytest.mark.parametrize("go", GOING)
@pytest.mark.parametrize("operation", READS)
def test_a_file_that_is_gone_is_missed_at_once(local, remote, operation, go):
    """By each operation, the first that is called: the answer is as without a memo."""
    chain = FallbackStorage([local, remote])
    for name in NAMES:
        assert (chain.exists(name), chain.url(name)) == (True, local.url(name))
    go(local, NAMES[0])
    truth = FallbackStorage([local, remote], cache=False)
    expected = ask(truth, operation, NAMES[0])
    assert ask(chain, operation, NAMES[0]) == expected
    assert ask(chain, operation, NAMES[0]) == expected
    # (For exists, a directory will do.)
    kept = go is replace_by_directory and operation == "exists"
    assert chain.stats()["lost_holders"] == (0 if kept and is_plain(local) else 1)
    # And what is left is known as before.
    if go is not remove_all:
        remote.reset()
        assert chain.url(NAMES[1]) == local.url(NAMES[1])
        assert remote.calls == []


@pytest.mark.parametrize("go", GOING[:2])
def test_where_nobody_else_has_it_it_does_not_exist(local, go):
    """The issue's own words: exists stays True for 300 seconds."""
    chain = FallbackStorage([local, RecordingStorage("remote")])
    assert chain.exists(NAMES[0])
    go(local, NAMES[0])
    assert chain.exists(NAMES[0]) is False
    chain.save(NAMES[0], ContentFile(b"new"))
    assert chain.exists(NAMES[0]) is True


@pytest.fixture(
    params=[
        "process",
        "Django cache",
        pytest.param("redis", marks=pytest.mark.slow),
        pytest.param("near", marks=pytest.mark.slow),
    ]
)
def memo(request, settings):
    """``cache`` of a chain, for each kind of memo."""
    if request.param == "process":
        return None
    backend, location = "locmem.LocMemCache", request.node.name
    if request.param != "Django cache":
        pytest.importorskip("redis")
        backend, location = "redis.RedisCache", request.getfixturevalue("valkey").url
    backend = f"django.core.cache.backends.{backend}"
    settings.CACHES = {"media": {"BACKEND": backend, "LOCATION": location}}
    return {"ALIAS": "media", "NEAR": request.param == "near"}


@pytest.mark.parametrize("listening", [False, True])
@pytest.mark.parametrize("go", GOING)
def test_a_page_of_names(local, remote, memo, listening, go):
    """Prefetched, asked for at once, in any memo, and while somebody listens."""

    def receive(**kwargs):
        pass

    snapshots.end()
    chain = FallbackStorage([local, remote], memo)
    chain.resolve_many(NAMES)
    chain.prefetch(NAMES, complete=True)
    if listening:
        signals.resolved.connect(receive)
    try:
        go(local, NAMES[0])
        assert chain.url(NAMES[0]) == remote.url(NAMES[0])
        shutil.rmtree(local.location, ignore_errors=True)
        remote.files.clear()
        found = chain.resolve_many(NAMES)
        assert [found[name].held for name in NAMES] == [False] * 3
        assert [chain.exists(name) for name in NAMES] == [False] * 3
    finally:
        signals.resolved.disconnect(receive)
        snapshots.end()
        close_shared_stores()


def test_a_prefetch_looks_again_as_well(local, remote):
    """What it keeps for the page is what is there."""
    chain = FallbackStorage([local, remote])
    chain.resolve_many(NAMES)
    shutil.rmtree(local.location)
    remote.reset()
    chain.prefetch(NAMES, complete=True)
    assert remote.counts() == {"exists": 3}
    assert [chain.url(name) for name in NAMES] == [remote.url(name) for name in NAMES]


@pytest.fixture
def looks(monkeypatch):
    """How often the system was asked what is at a path."""
    counts = Counter()

    def counted(function):
        def call(*args, **kwargs):
            counts[function.__name__] += 1
            return function(*args, **kwargs)

        return call

    for name in ("lstat", "stat", "access"):
        monkeypatch.setattr(os, name, counted(getattr(os, name)))
    return counts


def test_one_system_call(tmp_path, looks):
    """For a local file; none for who is above a remote one, and none for the last."""
    local = FileSystemStorage(tmp_path / "first", base_url="/media/")
    local.save("here", ContentFile(b""))
    remote = RecordingStorage("remote", {"there": b""})
    last = FileSystemStorage(tmp_path / "second")
    last.save("last", ContentFile(b""))
    chain = FallbackStorage([local, remote, last])
    for name in ("here", "there", "last"):
        chain.exists(name)
    remote.reset()
    for name, expected in {"here": 1, "there": 0, "last": 1}.items():
        looks.clear()
        assert chain.exists(name)
        assert looks.total() == expected, name
        looks.clear()
        chain.url(name)
        assert looks.total() == (name == "here"), name
    assert remote.counts() == {"url": 1}


def test_a_class_with_an_exists_of_its_own_is_asked_that(tmp_path):
    """Once for each call: nobody else knows what it holds."""
    local = Own(tmp_path)
    local.save("a", ContentFile(b""))
    chain = FallbackStorage([local, RecordingStorage("remote")])
    chain.exists("a")
    for operation in ("exists", "url", "resolve"):
        local.asked = 0
        getattr(chain, operation)("a")
        assert local.asked == 1, operation


@pytest.mark.parametrize("operation", ["exists", "url", "resolve"])
def test_without_a_look_the_memo_answers(local, remote, operation):
    """LOOK_AGAIN: False, where no deadline ends a look: NFS, SMB, FUSE."""
    chain = FallbackStorage([entry(local, LOOK_AGAIN=False), remote])
    expected = ask(chain, operation, NAMES[0])
    chain.exists(NAMES[0])
    unlink(local, NAMES[0])
    assert ask(chain, operation, NAMES[0]) == expected
    # Who reads it notices, as always.
    assert read(chain, NAMES[0]) == b"remote!"
    assert ask(chain, "resolve", NAMES[0]) == 1


def test_what_cannot_be_looked_at_is_no_place_to_look_again():
    chain = FallbackStorage([{"BACKEND": "fakes.RecordingStorage", "LOOK_AGAIN": True}])
    with pytest.raises(ImproperlyConfigured) as caught:
        chain.exists("a")
    assert str(caught.value) == (
        "backends[0]['LOOK_AGAIN']: is True, but fakes.RecordingStorage keeps its files in no local "
        "directory. Leave it out; with ALWAYS_PROBE the storage is asked every time. "
        "(fallback_storage.E003)"
    )


def test_it_may_be_said_of_what_is_looked_at_anyway(local, remote):
    inner = FallbackStorage([entry(local, LOOK_AGAIN=True), remote])
    assert FallbackStorage([entry(inner, LOOK_AGAIN=True)]).exists(NAMES[0])


# Chains within chains


@pytest.mark.parametrize("cache", [None, False, {"TTL": 5}])
@pytest.mark.parametrize("operation", READS)
def test_a_chain_within_the_chain_looks_again(local, remote, operation, cache):
    """Whatever its own memo says, and without a request."""
    nothing = RecordingStorage("nothing")
    chain = FallbackStorage([FallbackStorage([local, nothing], cache), remote])
    assert chain.exists(NAMES[0])
    unlink(local, NAMES[0])
    truth = FallbackStorage([FallbackStorage([local, nothing], False), remote], False)
    if cache is False and operation in {"exists", "url", "resolve", "path"}:
        # Nobody remembers that it was here, and not there.
        assert chain.exists(NAMES[0]) is True
        return
    expected = ask(truth, operation, NAMES[0])
    assert ask(chain, operation, NAMES[0]) == expected


def test_a_remote_file_of_a_chain_within_is_believed(tmp_path, remote):
    """No request is made for it, and no look above it."""
    local = FileSystemStorage(tmp_path)
    for cache in (None, False):
        chain = FallbackStorage(
            [FallbackStorage([local, remote], cache), InMemoryStorage()]
        )
        assert chain.exists(NAMES[0])
        remote.reset()
        assert chain.exists(NAMES[0])
        assert chain.resolve(NAMES[0]).index == 0
        assert remote.calls == []


# What looks meanwhile


def test_a_save_in_another_process_between_two_looks(tmp_path, remote):
    """What came back meanwhile is found where it now is."""
    local = FileSystemStorage(tmp_path, base_url="/media/")
    local.save("a", ContentFile(b"1"))
    chain = FallbackStorage([local, remote])
    assert chain.exists("a")
    unlink(local, "a")
    assert chain.exists("a") is False
    local.save("a", ContentFile(b"2"))
    assert chain.exists("a") is True
    assert read(chain, "a") == b"2"


@pytest.mark.parametrize("asks", ["exists", "resolve", "size", "open"])
def test_a_file_that_is_made_by_its_path_is_there(tmp_path, remote, asks):
    """Who learns that it is missing often makes it next: ffmpeg, or PIL's save()."""
    chain = FallbackStorage([FileSystemStorage(tmp_path), remote])
    with suppress(FileNotFoundError):
        getattr(chain, asks)("x")
    (tmp_path / "x").write_bytes(b"1")
    assert chain.exists("x") is True
    assert chain.size("x") == 1
    assert read(chain, "x") == b"1"
    assert chain.resolve_many(["x"])["x"].index == 0


def test_a_file_that_is_nowhere_costs_no_request(tmp_path, remote):
    """The local directories are looked at, and nobody is asked."""
    chain = FallbackStorage([FileSystemStorage(tmp_path), remote])
    for _ in range(3):
        assert chain.exists("x") is False
    assert remote.count("exists") == 1
