"""Every warning of the system checks: what leads to it, and what does not."""

from __future__ import annotations

import re

import pytest
from checked import (
    DISK,
    FAKE,
    MEMORY,
    S3,
    SECRET,
    TENANTS,
    chain_of,
    found,
    listed,
    memo,
)
from django import VERSION
from django.core.files.storage import FileSystemStorage, Storage
from fakes import RecordingStorage
from paths import ROOT

from fallback_storage.exceptions import Mistake

pytest.importorskip("redis")
pytest.importorskip("storages.backends.s3")
config = pytest.importorskip("botocore.config")

MANUAL = (ROOT / "docs" / "checks.rst").read_text(encoding="utf-8")

HERE = f"{__name__}."

# Warnings: id -> cases, and what the message says. Each case stands alone: nothing
# else is said of it.

LOCAL = {"BACKEND": DISK, "OPTIONS": {"location": f"/{SECRET}"}, "READ_ONLY": False}
W = {"BACKEND": FAKE, "READ_ONLY": False}
BELOW = "promote is True, but no backend is below the first writable one: nothing will"
TO_HIDE = (
    'on_delete is "whiteout", but no backend is READ_ONLY: there is nothing to hide.'
)
REDIS_OR_SO = ("redis", {"ALIAS": "redis", "NEAR": True}, "timed", "large-database")

CANNOT = "STORAGES['default']['BACKEND'] is '{}', which cannot be imported."

BUCKET = {
    "BACKEND": "storages.backends.s3.S3Storage",
    "OPTIONS": {"bucket_name": SECRET},
    "NAME": "s3",
    "READ_ONLY": True,
}

MANIFEST = {
    "BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage",
    "OPTIONS": {"location": "/static", "base_url": "/static/"},
}

QUICK = config.Config(connect_timeout=1, read_timeout=1)
NEEDS = {"NEEDS": ["bucket_name"]}
VARIES = {**NEEDS, "PLACE_VARIES": True}

