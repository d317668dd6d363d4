"""Cells of the table in docs/memo.rst that no other test is about."""

from __future__ import annotations

import contextlib

import pytest
from django.core.cache.backends.db import DatabaseCache
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from django.core.management import call_command
from django.db import connections, transaction
from fakes import RecordingStorage

from fallback_storage.cache.entry import held
from fallback_storage.cache.stores.django_cache import DjangoCacheStore
from fallback_storage.cache.stores.guarded import GuardedStore
from fallback_storage.cache.stores.local import LocalStore
from fallback_storage.cache.stores.redis import RedisStore
from fallback_storage.storage import FallbackStorage

redis = pytest.importorskip("redis")


def fill(store):
    return store.fill("a", store.look_up_one("a")[1], held(1), 60.0)


def known(store):
    return store.look_up_one("a")[0]


def test_in_process_memory_another_worker_sees_it_when_the_entry_ends(clock):
    """Nobody tells it."""
    writer, other = LocalStore(clock=clock), LocalStore(clock=clock)
    fill(other)
    writer.invalidate(["a"])
    clock.tick(59)
    assert known(other) == held(1)
    clock.tick(2)
    assert known(other) is None


@pytest.fixture
def databases(tmp_path, settings):
    """Two connections to one database, as two workers have them."""
    params = connections.databases["default"]
    file = str(tmp_path / "db.sqlite3")
    for alias in ("writer", "other"):
        connections.databases[alias] = {
            **params,
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": file,
            "OPTIONS": {"timeout": 10},
        }
    yield
    for alias in ("writer", "other"):
        connections[alias].close()
        del connections[alias]
        del connections.databases[alias]


class Written(DatabaseCache):
    """The writer's."""


class Router:
    """Each cache has the connection of its worker."""

    using = "writer"

    def db_for_read(self, model, **hints):
        return Router.using

    db_for_write = db_for_read

    def allow_migrate(self, *args, **hints):
        return True


@pytest.mark.django_db(databases=["default"])
def test_in_a_database_it_is_seen_when_the_transaction_ends(
    databases, settings, django_db_blocker
):
    """Not before: nor is the write of whoever saved the file."""
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.db.DatabaseCache",
            "LOCATION": "resolutions",
        }
    }
    settings.DATABASE_ROUTERS = [f"{__name__}.Router"]
    with django_db_blocker.unblock():
        call_command("createcachetable", database="writer", verbosity=0)
        store = DjangoCacheStore("default", "c0ffee")
        fill(store)
        with transaction.atomic(using="writer"):
            store.invalidate(["a"])
            Router.using = "other"
            assert known(store) == held(1)
            Router.using = "writer"
            assert known(store) is None
        Router.using = "other"
        assert known(store) is None
        Router.using = "writer"


class RollBackError(Exception):
    pass


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("where", ["local", "remote"])
def test_a_rollback_brings_back_what_was_known_and_no_file(where, settings, tmp_path):
    """Of a remote backend, until it is opened; a local directory is looked at."""
    settings.CACHES = {
        "media": {
            "BACKEND": "django.core.cache.backends.db.DatabaseCache",
            "LOCATION": "rolled_back",
        }
    }
    call_command("createcachetable", verbosity=0)
    local = FileSystemStorage(tmp_path, base_url="/local/")
    home = {"local": local, "remote": RecordingStorage("remote")}[where]
    chain = FallbackStorage([home, RecordingStorage("below")], "media")
    chain.save("a", ContentFile(b"1"))
    assert chain.exists("a")
    with contextlib.suppress(RollBackError), transaction.atomic():
        chain.delete("a")
        assert not chain.exists("a")
        raise RollBackError
    assert not home.exists("a")
    assert chain.exists("a") is (where == "remote")
    with pytest.raises(FileNotFoundError):
        chain.open("a")
    assert not chain.exists("a")


def test_a_redis_user_who_may_not_unlink(valkey, clock, caplog):
    """The writer does without the memo, and says why; the others go by the TTL."""
    with redis.Redis(port=valkey.port) as client:
        store = GuardedStore(RedisStore(client, "p:"), clock)
        fill(store)
        client.execute_command("ACL", "SETUSER", "default", "-unlink")
        try:
            store.invalidate(["a"])
            assert known(store) is None
            assert known(RedisStore(client, "p:")) == held(1)
            assert "NoPermissionError" in caplog.text
            assert store.stats()["undelivered"] == 1
        finally:
            client.execute_command("ACL", "SETUSER", "default", "+unlink")
        clock.tick(60)
        known(store)
        assert known(RedisStore(client, "p:")) is None
