"""FallbackStorage among Django's own handles on storages, settings and copies."""

from __future__ import annotations

import copy
import pickle

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import (
    InMemoryStorage,
    Storage,
    default_storage,
    storages,
)
from django.core.signals import setting_changed
from django.test import SimpleTestCase, override_settings

from fallback_storage.storage import FallbackStorage

LOCAL = "django.core.files.storage.FileSystemStorage"
MEMORY = "django.core.files.storage.InMemoryStorage"
CHAIN = "fallback_storage.storage.FallbackStorage"


def storages_with(settings, default, **aliases):
    return {**settings.STORAGES, **aliases, "default": default}


IN_MEMORY = {
    "default": {"BACKEND": CHAIN, "OPTIONS": {"backends": ["upper", "lower"]}},
    "upper": {"BACKEND": MEMORY},
    "lower": {"BACKEND": MEMORY},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}


@override_settings(STORAGES=IN_MEMORY)
class InMemoryTests(SimpleTestCase):
    """What a project's own test-suite does; two tests, in any order."""

    def check_a_fresh_world(self):
        assert default_storage.listdir("") == ([], [])
        assert not default_storage.exists("x.txt")
        assert default_storage.save("x.txt", ContentFile(b"x")) == "x.txt"
        assert storages["upper"].exists("x.txt")
        assert isinstance(storages["upper"], InMemoryStorage)

    def test_one(self):
        with self.settings(STORAGES=IN_MEMORY):
            self.check_a_fresh_world()

    def test_two(self):
        with self.settings(STORAGES=IN_MEMORY):
            self.check_a_fresh_world()

    def test_a_nested_override_hides_and_gives_back(self):
        with self.settings(STORAGES=IN_MEMORY):
            self.check_a_fresh_world()
            with self.settings(STORAGES=IN_MEMORY):
                self.check_a_fresh_world()


def test_default_storage_follows_storages(settings, tmp_path):
    """A swap of STORAGES swaps the chain, and leaves nothing of the old memo."""
    directories = [tmp_path / "one", tmp_path / "two"]
    for directory in directories:
        settings.STORAGES = storages_with(
            settings,
            {"BACKEND": CHAIN, "OPTIONS": {"backends": ["files"]}},
            files={"BACKEND": LOCAL, "OPTIONS": {"location": str(directory)}},
        )
        assert not default_storage.exists("x.txt")
        assert default_storage.save("x.txt", ContentFile(b"x")) == "x.txt"
        assert default_storage.exists("x.txt")
    assert {(directory / "x.txt").exists() for directory in directories} == {True}


def test_an_instance_follows_its_aliases(settings, tmp_path):
    """An instance that a module keeps uses the aliases of today's STORAGES."""
    chain = None
    for number in range(2):
        directory = tmp_path / str(number)
        settings.STORAGES = storages_with(
            settings,
            {"BACKEND": LOCAL},
            files={"BACKEND": LOCAL, "OPTIONS": {"location": str(directory)}},
        )
        chain = chain or FallbackStorage(backends=["files"])
        assert not chain.exists("x.txt")
        chain.save("x.txt", ContentFile(b"x"))
        assert (directory / "x.txt").exists()


@pytest.mark.parametrize("backends", [[LOCAL], ["default"]])
def test_media_root_override(settings, tmp_path, backends):
    """Another MEDIA_ROOT is another directory, with nothing remembered of the first."""
    chain = FallbackStorage(backends=backends)
    for number in range(2):
        settings.MEDIA_ROOT = str(tmp_path / str(number))
        assert not chain.exists("x.txt")
        assert chain.save("x.txt", ContentFile(b"x")) == "x.txt"
        assert chain.path("x.txt") == str(tmp_path / str(number) / "x.txt")
    settings.MEDIA_ROOT = str(tmp_path / "3")
    assert not chain.exists("x.txt")


def test_media_url_override(settings, media_root):
    """URLs follow MEDIA_URL at once."""
    chain = FallbackStorage(backends=[LOCAL])
    chain.save("x.txt", ContentFile(b"x"))
    assert chain.url("x.txt") == "/media/x.txt"
    settings.MEDIA_URL = "/elsewhere/"
    assert chain.url("x.txt") == "/elsewhere/x.txt"


def test_an_override_is_undone(settings, tmp_path):
    """After an override the chain is again what it was before."""
    chain = FallbackStorage(backends=[LOCAL])
    settings.MEDIA_ROOT = str(tmp_path)
    chain.save("x.txt", ContentFile(b"x"))
    with override_settings(MEDIA_ROOT=str(tmp_path / "other")):
        assert not chain.exists("x.txt")
    assert chain.exists("x.txt")