WARNINGS = {
    "W001": {"two": ({"default": chain_of(FAKE, FAKE)}, "'RecordingStorage-2'")},
    "W002": {
        "none": ({"default": chain_of(S3)}, "READ_ONLY"),
        "all": ({"default": chain_of(S3, on_delete="all")}, "READ_ONLY"),
    },
    "W005": {
        "one": ({"default": chain_of(FAKE, promote=True)}, BELOW),
        "last": ({"default": chain_of(S3, FAKE, promote=True)}, BELOW),
    },
    "W004": {
        "one": ({"default": chain_of(FAKE, on_delete="whiteout")}, TO_HIDE),
        "two": ({"default": chain_of(W, W, on_delete="whiteout")}, TO_HIDE),
    },
    "W015": {
        name: ({"default": {"BACKEND": path}}, CANNOT.format(path))
        for name, path in {
            "short": "fallback_storage.FallbackStorage",
            "plural": "fallback_storage.storages.FallbackStorage",
            "distribution": "django_fallback_storage.storage.FallbackStorage",
            "class": "fallback_storage.storage.FallBackStorage",
            "django": "django.core.files.storage.FallbackStorage",
            "both": "django_fallback_storage.FallBackStorage",
        }.items()
    },
    "W006": {"alias": (memo("dummy"), "['cache']: CACHES['dummy'] is a DummyCache")},
    "W007": {
        "alias": (memo("locmem"), "['cache']: CACHES['locmem'] is a LocMemCache"),
        "subclass": (memo("own-memory"), "CACHES['own-memory'] is a LocMemCache"),
        "memory": (
            {"default": chain_of(MEMORY, cache={"ALIAS": "locmem", "TTL": 9})},
            "['cache']: CACHES['locmem'] is a LocMemCache",
        ),
    },
    "W008": {
        "database": (memo("database"), "CACHES['database'] keeps 300 entries"),
        "files": (memo({"ALIAS": "files"}), "CACHES['files'] keeps 300 entries"),
    },
    "W009": {
        "none": (memo("memcached"), "no connect_timeout and no timeout: "),
        "half": (memo("half-timed"), "has no connect_timeout: "),
    },
    "W010": {
        "memory": (
            {"default": chain_of({"BACKEND": MEMORY, "NAME": "m"}, cache="redis")},
            "['cache'] names what can be: the files of 'm' ",
        ),
        "within": (
            {"default": chain_of("inner", cache="redis"), "inner": chain_of(MEMORY)},
            "'inner'",
        ),
        "instance": (
            {"default": chain_of(lambda: Anonymous(), S3, cache="redis")},
            "'<lambda>'",
        ),
        "store": (
            {"default": chain_of(MEMORY, cache={"STORE": "stores.DictStore"})},
            "'InMemoryStorage'",
        ),
    },
    "W011": {
        "swapped": (memo({"TTL": 5, "NEGATIVE_TTL": 300}), "NEGATIVE_TTL (300 s)"),
        "short": (memo({"TTL": 1}), "more than TTL (1 s)"),
    },
    "W012": {
        "alias": (
            {
                "s3": {"BACKEND": FAKE},
                "default": chain_of(
                    FAKE,
                    {"ALIAS": "s3", "READ_ONLY": True},
                    {"ALIAS": "s3", "READ_ONLY": True, "NAME": "again"},
                ),
            },
            "'s3' and 'again'",
        ),
        "location": (
            {
                "default": chain_of(
                    LOCAL,
                    {
                        **LOCAL,
                        "NAME": "b",
                        "OPTIONS": {**LOCAL["OPTIONS"], "base_url": "/b/"},
                    },
                )
            },
            "'FileSystemStorage' and 'b'",
        ),
        "default-location": (
            {
                "a": {"BACKEND": DISK},
                "default": chain_of(
                    LOCAL,
                    *[
                        {"ALIAS": "a", "READ_ONLY": True},
                        {"BACKEND": DISK, "READ_ONLY": True, "NAME": "b"},
                    ],
                ),
            },
            "'a' and 'b'",
        ),
        "bucket": (
            {
                "default": chain_of(
                    FAKE,
                    *[
                        {
                            "BACKEND": f"{HERE}Bucket",
                            "READ_ONLY": True,
                            "NAME": name,
                            "OPTIONS": {"bucket_name": SECRET},
                        }
                        for name in "ab"
                    ],
                )
            },
            "'a' and 'b'",
        ),
    },
    "W016": {
        "entry": (
            {"default": chain_of(TENANTS)},
            "Where the files of 'TenantStorage' are is computed at each call: nothing is ",
        ),
        "alias": (
            {"default": chain_of("t"), "t": {"BACKEND": TENANTS}},
            "files of 't'",
        ),
        "within": (
            {
                "default": chain_of("inner", cache="redis"),
                "inner": chain_of(TENANTS, cache={"VARY": "tenants.whose"}),
            },
            "files of 'inner'",
        ),
    },
    "W017": {
        "alias": (
            memo("by-tenant"),
            "['cache']: CACHES['by-tenant'] has a KEY_FUNCTION: ",
        )
    },
    "W013": {
        "first": ({"staticfiles": chain_of(FAKE, S3)}, "collectstatic"),
        "first-writable": (
            {
                "staticfiles": chain_of(
                    *[{**S3, "NAME": n, "READ_ONLY": False} for n in "ab"]
                )
            },
            "collectstatic",
        ),
        "all": ({"staticfiles": chain_of(FAKE, S3, on_delete="all")}, "collectstatic"),
        **{
            f"manifest-{n}": (
                {"staticfiles": chain_of(*backends)},
                "without them 'ManifestStaticFilesStorage' has no URL for any file.",
            )
            for n, backends in enumerate(
                [[MANIFEST], [W, {**MANIFEST, "READ_ONLY": True}]]
            )
        },
    },
    "W018": {"s3": ({"default": chain_of(FAKE, BUCKET)}, "The time-outs of 's3' are ")},
    "W019": {
        "s3": (
            {
                "default": chain_of(
                    FAKE, {**BUCKET, "OPTIONS": {"client_config": QUICK}}
                )
            },
            "The backend 's3' has no bucket_name: whatever it is asked fails.",
        ),
        "profile": (
            {"default": chain_of({**S3, "READ_ONLY": False, "PROFILE": NEEDS})},
            "The backend 's3' has no bucket_name",
        ),
    },
    "W020": {
        "list": (memo("two-servers"), "CACHES['two-servers'] is memcached on several"),
        "other": (memo("other-client"), "CACHES['other-client'] is memcached on sever"),
    },
}


