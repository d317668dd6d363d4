"""FallbackStorage as an object: how it is made, configured and copied."""

from __future__ import annotations

import copy
import pickle

import django
import pytest
from django.core.files.storage import default_storage, storages
from django.db.models import FileField
from django.db.models.fields.files import FieldFile
from django.utils.functional import SimpleLazyObject
from fakes import FAKE, RecordingStorage, fake, labels
from scripts import run

from fallback_storage.storage import FallbackStorage

CHAIN = "fallback_storage.storage.FallbackStorage"
DISK = "django.core.files.storage.FileSystemStorage"


class Sub(FallbackStorage):
    """A chain of a class of its own."""


class Fixed(FallbackStorage):
    """A chain that takes no arguments, as sorl and django-cleanup want it."""

    def __init__(self):
        super().__init__([{"BACKEND": FAKE, "OPTIONS": {"label": "fixed"}}])


def chain_of(*entries, klass=CHAIN, **options):
    return {"BACKEND": klass, "OPTIONS": {"backends": list(entries), **options}}


# Where the configuration comes from


def test_without_arguments_the_default_alias_configures_it(settings):
    """sorl and django-cleanup build a storage from its class path alone."""
    settings.STORAGES = {
        "default": chain_of(fake("one"), fake("two"), on_delete="all", cache=False)
    }
    chain = FallbackStorage()
    assert labels(chain) == labels(default_storage) == ["one", "two"]
    chain.exists("x")
    chain.exists("x")
    # ``cache=False`` holds here too.
    assert chain.backends[0].storage.counts() == {"exists": 2}
    for backend in chain.backends:
        backend.storage.files["x"] = b"1"
    chain.delete("x")
    assert [backend.storage.files for backend in chain.backends] == [{}, {}]


def test_without_arguments_another_alias_configures_it(settings):
    """The default alias comes first, but only if it names this class."""
    settings.STORAGES = {
        "default": {"BACKEND": FAKE},
        "archive": chain_of(fake("archive")),
        "other": chain_of(fake("other")),
    }
    assert labels(FallbackStorage()) == ["archive"]
    settings.STORAGES = {
        "archive": chain_of(fake("archive")),
        "default": chain_of(fake("default")),
    }
    assert labels(FallbackStorage()) == ["default"]


def test_arguments_are_completed_by_the_alias(settings):
    """What is given wins; what is not comes from the settings."""
    settings.STORAGES = {"default": chain_of(fake("one"), cache={"TTL": 9})}
    chain = FallbackStorage(cache=False)
    assert labels(chain) == ["one"]
    chain.exists("x")
    chain.exists("x")
    assert chain.backends[0].storage.counts() == {"exists": 2}


def test_without_arguments_the_setting_configures_it(settings):
    """``FALLBACK_STORAGES``, exactly as the original documents it, comes first."""
    settings.STORAGES = {"default": chain_of(fake("alias"))}
    settings.FALLBACK_STORAGES = (FAKE, DISK)
    chain = FallbackStorage()
    assert [backend.name for backend in chain.backends] == [
        "RecordingStorage",
        "FileSystemStorage",
    ]


def test_an_alias_without_options_uses_the_setting(settings):
    """``STORAGES`` names the class and ``FALLBACK_STORAGES`` the chain."""
    settings.STORAGES = {"default": {"BACKEND": CHAIN}}
    settings.FALLBACK_STORAGES = [fake("setting")]
    assert labels(default_storage) == ["setting"]


@pytest.mark.parametrize("by_setting", [True, False])
def test_what_is_given_wins_over_every_setting(settings, by_setting):
    """Explicit arguments are never mixed with another chain's."""
    settings.STORAGES = {"default": chain_of(fake("alias"), on_delete="all")}
    if by_setting:
        settings.FALLBACK_STORAGES = [fake("setting")]
    settings.FALLBACK_STORAGE_CACHE = False
    chain = FallbackStorage([fake("given"), fake("two")], {"TTL": 9})
    assert labels(chain) == ["given", "two"]
    chain.exists("x")
    chain.exists("x")
    assert chain.backends[0].storage.counts() == {"exists": 1}
    for backend in chain.backends:
        backend.storage.files["x"] = b"1"
    chain.delete("x")
    assert chain.backends[1].storage.files == {"x": b"1"}


def test_a_subclass_is_configured_by_its_own_alias(settings):
    """An alias of the parent class is not meant for it, nor its for the parent."""
    settings.STORAGES = {
        "default": chain_of(fake("parent")),
        "sub": chain_of(fake("sub"), klass=f"{__name__}.Sub"),
    }
    assert labels(storages["sub"]) == ["sub"]
    assert labels(type(storages["sub"])()) == ["sub"]
    assert labels(FallbackStorage()) == ["parent"]
    assert labels(Fixed()) == ["fixed"]


