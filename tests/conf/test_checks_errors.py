"""Every error of the system checks: what leads to it, where it points, what it advises."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from checked import (
    CACHES,
    CHAIN,
    ENTRY,
    FAKE,
    S3,
    SECRET,
    chain_of,
    found,
    listed,
    memo,
)
from django.core.files.storage import default_storage
from django.core.files.storage import storages as handler
from django.test import override_settings
from fakes import RecordingStorage

from fallback_storage.cache.stores.base import Store
from fallback_storage.exceptions import ConfigurationError, Mistake
from fallback_storage.storage import FallbackStorage

HERE = f"{__name__}."


class Refuses(RecordingStorage):
    """Cannot be built."""

    def __init__(self, label=""):
        raise ValueError(f"403 for {label}")


class NeedsLibrary(RecordingStorage):
    """As the storages of django-storages do without their library."""

    def __init__(self, label=""):
        try:
            import no_such_library  # noqa: F401
        except ImportError:
            raise ValueError(f"Could not load what {label} needs.") from None


class NoStorage:
    """Something else."""


class Unfinished(Store):
    """Lacks the methods of a store."""


class Own(FallbackStorage):
    """A chain that has options of its own."""

    def __init__(self, site, klass=FAKE):
        super().__init__([{"BACKEND": klass, "NAME": site}])


NO_CLIENT = 5

OPTIONS = "STORAGES['default']['OPTIONS']"
CACHE = f"{OPTIONS}['cache']"

# id -> cases: STORAGES, and where the message says that it is

ERRORS = {
    Mistake.UNKNOWN_OPTION: {
        "typo": ({"default": {"BACKEND": CHAIN, "OPTIONS": {"backend": []}}}, OPTIONS),
    },
    Mistake.UNKNOWN_KEY: {
        "entry": ({"default": chain_of({**S3, "READONLY": True})}, ENTRY),
        "cache": (memo({"TTLS": SECRET}), CACHE),
        **{
            f"beside-{key}": (
                {
                    "s3": {"BACKEND": FAKE, "OPTIONS": S3["OPTIONS"], key: value},
                    "default": chain_of({"ALIAS": "s3", "READ_ONLY": True}),
                },
                "STORAGES['s3']",
            )
            for key, value in {
                "READ_ONLY": True,
                "LAZY_OPEN": True,
                "PROFILE": {},
            }.items()
        },
        **{
            f"chain-{key}": (
                {"default": {**chain_of(FAKE), key: SECRET}},
                "STORAGES['default']",
            )
            for key in ("on_delete", "cache", "options", "OPTION")
        },
    },
    Mistake.WRONG_VALUE: {
        "option": (
            {"default": chain_of(S3, FAKE, on_delete=[SECRET])},
            f"{OPTIONS}['on_delete']",
        ),
        "bool": ({"default": chain_of(FAKE, promote=1)}, f"{OPTIONS}['promote']"),
        "size": (
            {"default": chain_of(FAKE, promote_max_size=True)},
            f"{OPTIONS}['promote_max_size']",
        ),
        "free": (
            {"default": chain_of(FAKE, promote_min_free="1G")},
            f"{OPTIONS}['promote_min_free']",
        ),
        "no-disk": (
            {"default": chain_of(FAKE, promote_max_total=5)},
            "promote_max_total",
        ),
        "entry": (
            {"default": chain_of({**S3, "READ_ONLY": {SECRET}})},
            f"{ENTRY}['READ_ONLY']",
        ),
        "options": (
            {"default": chain_of({**S3, "OPTIONS": SECRET})},
            f"{ENTRY}['OPTIONS']",
        ),
        "name": ({"default": chain_of({**S3, "NAME": ""})}, ENTRY),
        "cache-type": (memo({"TTL": [SECRET]}), f"{CACHE}['TTL']"),
        "cache-range": (memo({"MAX_ENTRIES": 0}), f"{CACHE}['MAX_ENTRIES']"),
        "infinity": (memo({"TTL": float("inf")}), f"{CACHE}['TTL']"),
    },
    Mistake.NO_CHAIN: {
        "none": ({"default": {"BACKEND": CHAIN}}, "FALLBACK_STORAGES"),
    },
    Mistake.NO_LIST: {
        "string": (
            {"default": {"BACKEND": CHAIN, "OPTIONS": {"backends": FAKE}}},
            "STORAGES['default']['OPTIONS']['backends']",
        ),
        "dict": (
            {"default": {"BACKEND": CHAIN, "OPTIONS": {"backends": S3}}},
            "STORAGES['default']['OPTIONS']['backends']",
        ),
    },
    Mistake.EMPTY_CHAIN: {
        "list": (
            {"default": chain_of()},
            "STORAGES['default']['OPTIONS']['backends']",
        ),
    },
    Mistake.NO_ENTRY: {
        "list": ({"default": chain_of([SECRET])}, ENTRY),
        "none": ({"default": chain_of(None)}, ENTRY),
        "site": ({"default": chain_of(f"https://u:{SECRET}@x.example/media/")}, ENTRY),
        "directory": ({"default": chain_of("/srv/media.old")}, ENTRY),
        "path": ({"default": chain_of(Path("media"))}, ENTRY),
    },
    Mistake.ALIAS_OR_BACKEND: {
        "both": ({"default": chain_of({**S3, "ALIAS": "x"})}, ENTRY),
        "neither": ({"default": chain_of({"OPTIONS": {"label": SECRET}})}, ENTRY),
        "options": (
            {"default": chain_of({"ALIAS": "staticfiles", "OPTIONS": S3["OPTIONS"]})},
            ENTRY,
        ),
    },
    Mistake.UNKNOWN_ALIAS: {
        "text": ({"default": chain_of("s4")}, ENTRY),
        "dict": ({"default": chain_of({"ALIAS": "s4"})}, ENTRY),
    },
    Mistake.MALFORMED_ALIAS: {
        "path": ({"s3": FAKE, "default": chain_of("s3")}, "STORAGES['s3']"),
        "no-backend": (
            {"s3": {"OPTIONS": S3["OPTIONS"]}, "default": chain_of("s3")},
            "STORAGES['s3']",
        ),
        "itself": (
            {"default": {"BACKEND": CHAIN, "OPTIONS": [SECRET]}},
            "STORAGES['default']",
        ),
    },
    Mistake.SAME_NAME: {
        "name": (
            {"default": chain_of(S3, S3)},
            "STORAGES['default']['OPTIONS']['backends'][1]",
        ),
    },
    Mistake.CYCLE: {
        "alias": ({"default": chain_of("default")}, ENTRY),
        "within": (
            {"default": chain_of({"BACKEND": f"{HERE}SelfMade"})},
            f"{ENTRY}, backends[0]",
        ),
    },
    Mistake.CANNOT_IMPORT: {
        "path": ({"default": chain_of("no_such_module.Storage")}, ENTRY),
        "alias": (
            {
                "s3": {"BACKEND": "fakes.Missing", "OPTIONS": S3["OPTIONS"]},
                "default": chain_of("s3"),
            },
            ENTRY,
        ),
        "library": (
            {"default": chain_of({**S3, "BACKEND": f"{HERE}NeedsLibrary"})},
            ENTRY,
        ),
    },
    Mistake.NO_STORAGE: {
        "class": ({"default": chain_of(f"{HERE}NoStorage")}, ENTRY),
        "callable": ({"default": chain_of(lambda: SECRET and None)}, ENTRY),
    },
    Mistake.CANNOT_BUILD: {
        "raises": ({"default": chain_of({**S3, "BACKEND": f"{HERE}Refuses"})}, ENTRY),
        "within": (
            {"default": chain_of(chain_of({**S3, "BACKEND": f"{HERE}Refuses"}))},
            f"{ENTRY}, backends[0]",
        ),
        "own-options": (
            {"default": {"BACKEND": f"{HERE}Own", "OPTIONS": {"host": SECRET}}},
            "STORAGES['default']",
        ),
        "own-backends": (
            {
                "default": {
                    "BACKEND": f"{HERE}Own",
                    "OPTIONS": {"site": "a", "klass": f"{HERE}Refuses"},
                }
            },
            "backends[0]",
        ),
    },
    Mistake.NO_CACHE: {
        "true": (memo(True), CACHE),
        "list": (memo([SECRET]), CACHE),
    },
    Mistake.ALIAS_AND_STORE: {
        "both": (memo({"ALIAS": "redis", "STORE": SECRET}), CACHE),
    },
    Mistake.UNKNOWN_CACHE: {"typo": (memo("rediss"), CACHE)},
    Mistake.NEEDS_REDIS_ALIAS: {
        "near": (memo({"ALIAS": "locmem", "NEAR": True}), f"{CACHE}['NEAR']"),
        "client": (memo({"CLIENT": "x.y"}), f"{CACHE}['CLIENT']"),
    },
    Mistake.BAD_STORE: {
        "missing": (memo({"STORE": "no.Such"}), f"{CACHE}['STORE']"),
        "class": (memo({"STORE": f"{HERE}NoStorage"}), f"{CACHE}['STORE']"),
        "abstract": (memo({"STORE": f"{HERE}Unfinished"}), f"{CACHE}['STORE']"),
    },
    Mistake.BAD_CLIENT: {
        "missing": (
            memo({"ALIAS": "redis", "CLIENT": "no.such"}),
            f"{CACHE}['CLIENT']",
        ),
        "number": (
            memo({"ALIAS": "redis", "CLIENT": f"{HERE}NO_CLIENT"}),
            f"{CACHE}['CLIENT']",
        ),
        "near": (
            memo({"ALIAS": "redis", "CLIENT": "x.y", "NEAR": True}),
            f"{CACHE}['CLIENT']",
        ),
    },
    Mistake.BAD_VARY: {
        "missing": (memo({"VARY": "no.such"}), f"{CACHE}['VARY']"),
        "number": (memo({"VARY": f"{HERE}NO_CLIENT"}), f"{CACHE}['VARY']"),
    },
    Mistake.NO_WHITEOUTS: {
        "by-profile": (
            {
                "default": chain_of(
                    {
                        "BACKEND": FAKE,
                        "READ_ONLY": False,
                        "PROFILE": {"KEEPS_WHITEOUTS": False},
                    },
                    S3,
                    on_delete="whiteout",
                )
            },
            ENTRY,
        )
    },
    Mistake.NO_REDIS_LIBRARY: {"alias": (memo("redis"), "CACHES['redis']")},
    Mistake.BAD_REDIS_ALIAS: {
        "url": (memo("no-url"), "CACHES['no-url']['LOCATION']"),
        "near": (memo({"ALIAS": "no-url", "NEAR": True}), "CACHES['no-url']"),
        "pool": (memo("no-pool"), "CACHES['no-pool']['OPTIONS']"),
        "parser": (memo("no-parser"), "CACHES['no-parser']['OPTIONS']"),
    },
    Mistake.NOT_ONE_SERVER: {
        "sentinel": (memo("sentinel"), "CACHES['sentinel']['OPTIONS']['CLIENT_CLASS']"),
    },
    Mistake.BAD_CACHE: {
        "raises": (memo("refusing"), "CACHES['refusing']"),
        "missing": (memo("missing"), "CACHES['missing']"),
        "nothing": (memo("nothing"), "CACHES['nothing']"),
        "redis": (memo("no-function"), "CACHES['no-function']"),
    },
}


class SelfMade(FallbackStorage):
    """A chain that makes itself anew, for ever."""

    def __init__(self):
        super().__init__([SelfMade])


@pytest.fixture(autouse=True)
def _library(request, monkeypatch):
    """The library redis; for the check that misses it, none."""
    if "E022" in request.node.name:
        monkeypatch.setitem(sys.modules, "redis", None)
    else:
        pytest.importorskip("redis")


def test_every_id_of_an_error_is_tested():
    """One that is raised nowhere is no id."""
    # (That of the media view is in tests/views.)
    assert {*ERRORS, Mistake.PUBLISHES_ALL} == set(Mistake)


@pytest.mark.parametrize(("mistake", "storages", "where"), listed(ERRORS))
def test_errors(mistake, storages, where):
    """One message for one mistake; its id, its place, an advice, and no secret."""
    (message,) = found(storages)
    assert message.id == mistake.value
    assert message.obj == "STORAGES['default']"
    assert message.msg.startswith(where)
    assert message.is_serious()


# What Django builds by itself, with an error of its own.
DJANGOS = {
    "E002-chain-on_delete",
    "E002-chain-cache",
    "E002-chain-options",
    "E002-chain-OPTION",
    "E010-itself",
    "E015-own-options",
    "E015-own-backends",
}


@pytest.mark.parametrize(
    ("mistake", "storages", "where"),
    [case for case in listed(ERRORS) if case.id not in DJANGOS],
)
def test_the_first_use_raises_the_same(mistake, storages, where):
    """With the id in the text, to be looked up; what it advises is the check's hint."""
    (message,) = found(storages)
    plain = {"staticfiles": {"BACKEND": FAKE}}
    with (
        override_settings(STORAGES={**plain, **storages}, CACHES=CACHES),
        pytest.raises(ConfigurationError) as caught,
    ):
        handler["default"].exists("x")
    error = caught.value
    assert error.mistake is mistake
    assert str(error).endswith(f" ({mistake.value})")
    assert SECRET not in str(error)
    assert message.msg.endswith(f": {error.found}")
    assert message.hint == error.instead


