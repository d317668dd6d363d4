"""What the table of profiles says of a class, of its subclasses, and of an entry."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import FileSystemStorage, InMemoryStorage
from django.utils.functional import cached_property
from django.utils.module_loading import import_string
from fakes import RecordingStorage

from fallback_storage.chain.places import class_path
from fallback_storage.chain.profile import DJANGO, METHODS, Profile
from fallback_storage.chain.profiles import PROFILES, profile_of
from fallback_storage.exceptions import ConfigurationError
from fallback_storage.storage import FallbackStorage

FAKE = "fakes.RecordingStorage"


def named(path, **methods):
    """Return a class that is to be found at a path."""
    module, _, name = path.rpartition(".")
    return type(name, (RecordingStorage,), {"__module__": module, **methods})


def subclass(base, *methods):
    own = {method: lambda self, *args, **kwargs: None for method in methods}
    return type("Mine", (base,), own)


@pytest.mark.parametrize("path", PROFILES)
def test_a_row_holds_for_the_class_and_its_subclasses(path):
    """By the path of the class; nothing is imported."""
    klass = named(path)
    assert profile_of(klass()) == PROFILES[path]
    assert profile_of(subclass(klass)()) == PROFILES[path]
    assert class_path(klass) == path


@pytest.mark.parametrize(
    ("path", "fact", "method"),
    [
        (path, fact, method)
        for path, row in PROFILES.items()
        for fact, methods in METHODS.items()
        if getattr(row, fact)
        for method in methods
        if method != "__init__"
    ],
)
def test_what_a_subclass_does_itself_is_not_known(path, fact, method):
    """A permission of the table is for the class's own method."""
    mine = subclass(named(path), method)()
    assert getattr(profile_of(mine), fact) == getattr(DJANGO, fact)
    patched = named(path)()
    setattr(patched, method, lambda *args: None)
    assert getattr(profile_of(patched), fact) == getattr(DJANGO, fact)


def test_what_warns_of_a_class_is_kept_for_its_subclasses():
    """An ``_open`` that calls the class's is as lazy as that."""
    sftp = named("storages.backends.sftpstorage.SFTPStorage")
    assert profile_of(subclass(sftp, "_open")()).lazy_open is True


def test_a_class_that_is_in_no_row_keeps_djangos_contract():
    assert profile_of(RecordingStorage()) == DJANGO == Profile()
    assert profile_of(object()) == DJANGO


def test_djangos_own_storages():
    assert profile_of(FileSystemStorage()).place_is_all is True
    memory = profile_of(InMemoryStorage())
    assert (memory.in_process, memory.deletes_trees, memory.whole) == (True,) * 3


def test_an_entry_overrides_its_row():
    """By PROFILE; two facts have keys of their own, which count more."""
    entry = {
        "BACKEND": "django.core.files.storage.InMemoryStorage",
        "PROFILE": {
            "DELETES_TREES": False,
            "LAZY_OPEN": False,
            "NOT_FOUND": ["app.Gone"],
            "ASK_AGAIN": "operator.eq",
        },
        "LAZY_OPEN": True,
    }
    found = FallbackStorage([entry]).backends[0].profile
    assert found.whole is True
    assert (found.deletes_trees, found.lazy_open) == (False, True)
    assert found.not_found == ("app.Gone",)
    assert found.ask_again("x", "x") is True