class Zipped(FileSystemStorage):
    """In the same directory, and yet another world."""


class Anonymous(Storage):
    """Does not say how it was made."""

    def exists(self, name):
        return False

    deconstruct = property()


class Bucket(RecordingStorage):
    """Says where its files are."""

    def __init__(self, bucket_name="", key="", location=""):
        super().__init__()
        self.bucket_name, self.location = bucket_name, location


class ReadsElsewhere:
    """A router: who reads is sent to a replica."""

    def db_for_read(self, model, **hints):
        return "replica"


def test_a_memo_that_is_read_from_a_replica(settings):
    assert found(memo("large-database")) == []
    settings.DATABASE_ROUTERS = [ReadsElsewhere()]
    assert found(memo("redis")) == []
    (message,) = found(memo("large-database"))
    assert message.id == "fallback_storage.W021"
    assert "CACHES['large-database'] is read from another database" in message.msg
    assert "'django_cache'" in message.hint


@pytest.mark.parametrize(("found_id", "storages", "words"), listed(WARNINGS))
def test_warnings(found_id, storages, words):
    """One message; its id, what it is about, an advice, and no secret."""
    (message,) = found(storages)
    assert message.id == f"fallback_storage.{found_id}"
    assert message.obj in {f"STORAGES[{alias!r}]" for alias in storages}
    assert words in message.msg
    assert not message.is_serious()


@pytest.mark.parametrize(
    ("options", "found_id", "words"),
    [
        (
            {"on_delete": "whiteout"},
            "W003",
            (
                'on_delete is "whiteout", but no backend is writable: there is nowhere to '
                "note what was deleted."
            ),
        ),
        ({"promote": True}, "W005", "promote is True, but no backend is writable: "),
    ],
)
def test_an_overlay_without_a_writable_backend(options, found_id, words):
    """That no backend is writable is said as well."""
    messages = found({"default": chain_of(S3, **options)})
    assert [message.id[-4:] for message in messages] == ["W002", found_id]
    assert words in messages[1].msg


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("FALLBACK_STORAGE_CASHE", "FALLBACK_STORAGE_CACHE"),
        ("FALLBACK_STORAGE", "FALLBACK_STORAGES"),
        ("FALLBACK_STORAGES_CACHE", "FALLBACK_STORAGE_CACHE"),
        ("FALLBACKSTORAGES", "FALLBACK_STORAGES"),
        ("FALL_BACK_STORAGES", "FALLBACK_STORAGES"),
        ("DJANGO_FALLBACK_STORAGES", "FALLBACK_STORAGES"),
        ("FALLBACK_STORAGE_BACKENDS", "FALLBACK_STORAGES"),
    ],
)
def test_a_misspelled_setting(name, meant):
    """It is told of with and without a chain, by its name alone."""
    for storages in ({}, {"default": chain_of(W, S3)}):
        (message,) = found(storages, **{name: SECRET})
        assert message.id == "fallback_storage.W014"
        assert message.obj == name
        assert message.msg == f"{name} is no setting of this package: it has no effect."
        assert message.hint == f"Did you mean {meant}?"


def test_settings_of_others_are_not_misspelled():
    """Those that only begin alike."""
    assert found({}, FALLBACK_STORAGE_BUCKET=SECRET, FALLBACK_URL=SECRET) == []