# The settings


def test_the_cache_setting_is_checked_without_a_chain():
    """A ``FileField(storage=FallbackStorage([...]))`` will read it."""
    (message,) = found({}, FALLBACK_STORAGE_CACHE="rediss")
    assert (message.id, message.obj) == (
        "fallback_storage.E018",
        "FALLBACK_STORAGE_CACHE",
    )
    (message,) = found({}, FALLBACK_STORAGE_CACHE="no-url")
    assert message.id == "fallback_storage.E023"
    (message,) = found({}, FALLBACK_STORAGE_CACHE={"ALIAS": "locmem"})
    assert (message.id, message.obj) == (
        "fallback_storage.W007",
        "FALLBACK_STORAGE_CACHE",
    )
    assert found({}, FALLBACK_STORAGE_CACHE=False) == []


@pytest.mark.parametrize("cache", ["rediss", "no-url", "dummy"])
def test_the_cache_setting_is_reported_once(cache):
    """However many chains it is the memo of; what else is wrong is said as well."""
    storages = {
        "default": chain_of(FAKE, FAKE),
        "outer": chain_of(FAKE, {**chain_of(S3, FAKE), "READ_ONLY": True}),
        "media": chain_of(S3, FAKE),
        "own": chain_of(S3, FAKE, cache={"TTL": 9}),
        "only": chain_of(S3),
        "empty": chain_of(),
    }
    messages = found(storages, FALLBACK_STORAGE_CACHE=cache)
    assert [message.obj for message in messages] == [
        "FALLBACK_STORAGE_CACHE",
        "STORAGES['default']",
        "STORAGES['only']",
        "STORAGES['empty']",
    ]