WRONG = {
    "a misspelled fact": (
        {"LAZY": True},
        r"\['PROFILE'\]: has the unknown key 'LAZY'. Did you mean 'LAZY_OPEN'\?",
    ),
    "no dict": (["LAZY_OPEN"], "is not a dict"),
    "no bool": ({"WHOLE": "yes"}, "Write a bool"),
    "no function": ({"ASK_AGAIN": 3}, "Write a function, or its dotted path"),
    "no list": ({"NOT_FOUND": "app.Gone"}, "Write a list of strings"),
    "no strings": ({"NOT_FOUND": [KeyError]}, "Write a list of strings"),
    "no text": ({"PERMISSION": True}, "Write a string"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_with_a_profile_is_told(wrong):
    """Where, what was found, and what to write instead."""
    profile, message = WRONG[wrong]
    with pytest.raises(ConfigurationError, match=message):
        FallbackStorage([{"BACKEND": FAKE, "PROFILE": profile}])


def test_every_fact_can_be_overridden():
    """A key for each, in capitals."""
    every = {key.upper(): getattr(DJANGO, key) for key in DJANGO._fields}
    given = {key: value for key, value in every.items() if value is not None}
    chain = FallbackStorage([{"BACKEND": FAKE, "PROFILE": given}])
    assert chain.backends[0].profile == DJANGO


# Places that vary

BASES = [
    "django.contrib.staticfiles.storage.ManifestStaticFilesStorage",
    "django.contrib.staticfiles.storage.StaticFilesStorage",
    "storages.backends.s3.S3ManifestStaticStorage",
    "storages.backends.s3.S3StaticStorage",
    "storages.backends.s3boto3.S3Boto3Storage",
    *(path for path, row in PROFILES.items() if not row.place_varies),
]


def imported(path):
    try:
        return import_string(path)
    except ImportError:
        pytest.skip("It is not installed.")
    except ImproperlyConfigured:
        pytest.skip("What it needs is not installed.")


@pytest.mark.parametrize("path", BASES)
def test_what_others_compute_is_the_same_for_everybody(path):
    """Django's ``location`` is a property, too. No false alarm for any class we know."""
    klass = imported(path)
    assert not profile_of(klass.__new__(klass)).place_varies
    mine = type("Mine", (klass,), {"bucket_name": "media", "path": lambda self: ""})
    assert not profile_of(mine.__new__(mine)).place_varies


@pytest.mark.parametrize("path", BASES)
def test_a_class_of_ones_own_that_computes_its_place(path):
    """By a property, or anything else that runs when it is read."""
    klass = imported(path)

    class Says:
        def __get__(self, instance, owner):
            return "somewhere"

    for own in (property(lambda self: "x"), cached_property(lambda self: "x"), Says()):
        mine = type("Mine", (klass,), {"location": own, "__module__": "mine"})
        assert profile_of(mine.__new__(mine)).place_varies
        assert not profile_of(mine.__new__(mine)).concurrent
        mixed = type("Mine", (type("Mixin", (), {"location": own}), klass), {})
        assert profile_of(mixed.__new__(mixed)).place_varies


def test_a_chain_has_a_place_of_its_own():
    """Which is its first backend's: those are looked at."""
    assert not profile_of(FallbackStorage([FAKE])).place_varies


def test_a_method_and_a_slot_compute_nothing():
    class Slotted:
        __slots__ = ("location",)

        def host(self):
            return ""

    assert not profile_of(Slotted()).place_varies


@pytest.mark.parametrize(
    "path", [path for path, row in PROFILES.items() if row.place_varies]
)
def test_storages_of_tenants_are_known(path):
    """Some compute it in ``path``, of which nothing is told."""
    assert profile_of(named(path)()).place_varies


def test_an_entry_may_say_that_it_is_one_place():
    """A property that says the same to everybody."""
    entry = {"BACKEND": "tenants.TenantStorage", "PROFILE": {"PLACE_VARIES": False}}
    backend = FallbackStorage([entry]).backends[0]
    assert backend.storage
    assert not backend.place_varies


def test_an_outage_of_minio_is_no_miss():
    """As django-minio-backend 4.4.4 does it: ``exists`` and ``size`` pass over all errors."""

    def stat(storage, name):
        if storage.is_down:
            raise ConnectionError("no route to host")
        if name not in storage.files:
            raise FileNotFoundError(name)
        return True

    def exists(storage, name):
        return not storage.is_down and name in storage.files

    def size(storage, name):
        return len(storage.files[name]) if exists(storage, name) else 0

    methods = {"stat": stat, "exists": exists, "size": size, "is_down": False}
    minio = named("django_minio_backend.models.MinioBackend", **methods)()
    minio.files["minio.txt"] = b"minio"
    lower = RecordingStorage("lower", {"lower.txt": b"lower", "minio.txt": b"old"})
    chain = FallbackStorage([minio, lower])
    assert chain.size("lower.txt") == 5
    assert not chain.exists("nowhere.txt")
    chain.forget_all()
    minio.is_down = True
    assert chain.exists("minio.txt")
    assert chain.resolve("nowhere.txt").held is None
    with pytest.raises(ConnectionError):
        chain.size("nowhere.txt")
    assert chain._get_engine().peek("minio.txt") is None
    assert chain._get_engine().peek("nowhere.txt") is None