@pytest.mark.slow
@pytest.mark.skipif(django.VERSION >= (5, 1), reason="removed in Django 5.1")
def test_the_setting_of_django_4(tmp_path):
    """``DEFAULT_FILE_STORAGE`` with ``FALLBACK_STORAGES``, as the original documents."""
    script = f"""
import django
from django.conf import settings
settings.configure(
    DEFAULT_FILE_STORAGE={CHAIN!r},
    FALLBACK_STORAGES=({DISK!r}, {FAKE!r}),
    MEDIA_ROOT={str(tmp_path)!r},
)
django.setup()
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
assert default_storage.save("x", ContentFile(b"1")) == "x"
print([backend.name for backend in default_storage.backends])
"""
    assert run(script) == "['FileSystemStorage', 'RecordingStorage']\n"
    assert (tmp_path / "x").read_bytes() == b"1"


# Nothing before the first use


class Counted(RecordingStorage):
    built = 0

    def __init__(self):
        super().__init__()
        type(self).built += 1


def test_nothing_is_built_before_the_first_use(settings):
    """Neither by the constructor, nor by repr, copying, hashing or comparing."""
    settings.STORAGES = {"counted": {"BACKEND": f"{__name__}.Counted"}}
    Counted.built = type(storages["counted"]).built = 0
    storages._storages.clear()
    chain = FallbackStorage(
        [Counted, "counted", lambda: Counted(), SimpleLazyObject(Counted)]
    )
    assert repr(chain) == "<FallbackStorage: not used yet>"
    assert hash(copy.copy(chain)) != hash(chain)
    assert chain == chain  # noqa: PLR0124 - what the test is about
    assert chain != FallbackStorage([Counted])
    chain.deconstruct()
    _ = chain.backends
    assert Counted.built == 0
    assert "counted" not in storages._storages
    assert [backend.name for backend in chain.backends][1] == "counted"


def test_default_storage_equals_itself(settings):
    """Through the lazy object as well; a storage can be a key of a dict."""
    settings.STORAGES = {"default": chain_of(FAKE)}
    assert default_storage == default_storage  # noqa: PLR0124
    assert default_storage == storages["default"]
    assert {default_storage: 1, storages["default"]: 2} == {storages["default"]: 2}


# Copies

COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda chain: pickle.loads(pickle.dumps(chain)),
    "deconstruct": lambda chain: type(chain)(
        *chain.deconstruct()[1], **chain.deconstruct()[2]
    ),
}


@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize("way", COPIES)
def test_a_copy_works_and_starts_with_an_empty_memo(settings, way, used):
    """It has the configuration of the original, none of its memory, and no lock."""
    settings.STORAGES = {"local": fake("local", files={"x": b"1"})}
    chain = FallbackStorage(
        ["local", fake("two")], {"TTL": 7}, on_delete="all", strict=True
    )
    if used:
        assert chain.exists("x") is True
    made = COPIES[way](chain)
    assert type(made) is FallbackStorage
    assert made._engine is None
    assert labels(made) == ["local", "two"]
    assert made.stats()["hits"] == made.stats()["walks"] == 0
    assert made.exists("x") is True
    assert made.stats()["walks"] == 1
    assert made.deconstruct() == chain.deconstruct()
    if used:
        # The original kept its own.
        assert chain.stats()["walks"] == 1
    made.delete("x")
    assert chain.exists("x") is False


def test_a_copy_hears_of_changed_settings(settings):
    """As the original does."""
    settings.FALLBACK_STORAGES = [fake("before")]
    made = pickle.loads(pickle.dumps(FallbackStorage()))
    assert labels(made) == ["before"]
    settings.FALLBACK_STORAGES = [fake("after")]
    assert labels(made) == ["after"]


def test_deconstruct_says_what_was_given():
    """No more and no less, under the path that never changes."""
    assert FallbackStorage().deconstruct() == (CHAIN, (), {})
    chain = FallbackStorage(["x.Y"], strict=True)
    assert chain.deconstruct() == (CHAIN, (["x.Y"],), {"strict": True})
    assert Sub(["x.Y"]).deconstruct()[0].endswith(f"{__name__}.Sub")


@pytest.mark.parametrize("method", ["exists", "url"])
def test_a_field_file_is_no_name(method):
    """It is equal to its name; so of one nothing is told that is known of that."""
    chain = FallbackStorage([RecordingStorage("a"), RecordingStorage("b", {"x": b""})])
    file = FieldFile(None, FileField(storage=chain), "x")
    assert file == "x"
    found = []
    for _ in range(2):
        try:
            found.append(getattr(chain, method)(file))
        except TypeError:
            found.append(TypeError)
        assert getattr(chain, method)("x")
    assert found[0] == found[1]