def test_a_chain_within_a_chain_is_checked_to_its_end():
    """What its first use would build, too."""
    inner = chain_of(S3, "s4", {**S3, "NAME": "b", "BACKEND": f"{HERE}Refuses"})
    storages = {"s4": {"BACKEND": f"{HERE}Refuses"}, "default": chain_of(inner)}
    messages = found(storages)
    assert [(m.id[-4:], m.msg.split(":")[0]) for m in messages] == [
        ("E015", f"{ENTRY}, backends[1]"),
        ("E015", f"{ENTRY}, backends[2]"),
    ]


@pytest.mark.parametrize("inner", [chain_of(), chain_of("no.Such", S3)])
@pytest.mark.parametrize("cache", [None, "redis"])
@pytest.mark.parametrize("first", ["a", "z"])
def test_a_chain_with_an_alias_is_reported_once(inner, cache, first):
    """Under its own name, not under every chain that names it."""
    alias = f"{first}-inner"
    outer = chain_of({"ALIAS": alias, "READ_ONLY": True}, FAKE, cache=cache)
    (message,) = found(dict(sorted({alias: inner, "outer": outer}.items())))
    assert message.obj == f"STORAGES[{alias!r}]"


def test_one_slip_in_two_chains_is_two_mistakes():
    """Where the place does not tell the chain, both are named."""
    messages = found({"default": chain_of(FAKE, strict=1), "b": chain_of(S3, strict=1)})
    assert [message.obj for message in messages] == [
        "STORAGES['default']",
        "STORAGES['b']",
    ]


