"""A chain in a model's FileField is written to migrations, the same every time."""

from __future__ import annotations

import copy
import importlib
import pickle
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from django.core.management import call_command
from django.db import models
from django.db.migrations.state import ModelState
from django.db.migrations.writer import MigrationWriter
from gallery_app.models import LOCAL, Archive, choose_storage

from fallback_storage.storage import FallbackStorage

pytestmark = pytest.mark.django_db


class HouseStorage(FallbackStorage):
    """A project's own subclass."""


@pytest.fixture
def migrations(settings, monkeypatch, tmp_path):
    """An empty migrations package for gallery_app, in a directory of this test's."""
    name = f"migrations_of_{tmp_path.name}"
    package = tmp_path / name
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    settings.MIGRATION_MODULES = {"gallery_app": name}
    return package


def make_migrations(*options):
    importlib.invalidate_caches()
    call_command("makemigrations", "gallery_app", *options, verbosity=0)


def assert_nothing_to_migrate():
    """`makemigrations --check --dry-run` exits where it finds a change."""
    make_migrations("--check", "--dry-run")


def test_a_migration_is_written_once(migrations):
    """makemigrations writes the chain's arguments; a second run finds no change."""
    make_migrations()
    [path] = migrations.glob("0*.py")
    code = path.read_text()
    assert "fallback_storage.storage.FallbackStorage(backends=[" in code
    assert "{'BACKEND': 'django.core.files.storage.InMemoryStorage'" in code
    assert "on_delete='all'" in code
    assert "storage=gallery_app.models.choose_storage" in code
    assert_nothing_to_migrate()


def test_a_changed_chain_is_a_change(migrations, monkeypatch):
    """The check above can fail: another chain is another migration."""
    make_migrations()
    field = Archive._meta.get_field("own")
    monkeypatch.setattr(field, "storage", FallbackStorage(backends=[LOCAL]))
    with pytest.raises(SystemExit):
        assert_nothing_to_migrate()


@pytest.mark.parametrize(
    "copied",
    [
        lambda storage: storage,
        copy.copy,
        copy.deepcopy,
        lambda storage: pickle.loads(pickle.dumps(storage)),
    ],
    ids=["itself", "copy", "deepcopy", "pickle"],
)
def test_a_used_or_copied_chain_is_no_change(
    migrations, monkeypatch, media_root, copied
):
    """What an instance has been through does not show in migrations."""
    make_migrations()
    field = Archive._meta.get_field("own")
    field.storage.save("x.txt", ContentFile(b"x"))
    field.storage.stats()
    monkeypatch.setattr(field, "storage", copied(field.storage))
    assert field.storage.exists("x.txt")
    assert_nothing_to_migrate()


def test_a_written_migration_runs(migrations, media_root):
    """The historical model's chain, from the written migration, is a working one."""
    make_migrations()
    [path] = migrations.glob("0*.py")
    module = importlib.import_module(f"{migrations.name}.{path.stem}")
    [operation] = [
        operation
        for operation in module.Migration.operations
        if operation.name == "Archive"
    ]
    fields = dict(operation.fields)
    assert fields["own"].storage.save("x.txt", ContentFile(b"x")) == "x.txt"
    assert (Path(media_root) / "x.txt").read_bytes() == b"x"
    assert isinstance(fields["chosen"].storage, FallbackStorage)


def test_settings_do_not_get_into_migrations(migrations, settings):
    """Another environment's settings, and the default storage, cause no migration."""
    make_migrations()
    settings.FALLBACK_STORAGE_CACHE = {"TTL": 10}
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {
            "BACKEND": "fallback_storage.storage.FallbackStorage",
            "OPTIONS": {"backends": [LOCAL]},
        },
    }
    assert_nothing_to_migrate()


@pytest.mark.parametrize(
    "storage",
    [
        FallbackStorage(backends=[LOCAL]),
        FallbackStorage([LOCAL], False, strict=True),
        FallbackStorage(backends=(FileSystemStorage(location="/srv/x"), LOCAL)),
        FallbackStorage(backends=[choose_storage], cache={"TTL": 1.5}),
    ],
    ids=["path", "positional", "instance", "callable"],
)
def test_every_form_of_backend_is_serialised(storage):
    """Any chain that can be written in a migration reads back as the same chain."""
    text, imports = MigrationWriter.serialize(storage)
    namespace = {}
    exec("\n".join(imports), namespace)
    again = eval(text, namespace)
    assert type(again) is FallbackStorage
    assert MigrationWriter.serialize(again) == (text, imports)


def test_a_subclass_is_serialised_as_itself():
    """A subclass is not written as its base."""
    path, args, kwargs = HouseStorage(backends=[LOCAL]).deconstruct()
    assert path == f"{__name__}.HouseStorage"
    assert (args, kwargs) == ((), {"backends": [LOCAL]})


def test_a_zero_argument_chain_in_a_field(settings):
    """FallbackStorage() of the settings is written without arguments."""
    settings.FALLBACK_STORAGES = [LOCAL]
    field = models.FileField(storage=FallbackStorage())
    field.storage.exists("x.txt")
    assert MigrationWriter.serialize(field.storage)[0] == (
        "fallback_storage.storage.FallbackStorage()"
    )


def test_a_clone_of_a_model_state_shares_the_chain():
    """Migration states clone fields; the chain is not built again for each."""
    state = ModelState.from_model(Archive)
    assert state.clone().fields["own"].storage is Archive.own.field.storage
