"""Backend entries in every form, their names and policies, and when they are built."""

from __future__ import annotations

import threading

import pytest
from django.core.files.storage import (
    InMemoryStorage,
    default_storage,
    storages,
)
from django.utils.functional import SimpleLazyObject
from fakes import RecordingStorage

from fallback_storage.storage import FallbackStorage

FAKE = "fakes.RecordingStorage"


class Counted(RecordingStorage):
    """Counts how many of it were built."""

    built = 0

    def __init__(self, label="counted"):
        super().__init__(label)
        type(self).built += 1


class LooksLikeOne:
    """No subclass of Storage, but it has what the original asked for."""

    def exists(self, name):
        return name == "x"


def make_storage():
    return RecordingStorage("called")


@pytest.fixture(autouse=True)
def _settings(settings):
    settings.STORAGES = {
        "default": {"BACKEND": FAKE},
        "local": {"BACKEND": FAKE, "OPTIONS": {"label": "local"}},
        "dotted.alias": {"BACKEND": FAKE, "OPTIONS": {"label": "dotted"}},
    }
    Counted.built = 0


# Every form of an entry

FORMS = {
    "alias": (lambda: "local", "local", "local"),
    "dotted-alias": (lambda: "dotted.alias", "dotted", "dotted.alias"),
    "path": (lambda: FAKE, "recording", "RecordingStorage"),
    "dict-alias": (lambda: {"ALIAS": "local"}, "local", "local"),
    "dict-path": (lambda: {"BACKEND": FAKE}, "recording", "RecordingStorage"),
    "dict-options": (
        lambda: {"BACKEND": FAKE, "OPTIONS": {"label": "given"}},
        "given",
        "RecordingStorage",
    ),
    "dict-name": (lambda: {"ALIAS": "local", "NAME": "mine"}, "local", "mine"),
    "instance": (lambda: RecordingStorage("made"), "made", "RecordingStorage"),
    "class": (lambda: RecordingStorage, "recording", "RecordingStorage"),
    "function": (lambda: make_storage, "called", "make_storage"),
    "lambda": (lambda: lambda: RecordingStorage("made"), "made", "<lambda>"),
    "lazy-callable": (lambda: lambda: default_storage, "recording", "<lambda>"),
    "default-storage": (lambda: default_storage, "recording", "DefaultStorage"),
    "lazy-object": (
        lambda: SimpleLazyObject(make_storage),
        "called",
        "SimpleLazyObject",
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_an_entry(form):
    """An alias, a path, a dict, an instance, a class, a callable or a lazy object."""
    entry, label, name = FORMS[form]
    chain = FallbackStorage([entry()])
    (backend,) = chain.backends
    assert type(backend.storage) is RecordingStorage
    assert backend.storage.label == label
    assert backend.name == name
    assert backend.read_only is False
    assert repr(backend) == f"<Backend {name!r}>"
    assert repr(chain) == f"<FallbackStorage: {name}>"
    assert chain.exists("x") is False
    assert backend.storage.counts() == {"exists": 1}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_an_entry_in_the_setting(settings, form):
    """``FALLBACK_STORAGES`` takes what the constructor takes."""
    entry, label, _ = FORMS[form]
    settings.FALLBACK_STORAGES = (entry(), InMemoryStorage())
    storage = FallbackStorage().backends[0].storage
    assert storage.label == label


def test_a_list_or_a_tuple():
    """Both are lists of backends; the original documents a tuple."""
    for kind in (list, tuple):
        chain = FallbackStorage(kind(["local", "default"]))
        assert [backend.name for backend in chain.backends] == ["local", "default"]


def test_an_alias_is_the_very_instance_that_django_keeps():
    """What others do with ``storages[alias]`` and the chain is one storage."""
    assert FallbackStorage(["local"]).backends[0].storage is storages["local"]


def test_what_looks_like_a_storage_is_one():
    """Some storages do not subclass Django's; missing methods are passed over."""
    chain = FallbackStorage([LooksLikeOne, RecordingStorage(files={"y": b"1"})])
    assert chain.exists("x") is True
    assert chain.size("y") == 1


# Names and policies


def test_names_are_made_unique():
    """Names that were not written are numbered, around those that were."""
    chain = FallbackStorage(
        [
            FAKE,
            {"BACKEND": FAKE, "NAME": "RecordingStorage-2"},
            RecordingStorage(),
            "local",
            RecordingStorage,
        ]
    )
    assert [backend.name for backend in chain.backends] == [
        "RecordingStorage",
        "RecordingStorage-2",
        "RecordingStorage-3",
        "local",
        "RecordingStorage-4",
    ]


def test_policies_are_those_of_the_entry():
    """Left out they are off, and the backend is writable."""
    chain = FallbackStorage(
        [
            "local",
            {"ALIAS": "default", "READ_ONLY": True, "ALWAYS_PROBE": True},
            {"BACKEND": FAKE, "READ_ONLY": False, "LAZY_OPEN": True},
        ]
    )
    found = [
        (b.read_only, b.policy.read_only, b.always_probe, b.profile.lazy_open)
        for b in chain.backends
    ]
    assert found == [
        (False, None, False, False),
        (True, True, True, False),
        (False, False, False, True),
    ]
    assert repr(chain.backends[1]) == "<Backend 'default' (read-only)>"


def test_lazy_open_is_known_by_class():
    """Storages whose ``open`` succeeds for anything are known, and their subclasses."""
    azure = type(
        "AzureStorage",
        (RecordingStorage,),
        {"__module__": "storages.backends.azure_storage"},
    )
    mine = type("Mine", (azure,), {})
    chain = FallbackStorage([azure, mine, RecordingStorage, "local"])
    assert [b.profile.lazy_open for b in chain.backends] == [True, True, False, False]


def test_a_lazily_opening_backend_is_probed_first():
    """It stands in front of the holder and its ``open`` succeeds for anything."""

    class Lazy(RecordingStorage):
        def _get(self, name):
            return self.files.get(name, b"")

    class Mine(Lazy):
        pass

    lazy, second = Lazy("lazy"), RecordingStorage("second", {"x": b"1"})
    Mine.__module__, Mine.__qualname__ = "storages.backends.sftpstorage", "SFTPStorage"
    for first in (Mine("lazy"), {"BACKEND": FAKE, "LAZY_OPEN": True}):
        chain = FallbackStorage([first, second])
        assert chain.open("x").read() == b"1"
        storage = chain.backends[0].storage
        assert storage.counts() == {"exists": 1}
    # Without being told so nobody can know.
    assert FallbackStorage([lazy, second]).open("x").read() == b""


# Building


def test_a_backend_is_built_once_by_whoever_comes_first():
    """Threads that come at once get the same storage."""
    chain = FallbackStorage([Counted, lambda: Counted("other")])
    barrier = threading.Barrier(8)
    seen = []

    def use():
        barrier.wait()
        seen.append([id(backend.storage) for backend in chain.backends])

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({tuple(each) for each in seen}) == 1
    assert Counted.built == 2


def test_a_backend_further_down_is_not_built_before_it_is_asked():
    """A holder at the top is found without building what is below."""
    chain = FallbackStorage([RecordingStorage(files={"x": b"1"}), Counted])
    assert chain.exists("x") is True
    assert chain.open("x").read() == b"1"
    assert Counted.built == 0