def test_a_chain_that_leads_back_through_a_callable():
    """What settings cannot show, the storages do."""
    (message,) = found({"default": chain_of(default_storage)})
    assert message.id == Mistake.CYCLE.value


def test_all_that_can_be_found_is_found_at_once():
    """Not one deployment for each mistake."""
    wrong = chain_of(
        {**S3, "NAME": ""},
        S3,
        "s4",
        on_delete="x",
        strict=1,
        cache=5,
        stric=1,
        locale=2,
    )
    storages = {"default": wrong, "media": chain_of("no.Such", f"{HERE}Refuses")}
    assert [message.id[-4:] for message in found(storages)] == [
        *("E001", "E001"),
        *("E003", "E009"),
        *("E003", "E003"),
        "E016",
        *("E013", "E015"),
    ]


def test_every_key_of_a_dict_is_looked_at():
    """Two slips in one entry, or in one memo, are two messages."""
    wrong = {**S3, "READONLY": True, "NAME": 5, "LAZY_OPEN": 1}
    messages = found(
        {"default": chain_of(wrong, cache={"TTLS": 1, "TTL": -1, "NEAR": 1})}
    )
    assert [message.id[-4:] for message in messages] == ["E002", "E003", "E003"] * 2
    client_and_near = memo({"CLIENT": "x.y", "NEAR": True})
    assert [message.id[-4:] for message in found(client_and_near)] == ["E019"] * 2
    twice = chain_of(S3, S3, S3)
    assert [message.id[-4:] for message in found({"default": twice})] == ["E011"] * 2