@pytest.mark.parametrize(
    "storages",
    [
        *(memo(cache) for cache in (*REDIS_OR_SO, False, None, {"TTL": 9})),
        memo({"TTL": 0, "NEGATIVE_TTL": 0}),
        memo({"STORE": "stores.DictStore"}),
        memo({"ALIAS": "by-tenant", "VARY": "tenants.whose"}),
        {"default": chain_of(TENANTS, cache={"VARY": "tenants.whose"})},
        {"default": chain_of(TENANTS, cache=False)},
        {"default": chain_of(W, S3)},
        {
            "default": chain_of(
                {**S3, "READ_ONLY": False, "PROFILE": VARIES}, cache=False
            )
        },
        {"default": chain_of(W, S3, on_delete="whiteout", promote=True)},
        {"default": chain_of(S3, W, on_delete="whiteout")},
        {"default": chain_of(S3, W, W, promote=True)},
        {"default": chain_of(W, W, on_delete="all", promote=True)},
        {"default": chain_of(MEMORY)},
        {"default": chain_of(MEMORY, cache={"TTL": 9})},
        {"default": chain_of(MEMORY, {"BACKEND": MEMORY, "READ_ONLY": True})},
        {"default": chain_of(FAKE, {**S3, "OPTIONS": {}})},
        {"default": chain_of(lambda: Bucket("a"), S3, cache="redis")},
        {
            "default": chain_of(
                LOCAL, {**LOCAL, "NAME": "zipped", "BACKEND": f"{HERE}Zipped"}
            )
        },
        {
            "default": chain_of(
                LOCAL,
                {"BACKEND": DISK, "OPTIONS": {"location": "/b"}, "READ_ONLY": True},
            )
        },
        {
            "default": chain_of(
                FAKE,
                *[
                    {
                        "BACKEND": f"{HERE}Bucket",
                        "READ_ONLY": True,
                        "NAME": f"b{n}",
                        "OPTIONS": options,
                    }
                    for n, options in enumerate(
                        [
                            {"bucket_name": "a"},
                            {"bucket_name": "b"},
                            {"location": "a"},
                            {"bucket_name": "a", "location": "x"},
                            {},
                            {"key": "k"},
                            {"bucket_name": "a", "key": "k"},
                        ]
                    )
                ],
            )
        },
        {"staticfiles": chain_of(FAKE)},
        {"staticfiles": chain_of(FAKE, S3, on_delete="whiteout")},
        {
            "staticfiles": chain_of(
                *[{**S3, "NAME": n, "READ_ONLY": False} for n in "ab"], on_delete="all"
            )
        },
        {"default": {"BACKEND": f"{HERE}Own", "OPTIONS": {"site": "a"}}},
    ],
)
def test_no_false_alarm(storages):
    """A warning too many, and nobody reads the next."""
    assert found(storages) == []


@pytest.mark.skipif(VERSION < (5, 1), reason="This Django reads it.")
@pytest.mark.parametrize("path", ["storage.FallbackStorage", "FallbackStorage"])
def test_a_default_that_django_does_not_read(path):
    """Who comes from 1.x has it; whether STORAGES names a chain as well or not."""
    path = f"fallback_storage.{path}"
    for storages in ({}, {"default": chain_of(W, S3)}):
        (message,) = found(storages, DEFAULT_FILE_STORAGE=path)
        assert message.id == "fallback_storage.W022"
        assert message.obj == "DEFAULT_FILE_STORAGE"
        assert "STORAGES" in message.hint
    assert found({}, DEFAULT_FILE_STORAGE=DISK) == []


# The ids


def test_every_id_is_tested_and_in_the_manual():
    """An id that nobody can look up says nothing."""
    errors = [mistake.value for mistake in Mistake]
    others = "W003", "W014", "W021", "W022"
    warnings = {f"fallback_storage.{each}" for each in (*WARNINGS, *others)}
    manual = re.findall(
        r"^\* ``(fallback_storage\.[EW]\d{3})``: ", MANUAL, re.MULTILINE
    )
    assert manual == sorted(errors) + sorted(warnings)
