"""What the system checks find in a configuration, with caches of every kind."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.memcached import BaseMemcachedCache
from django.test import override_settings

from fallback_storage.conf.checks import check_chains

CHAIN = "fallback_storage.storage.FallbackStorage"
FAKE = "fakes.RecordingStorage"
DISK = "django.core.files.storage.FileSystemStorage"
MEMORY = "django.core.files.storage.InMemoryStorage"
CACHE = "django.core.cache.backends"
DJANGO_REDIS = "django_redis.cache.RedisCache"
SECRET = "AKIA-not-to-be-seen"

TENANTS = "tenants.TenantStorage"

# Read only, with credentials: nothing is said of it, and nothing of them.
S3 = {"BACKEND": FAKE, "OPTIONS": {"label": SECRET}, "NAME": "s3", "READ_ONLY": True}
# Of which the messages speak.
ENTRY = "STORAGES['default']['OPTIONS']['backends'][0]"


class OwnMemory(LocMemCache):
    """One of the process's own, under another name."""


class OtherClientCache(BaseMemcachedCache):
    """Memcached by a client that is not Django's choice."""

    def __init__(self, server, params):
        client = SimpleNamespace(disconnect_all=bool)
        library = SimpleNamespace(Client=lambda servers, **options: client)
        super().__init__(server, params, library, KeyError)


class RefusingCache(LocMemCache):
    """Cannot be built."""

    def __init__(self, location, params):
        raise ValueError(f"403 for {params}")


CACHES = {
    "default": {"BACKEND": f"{CACHE}.locmem.LocMemCache"},
    "locmem": {"BACKEND": f"{CACHE}.locmem.LocMemCache", "LOCATION": SECRET},
    "own-memory": {"BACKEND": "checked.OwnMemory", "LOCATION": SECRET},
    "dummy": {"BACKEND": f"{CACHE}.dummy.DummyCache"},
    "refusing": {"BACKEND": "checked.RefusingCache", "OPTIONS": {"key": SECRET}},
    "missing": {"BACKEND": "no_such_module.Cache", "LOCATION": SECRET},
    "nothing": None,
    "database": {"BACKEND": f"{CACHE}.db.DatabaseCache", "LOCATION": "t"},
    "large-database": {
        "BACKEND": f"{CACHE}.db.DatabaseCache",
        "LOCATION": "t",
        "OPTIONS": {"MAX_ENTRIES": 10_000},
    },
    "files": {"BACKEND": f"{CACHE}.filebased.FileBasedCache", "LOCATION": "/x"},
    "memcached": {
        "BACKEND": f"{CACHE}.memcached.PyMemcacheCache",
        "LOCATION": "127.0.0.1:1",
    },
    "half-timed": {
        "BACKEND": f"{CACHE}.memcached.PyMemcacheCache",
        "LOCATION": "127.0.0.1:1",
        "OPTIONS": {"timeout": 0.25},
    },
    "timed": {
        "BACKEND": f"{CACHE}.memcached.PyMemcacheCache",
        "LOCATION": "127.0.0.1:1",
        "OPTIONS": {"connect_timeout": 0.25, "timeout": 0.25},
    },
    "two-servers": {
        "BACKEND": f"{CACHE}.memcached.PyMemcacheCache",
        "LOCATION": ["127.0.0.1:1", "127.0.0.1:2"],
        "OPTIONS": {"connect_timeout": 0.25, "timeout": 0.25},
    },
    "other-client": {
        "BACKEND": "checked.OtherClientCache",
        "LOCATION": "127.0.0.1:1;127.0.0.1:2",
    },
    "redis": {
        "BACKEND": f"{CACHE}.redis.RedisCache",
        "LOCATION": f"redis://me:{SECRET}@127.0.0.1:1/0",
    },
    "no-url": {"BACKEND": f"{CACHE}.redis.RedisCache", "LOCATION": SECRET},
    "no-pool": {
        "BACKEND": f"{CACHE}.redis.RedisCache",
        "LOCATION": "redis://127.0.0.1:1/0",
        "OPTIONS": {"pool_class": f"no.such.{SECRET}"},
    },
    "no-parser": {
        "BACKEND": f"{CACHE}.redis.RedisCache",
        "LOCATION": "redis://127.0.0.1:1/0",
        "OPTIONS": {"parser_class": f"no.such.{SECRET}"},
    },
    "no-function": {
        "BACKEND": f"{CACHE}.redis.RedisCache",
        "LOCATION": "redis://127.0.0.1:1/0",
        "KEY_FUNCTION": f"no.such.{SECRET}",
    },
    "by-tenant": {
        "BACKEND": f"{CACHE}.redis.RedisCache",
        "LOCATION": "redis://127.0.0.1:1/0",
        "KEY_FUNCTION": "tenants.key_of_tenant",
    },
    "sentinel": {
        "BACKEND": DJANGO_REDIS,
        "LOCATION": f"redis://{SECRET}",
        "OPTIONS": {"CLIENT_CLASS": "django_redis.client.SentinelClient"},
    },
}


def chain_of(*entries, klass=CHAIN, **options):
    return {"BACKEND": klass, "OPTIONS": {"backends": list(entries), **options}}


def memo(cache):
    return {"default": chain_of(FAKE, cache=cache)}


def found(storages, **settings):
    """The messages of the checks; none of them shows a value of OPTIONS."""
    # Django 4.2 has "default" and "staticfiles" in any case.
    plain = {"default": {"BACKEND": FAKE}, "staticfiles": {"BACKEND": FAKE}}
    settings = {"CACHES": CACHES, **settings}
    with override_settings(STORAGES={**plain, **storages}, **settings):
        messages = check_chains()
    for message in messages:
        assert SECRET not in f"{message} {message!r} {message.hint} {message.obj}"
        assert message.hint
    return messages


def listed(table):
    return [
        pytest.param(found_id, *case, id=f"{found_id[-4:]}-{name}")
        for found_id, cases in table.items()
        for name, case in cases.items()
    ]
