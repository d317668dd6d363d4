"""What changes under a storage: its settings, its chain, its process."""

from __future__ import annotations

import os

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from django.core.signals import setting_changed
from django.test import override_settings
from fakes import RecordingStorage, fake, labels
from scripts import run

from fallback_storage.exceptions import ConfigurationError
from fallback_storage.storage import FallbackStorage

DISK = "django.core.files.storage.FileSystemStorage"
FAKE = "fakes.RecordingStorage"


@pytest.mark.parametrize("entry", [DISK, "local", FileSystemStorage, "instance"])
def test_a_changed_media_root_leaves_nothing_stale(settings, tmp_path, entry):
    """Whoever built the FileSystemStorage: entries and location follow the setting."""
    settings.STORAGES = {"local": {"BACKEND": DISK}}
    chain = FallbackStorage([FileSystemStorage() if entry == "instance" else entry])
    roots = [tmp_path / "1", tmp_path / "2"]
    with override_settings(MEDIA_ROOT=str(roots[0])):
        chain.save("x", ContentFile(b"1"))
        assert chain.exists("x") is True
        with override_settings(MEDIA_ROOT=str(roots[1])):
            assert chain.exists("x") is False
            assert chain.path("x") == str(roots[1] / "x")
        assert chain.exists("x") is True
        with override_settings(MEDIA_URL="/elsewhere/"):
            assert chain.url("x") == "/elsewhere/x"
        assert chain.url("x") == "/media/x"


CHANGES = {
    "STORAGES": {"local": fake("after")},
    "FALLBACK_STORAGES": [fake("after")],
}


@pytest.mark.parametrize("setting", CHANGES)
def test_a_changed_chain_leaves_nothing_stale(settings, setting):
    """An alias or a setting that is re-pointed: neither instance nor entry is kept."""
    settings.STORAGES = {"local": fake("before", files={"x": b"1"})}
    settings.FALLBACK_STORAGES = ["local"]
    chain = FallbackStorage()
    assert chain.exists("x") is True
    with override_settings(**{setting: CHANGES[setting]}):
        assert labels(chain) == ["after"]
        assert chain.exists("x") is False
        assert chain.url("x") == "https://after.example/x"
    assert labels(chain) == ["before"]
    assert chain.exists("x") is True


@pytest.mark.parametrize(
    "change",
    [
        {"CACHES": {}},
        {"FALLBACK_STORAGE_CACHE": {"TTL": 1}},
        {"FALLBACK_STORAGE_CACHE": False},
    ],
    ids=str,
)
def test_a_changed_cache_starts_afresh(change):
    """What was remembered under other cache settings is not used."""
    first = RecordingStorage(files={"x": b"1"})
    chain = FallbackStorage([first])
    assert chain.exists("x") is chain.exists("x") is True
    assert first.count("exists") == 1
    with override_settings(**change):
        assert chain.exists("x") is True
        assert first.count("exists") == 2


def test_an_unrelated_setting_costs_nothing():
    """A test suite that overrides settings does not lose the memo each time."""
    first = RecordingStorage(files={"x": b"1"})
    chain = FallbackStorage([first])
    assert chain.exists("x") is True
    with override_settings(DEBUG=True, LANGUAGE_CODE="de"):
        assert chain.exists("x") is True
    assert first.count("exists") == 1


def test_a_mistake_that_settings_bring_is_repaired_by_settings(settings):
    """A chain that could not be built is built once the settings are right."""
    settings.FALLBACK_STORAGES = ["typo"]
    chain = FallbackStorage()
    with pytest.raises(ConfigurationError, match="'typo'"):
        chain.exists("x")
    settings.FALLBACK_STORAGES = [FAKE]
    assert chain.exists("x") is False


def test_a_reordered_chain_reuses_no_entry():
    """The same storages in another order: what one chain knows the other does not."""
    first = RecordingStorage("first", {"x": b"1"})
    second = RecordingStorage("second", {"x": b"2"})
    one, other = FallbackStorage([first, second]), FallbackStorage([second, first])
    shorter = FallbackStorage([second])
    for chain, url in ((one, "first"), (other, "second"), (shorter, "second")):
        for _ in range(2):
            assert chain.exists("x") is True
            assert chain.url("x") == f"https://{url}.example/x"


# A forked process

FORKED = """
import os, signal, threading, time
from django.conf import settings
settings.configure(MEDIA_ROOT="unused")
import django
django.setup()
from django.core.files.base import ContentFile
from fakes import RecordingStorage
from fallback_storage.storage import FallbackStorage

parent = os.getpid()
holding = {name: threading.Event() for name in ("build", "walk", "save", "clock")}
for_ever = threading.Event()

def block(name):
    if os.getpid() == parent and not holding[name].is_set():
        holding[name].set()
        for_ever.wait()

def slow():
    block("build")
    return RecordingStorage("slow", {"y": b"2"})

warm = RecordingStorage("warm", {"x": b"1"})
warm.before("exists", lambda name: name == "cold" and block("walk"))
warm.before("_save", lambda name: block("save"))
first = FallbackStorage([warm])
unbuilt = FallbackStorage([slow])

class Clocked(FallbackStorage):
    ticking = False
    def clock():
        # Called by the store under its lock.
        Clocked.ticking and block("clock")
        return time.monotonic()

clocked = Clocked([RecordingStorage("clocked", {"x": b"1"})])
assert first.exists("x") and clocked.exists("x")
assert first.stats()["entries"] == clocked.stats()["entries"] == 1
Clocked.ticking = True
for name, work in {
    "build": lambda: unbuilt.exists("y"),
    "walk": lambda: first.exists("cold"),
    "save": lambda: first.save("new", ContentFile(b"3")),
    "clock": lambda: clocked.exists("x"),
}.items():
    threading.Thread(target=work, daemon=True).start()
    assert holding[name].wait(20), name

child = os.fork()
if child:
    _, status = os.waitpid(child, 0)
    print("child:", os.waitstatus_to_exitcode(status), flush=True)
    # The parent's own memo is as it was.
    print("parent:", first.stats()["entries"], flush=True)
    os._exit(0)

signal.alarm(20)  # a child that waits for ever is killed
assert first.stats()["entries"] == 0, "the child's memo is not empty"
assert clocked.exists("x") and clocked.stats()["walks"] == 1
assert first.exists("x") and first.stats()["walks"] == 1
assert unbuilt.exists("y")
assert not first.exists("cold")
assert first.save("new", ContentFile(b"3")) == "new"
assert first.exists("new")
assert first.stats()["coalesced"] == 0, "waited for a thread that is not there"
os._exit(0)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_starts_afresh():
    """A preloaded worker: its locks are free though threads of the parent held them.

    At the fork one thread is building a backend, one walks, one saves and one is in
    the memo's store. The child does all of that, with an empty memo.
    """
    assert run(FORKED) == "child: 0\nparent: 1\n"


def test_all_instances_have_one_receiver():
    """A signal goes through all its receivers to connect another one."""
    backend = RecordingStorage("a")
    before = len(setting_changed.receivers)
    chains = [FallbackStorage([backend]) for _ in range(100)]
    assert not any(chain.exists("x") for chain in chains)
    assert len(setting_changed.receivers) == before