@pytest.mark.parametrize(
    ("kind", "written", "meant"),
    [
        ("entry", "READONLY", "READ_ONLY"),
        ("entry", "read_only", "READ_ONLY"),
        ("entry", "readonly", "READ_ONLY"),
        ("entry", "read-only", "READ_ONLY"),
        ("entry", "Alias", "ALIAS"),
        ("entry", "options", "OPTIONS"),
        ("option", "BACKENDS", "backends"),
        ("option", "backend", "backends"),
        ("option", "onDelete", "on_delete"),
        ("cache", "negativettl", "NEGATIVE_TTL"),
        ("cache", "alias", "ALIAS"),
    ],
)
def test_a_natural_spelling_leads_to_the_right_one(kind, written, meant):
    """Whatever its case, and with what other separators."""
    storages = {
        "entry": lambda: chain_of({**S3, written: True}),
        "option": lambda: chain_of(FAKE, **{written: True}),
        "cache": lambda: chain_of(FAKE, cache={written: 1}),
    }[kind]()
    (message,) = found({"default": storages})
    assert message.hint.startswith(f"Did you mean {meant!r}? Write one of the ")


def test_a_misspelled_option_is_not_a_missing_chain():
    """One mistake, one message."""
    options = {"backend": [FAKE], "on_delete": "x"}
    messages = found({"default": {"BACKEND": CHAIN, "OPTIONS": options}})
    assert [message.id[-4:] for message in messages] == ["E001", "E003"]


@pytest.mark.parametrize(
    ("path", "why"),
    [("no_such.function", "cannot be imported"), ("fakes.FAKE", "is no function")],
)
def test_a_function_of_a_profile(path, why):
    """It is told before it is called, which may be for one operation only."""
    backend = {"BACKEND": FAKE, "PROFILE": {"LISTDIR": path}}
    (message,) = found({"default": chain_of(backend, S3)})
    assert message.id == Mistake.CANNOT_IMPORT
    assert f"['PROFILE']['LISTDIR']: is {path!r}, which {why}." in message.msg
    chain = FallbackStorage([backend])
    with pytest.raises(ConfigurationError, match=why):
        chain.listdir("")