@pytest.mark.parametrize(
    "change",
    [
        {"MEDIA_URL": "/elsewhere/"},
        {
            "CACHES": {
                "default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}
            }
        },
        {"FALLBACK_STORAGE_CACHE": {"TTL": 1}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_override_loses_no_files(change):
    """A setting that does not say where files are does not empty a storage in memory."""
    chain = FallbackStorage(backends=[MEMORY])
    chain.save("x.txt", ContentFile(b"x"))
    with override_settings(**change):
        assert chain.exists("x.txt")
    assert chain.open("x.txt").read() == b"x"


def test_a_static_root_override(settings, tmp_path):
    """A chain over static files follows STATIC_ROOT, as `storages` does."""
    settings.STATIC_ROOT = str(tmp_path / "one")
    chain = FallbackStorage(backends=["staticfiles"])
    chain.save("x.txt", ContentFile(b"x"))
    assert chain.exists("x.txt")
    settings.STATIC_ROOT = str(tmp_path / "two")
    assert not storages["staticfiles"].exists("x.txt")
    assert not chain.exists("x.txt")


def test_default_storage_is_itself(default_chain):
    """Equality and hash, as of any storage: by identity, through the lazy object."""
    assert default_storage == default_storage  # noqa: PLR0124
    assert hash(default_chain) == hash(storages["default"])
    assert {default_chain: 1}[storages["default"]] == 1
    assert isinstance(default_storage, Storage)


def test_a_zero_argument_instance_is_the_default(default_chain, local):
    """FallbackStorage() sees what default_storage saves."""
    other = FallbackStorage()
    assert [backend.name for backend in other.backends] == ["local", "production"]
    assert not other.exists("x.txt")
    default_storage.save("x.txt", ContentFile(b"x"))
    assert other.exists("x.txt")


def test_fallback_storages_as_the_original_documents_it(settings, tmp_path):
    """FALLBACK_STORAGES with dotted paths configures the default storage."""
    settings.MEDIA_ROOT = str(tmp_path)
    settings.FALLBACK_STORAGES = (LOCAL, MEMORY)
    settings.STORAGES = storages_with(settings, {"BACKEND": CHAIN})
    assert default_storage.save("x.txt", ContentFile(b"x")) == "x.txt"
    assert (tmp_path / "x.txt").read_bytes() == b"x"
    settings.FALLBACK_STORAGES = (MEMORY,)
    assert not default_storage.exists("x.txt")


def test_a_signed_up_receiver_does_not_keep_an_instance_alive():
    """Instances that are gone leave no receiver behind, however many were made."""
    FallbackStorage(backends=[LOCAL]).exists("x.txt")
    setting_changed.send(sender=None, setting="NOTHING", value=None, enter=True)
    before = len(setting_changed.receivers)
    for _ in range(50):
        FallbackStorage(backends=[LOCAL]).exists("x.txt")
    setting_changed.send(sender=None, setting="NOTHING", value=None, enter=True)
    setting_changed._clear_dead_receivers()
    assert len(setting_changed.receivers) <= before + 2


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))]
)
def test_a_copy_is_a_chain_of_its_own_over_the_same_files(media_root, settings, copied):
    """A copy works, follows settings, and is told what the original writes."""
    chain = FallbackStorage(backends=[LOCAL])
    assert not chain.exists("x.txt")
    again = copied(chain)
    assert again is not chain
    assert not again.exists("x.txt")
    chain.save("x.txt", ContentFile(b"x"))
    assert again.exists("x.txt")
    again.delete("x.txt")
    assert not chain.exists("x.txt")
    again.save("y.txt", ContentFile(b"y"))
    assert again.exists("y.txt")
    settings.MEDIA_ROOT = str(media_root / "other")
    assert not again.exists("y.txt")
    again.save("y.txt", ContentFile(b"y"))
    assert (media_root / "other" / "y.txt").exists()


@pytest.mark.parametrize("copied", [copy.copy, lambda s: pickle.loads(pickle.dumps(s))])
def test_an_unpickled_default_storage(default_chain, production, copied):
    """default_storage itself is copied and pickled with what it stands for."""
    production.files["x.txt"] = b"x"
    assert default_storage.exists("x.txt")
    assert copied(default_storage).exists("x.txt")
