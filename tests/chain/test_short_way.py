"""Where looks say all, no walk is made; all else is left to one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from django.core.files.storage import FileSystemStorage
from fakes import RecordingStorage

from fallback_storage.chain import resolver
from fallback_storage.chain.walk import Walk
from fallback_storage.signals import backend_failed, resolved
from fallback_storage.storage import FallbackStorage

FILES = "django.core.files.storage.FileSystemStorage"


@pytest.fixture
def walks(monkeypatch):
    """The names for which a walk was begun."""
    begun = []

    def begin(operation, name, **options):
        begun.append(name)
        return Walk(operation, name, **options)

    monkeypatch.setattr(resolver, "Walk", begin)
    return begun


@pytest.fixture
def remote():
    return RecordingStorage("remote", {"far": b"x", "a": b"remote"})


@pytest.fixture
def near(media_root):
    (media_root / "near").write_bytes(b"x")
    (media_root / "a").mkdir()
    return media_root


def local(**entry):
    return {"BACKEND": FILES, "NAME": "local", **entry}


@pytest.mark.parametrize("cache", [None, False])
def test_a_page_of_pictures_makes_none(near, remote, walks, cache):
    chain = FallbackStorage([local(), remote], cache=cache)
    assert chain.url("near") == "/media/near"
    assert chain.url("far") == remote.url("far")
    assert chain.exists("near")
    assert walks == []
    assert remote.count("exists") == 0
    stats = chain.stats()
    # (Without a memo "near" is looked for twice.)
    assert stats["walks"] == 2 + (cache is False)
    assert stats["backends"]["local"]["calls"] == stats["walks"]


def test_what_it_found_is_remembered(near, remote, walks):
    chain = FallbackStorage([local(), remote, local(NAME="last")])
    memo = chain._get_engine().memo
    chain.url("near")
    assert memo.peek("near") == 1
    local_ones = FallbackStorage([local(), local(NAME="other")])
    memo = local_ones._get_engine().memo
    assert not local_ones.exists("nowhere")
    assert memo.peek("nowhere") == 0
    local_ones.url("elsewhere")
    assert memo.peek("elsewhere") == 2
    assert walks == []
    # What is known in part is completed.
    (near / "elsewhere").write_bytes(b"x")
    assert local_ones.exists("elsewhere")


def test_who_looks_waits_for_nobody(near, remote, walks, monkeypatch):
    """Another thread's look at the same name hangs, as on a network file system."""
    chain = FallbackStorage([local(), remote])
    chain.exists("other")  # all is built
    looks, go = Event(), Event()
    look = chain.backends[0].only_look

    def hang(name):
        if not looks.is_set():
            looks.set()
            assert go.wait(60)
        return look(name)

    monkeypatch.setattr(chain.backends[0], "only_look", hang)
    with ThreadPoolExecutor(1) as pool:
        url = pool.submit(chain.url, "near")
        try:
            assert looks.wait(60)
            assert chain.url("near") == "/media/near"
            assert chain.stats()["coalesced"] == 0
        finally:
            go.set()
        assert url.result(60) == "/media/near"


def test_a_remote_backend_is_walked_to(near, remote, walks):
    chain = FallbackStorage([local(), remote])
    assert chain.exists("far")
    assert walks == ["far"]
    assert remote.count("exists") == 1
    # (The look that was not enough is no call.)
    assert chain.stats()["backends"]["local"]["calls"] == 1


def test_a_directory_hides_no_file(near, remote, walks):
    chain = FallbackStorage([local(), remote])
    assert chain.url("a") == remote.url("a")
    assert chain.exists("a")
    assert set(walks) == {"a"}
    assert chain.resolve("a").index == 1


def test_who_listens_is_told_of_a_walk(near, remote, walks):
    heard = []

    def hear(resolution, **kwargs):
        heard.append(resolution)

    resolved.connect(hear)
    try:
        FallbackStorage([local(), remote]).url("near")
    finally:
        resolved.disconnect(hear)
    assert [str(line) for line in heard[0].trail] == ["local: held"]
    assert walks == ["near"]


ODD = {
    "live": {"ALWAYS_PROBE": True},
    "late": {"DEADLINE": 60},
    "doubted": {"PROFILE": {"ASK_AGAIN": FileSystemStorage.exists}},
}


@pytest.mark.parametrize("odd", ODD)
def test_an_entry_may_want_a_walk(near, remote, walks, odd):
    chain = FallbackStorage([local(**ODD[odd]), remote])
    assert chain.url("far") == remote.url("far")
    assert chain.exists("near")
    assert walks == ["far", "near"]


def test_what_may_be_hidden_is_walked_for(near, remote, walks):
    entry = {"BACKEND": FILES, "OPTIONS": {"location": near}, "READ_ONLY": True}
    options = {"location": str(near) + "-home", "base_url": "/home/"}
    chain = FallbackStorage([local(OPTIONS=options), entry], on_delete="whiteout")
    assert chain.exists("near")
    chain.delete("near")
    assert not chain.exists("near")
    assert chain.url("near") == "/home/near"
    assert "near" in walks


def test_a_directory_that_fails_is_walked_to(near, remote, walks, monkeypatch):
    """Also if its own methods were replaced meanwhile: what they raise is judged."""
    chain = FallbackStorage([local(), remote])
    assert chain.url("near")
    failed = []

    def hear(failure, **kwargs):
        failed.append(failure.name)

    def refuse(self, name):
        raise ConnectionError(name)

    monkeypatch.setattr(FileSystemStorage, "exists", refuse)
    backend_failed.connect(hear)
    try:
        assert chain.url("far") == remote.url("far")
    finally:
        backend_failed.disconnect(hear)
    assert failed == walks == ["far"]
    monkeypatch.undo()
    assert chain._get_engine().memo.peek("far") is None


def test_one_that_is_left_alone_is_not_looked_at(near, remote, walks):
    chain = FallbackStorage([local(), remote])
    breaker = chain.backends[0].reach.breaker
    breaker.failed(breaker.ticket)
    assert chain.exists("near")
    assert walks == ["near"]
