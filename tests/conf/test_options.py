"""Mistakes in the configuration: each with the whole message that a user gets."""

from __future__ import annotations

import math
import re

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import default_storage
from fakes import RecordingStorage

from fallback_storage.exceptions import ConfigurationError
from fallback_storage.storage import FallbackStorage

CHAIN = "fallback_storage.storage.FallbackStorage"
DISK = "django.core.files.storage.FileSystemStorage"
OPTIONS_ARE = (
    "Write one of the options: backends, cache, on_delete, promote, promote_max_size, "
    "promote_max_total, promote_min_free, strict, urls."
)
KEYS_ARE = (
    "Write one of the keys: ABSENT_ON_403, ALIAS, ALWAYS_PROBE, BACKEND, CONCURRENT, "
    "DEADLINE, LAZY_OPEN, LOOK_AGAIN, NAME, OPTIONS, PROFILE, READ_ONLY, RETRY_AFTER."
)
ALIASES_ARE = "Write one of the aliases: default, local, production, staticfiles."
CACHE_KEYS_ARE = (
    "Write one of the keys: ALIAS, CLIENT, FACTS, GRACE, MAX_ENTRIES, NEAR, NEGATIVE_TTL, "
    "STORE, TTL, VARY."
)
WRITE_A_LIST = (
    'Write a list of backends, for example ["local", {"ALIAS": "production", '
    '"READ_ONLY": True}].'
)
WRITE_AN_ENTRY = (
    "Write an alias of STORAGES, a dotted path, a dict with ALIAS or BACKEND, a "
    "Storage instance, or a callable without arguments that returns one."
)
WRITE_A_CACHE = (
    'Write an alias of CACHES, a dict such as {"TTL": 300}, or False for no memo.'
)
CORRECT_IT = "Correct its BACKEND and OPTIONS, or install what it needs."


@pytest.fixture(autouse=True)
def _aliases(settings):
    settings.STORAGES = {
        "local": {"BACKEND": DISK},
        "production": {"BACKEND": "fakes.RecordingStorage"},
        # Django 4.2 has them in any case.
        "default": {"BACKEND": DISK},
        "staticfiles": {"BACKEND": DISK},
    }


def error_of(function, *args, **kwargs):
    """The ConfigurationError that a call ends with."""
    with pytest.raises(ConfigurationError) as caught:
        function(*args, **kwargs)
    error = caught.value
    assert isinstance(error, ImproperlyConfigured)
    message = f"{error.where}: {error.found} {error.instead}"
    assert str(error) == f"{message} ({error.mistake})"
    return message


# Found at construction, before anything is built

MISTAKES = {
    "empty": (
        {"backends": []},
        "backends: is empty. Name at least one storage: the one to ask first.",
    ),
    "string": (
        {"backends": "local"},
        f"backends: is the string 'local'. {WRITE_A_LIST}",
    ),
    "dict": (
        {"backends": {"ALIAS": "local"}},
        f"backends: is a value of type dict. {WRITE_A_LIST}",
    ),
    "set": (
        {"backends": {"local"}},
        f"backends: is a value of type set. {WRITE_A_LIST}",
    ),
    "number": ({"backends": 5}, f"backends: is 5. {WRITE_A_LIST}"),
    "instance": (
        {"backends": RecordingStorage()},
        f"backends: is a value of type RecordingStorage. {WRITE_A_LIST}",
    ),
    "unknown-alias": (
        {"backends": ["local", "prodution"]},
        (
            "backends[1]: names the alias 'prodution', which STORAGES does not have. "
            f"Did you mean 'production'? {ALIASES_ARE}"
        ),
    ),
    "alias-in-capitals": (
        {"backends": ["LOCAL"]},
        (
            "backends[0]: names the alias 'LOCAL', which STORAGES does not have. "
            f"Did you mean 'local'? {ALIASES_ARE}"
        ),
    ),
    "unlike-any-alias": (
        {"backends": [{"ALIAS": "zzz"}]},
        (
            "backends[0]: names the alias 'zzz', which STORAGES does not have. "
            f"{ALIASES_ARE}"
        ),
    ),
    "empty-entry": (
        {"backends": [""]},
        (
            "backends[0]: names the alias '', which STORAGES does not have. "
            f"{ALIASES_ARE}"
        ),
    ),
    "none-entry": (
        {"backends": ["local", None]},
        f"backends[1]: is None. {WRITE_AN_ENTRY}",
    ),
    "number-entry": ({"backends": [1]}, f"backends[0]: is 1. {WRITE_AN_ENTRY}"),
    "list-entry": (
        {"backends": [["local"]]},
        f"backends[0]: is a value of type list. {WRITE_AN_ENTRY}",
    ),
    "key-typo": (
        {"backends": [{"ALIAS": "local", "READONLY": True}]},
        (
            "backends[0]: has the unknown key 'READONLY'. "
            f"Did you mean 'READ_ONLY'? {KEYS_ARE}"
        ),
    ),
    "key-in-small-letters": (
        {"backends": [{"alias": "local"}]},
        f"backends[0]: has the unknown key 'alias'. Did you mean 'ALIAS'? {KEYS_ARE}",
    ),
    "key-not-a-string": (
        {"backends": [{1: "local"}]},
        f"backends[0]: has the unknown key 1. {KEYS_ARE}",
    ),
    "neither": (
        {"backends": [{"READ_ONLY": True}]},
        (
            "backends[0]: has neither ALIAS nor BACKEND. Write ALIAS for a storage that "
            "STORAGES defines, or BACKEND (and OPTIONS) for one that is defined here."
        ),
    ),
    "both": (
        {"backends": [{"ALIAS": "local", "BACKEND": DISK}]},
        (
            "backends[0]: has both ALIAS and BACKEND. Write ALIAS for a storage that "
            "STORAGES defines, or BACKEND (and OPTIONS) for one that is defined here."
        ),
    ),
    "options-beside-alias": (
        {"backends": [{"ALIAS": "local", "OPTIONS": {}}]},
        (
            "backends[0]: has OPTIONS beside ALIAS. Write them in STORAGES, where the "
            "alias is defined."
        ),
    ),
    "empty-name": (
        {"backends": [{"ALIAS": "local", "NAME": ""}]},
        "backends[0]: has an empty NAME. Leave NAME out, or fill it.",
    ),
    "read-only-as-text": (
        {"backends": [{"ALIAS": "local", "READ_ONLY": "yes"}]},
        "backends[0]['READ_ONLY']: is the string 'yes'. Write a bool: True or False.",
    ),
    "lazy-open-as-number": (
        {"backends": [{"ALIAS": "local", "LAZY_OPEN": 1}]},
        "backends[0]['LAZY_OPEN']: is 1. Write a bool: True or False.",
    ),
    "alias-as-number": (
        {"backends": [{"ALIAS": 3}]},
        "backends[0]['ALIAS']: is 3. Write a string.",
    ),
    "name-as-list": (
        {"backends": [{"ALIAS": "local", "NAME": ["x"]}]},
        "backends[0]['NAME']: is a value of type list. Write a string.",
    ),
    "options-as-text": (
        {"backends": [{"BACKEND": DISK, "OPTIONS": "location=/secret"}]},
        "backends[0]['OPTIONS']: is not a dict. Write a dict.",
    ),
    "one-name-twice": (
        {"backends": ["local", {"BACKEND": DISK, "NAME": "local"}]},
        (
            "backends[1]: is named 'local', like backends[0]. Give one of them another "
            "NAME; if it is the same storage twice, remove one."
        ),
    ),
    "one-alias-twice": (
        {"backends": ["local", "production", "local"]},
        (
            "backends[2]: is named 'local', like backends[0]. Give one of them another "
            "NAME; if it is the same storage twice, remove one."
        ),
    ),
    "option-typo": (
        {"backend": ["local"]},
        (
            f"{CHAIN}: has the unknown option 'backend'. "
            f"Did you mean 'backends'? {OPTIONS_ARE}"
        ),
    ),
    "unknown-option": (
        {"location": "/x"},
        f"{CHAIN}: has the unknown option 'location'. {OPTIONS_ARE}",
    ),
    "on-delete": (
        {"backends": ["local"], "on_delete": "everywhere"},
        "on_delete: is the string 'everywhere'. Write one of 'first', 'all', 'whiteout'.",
    ),
    "on-delete-none": (
        {"backends": ["local"], "on_delete": None},
        "on_delete: is None. Write one of 'first', 'all', 'whiteout'.",
    ),
    "on-delete-list": (
        {"backends": ["local"], "on_delete": ["all"]},
        "on_delete: is a value of type list. Write one of 'first', 'all', 'whiteout'.",
    ),
    "strict-as-text": (
        {"backends": ["local"], "strict": "no"},
        "strict: is the string 'no'. Write True or False.",
    ),
    "cache-true": (
        {"backends": ["local"], "cache": True},
        f"cache: is True. {WRITE_A_CACHE}",
    ),
    "cache-number": (
        {"backends": ["local"], "cache": 300},
        f"cache: is 300. {WRITE_A_CACHE}",
    ),
    "cache-list": (
        {"backends": ["local"], "cache": [300]},
        f"cache: is a value of type list. {WRITE_A_CACHE}",
    ),
    "cache-key-typo": (
        {"backends": ["local"], "cache": {"NEGATIV_TTL": 1}},
        (
            "cache: has the unknown key 'NEGATIV_TTL'. "
            f"Did you mean 'NEGATIVE_TTL'? {CACHE_KEYS_ARE}"
        ),
    ),
    "negative-ttl": (
        {"backends": ["local"], "cache": {"TTL": -1}},
        "cache['TTL']: is -1. Write seconds, 0 for never.",
    ),
    "negative-negative-ttl": (
        {"backends": ["local"], "cache": {"NEGATIVE_TTL": -0.5}},
        "cache['NEGATIVE_TTL']: is -0.5. Write seconds, 0 for never.",
    ),
    "ttl-as-text": (
        {"backends": ["local"], "cache": {"TTL": "300"}},
        "cache['TTL']: is the string '300'. Write a number.",
    ),
    "ttl-none": (
        {"backends": ["local"], "cache": {"TTL": None}},
        "cache['TTL']: is None. Write a number.",
    ),
    "ttl-true": (
        {"backends": ["local"], "cache": {"TTL": True}},
        "cache['TTL']: is True. Write a number.",
    ),
    "no-entries": (
        {"backends": ["local"], "cache": {"MAX_ENTRIES": 0}},
        "cache['MAX_ENTRIES']: is 0. Write how many names to remember, at least 1.",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found_at_construction(mistake):
    """The message says where, what was found and what to write instead."""
    options, message = MISTAKES[mistake]
    assert error_of(FallbackStorage, **options) == message


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_storages_is_found_at_the_first_use(settings, mistake):
    """The same message; what was given as an argument has its place in STORAGES."""
    options, message = MISTAKES[mistake]
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {"BACKEND": CHAIN, "OPTIONS": options},
    }
    place = "STORAGES['default']['OPTIONS']"
    option = re.match(r"\w+(?=[:\[])", message)
    if message.startswith(f"{CHAIN}: "):
        message = place + message.removeprefix(CHAIN)
    elif option:
        message = f"{place}['{option[0]}']{message[option.end() :]}"
    # The settings list the second entry by its own place.
    message = message.replace("like backends", f"like {place}['backends']")
    assert error_of(lambda: default_storage.exists("x")) == message


@pytest.mark.parametrize(
    "ttl", [math.nan, math.inf, 10**400], ids=["nan", "inf", "huge"]
)
@pytest.mark.parametrize("key", ["TTL", "NEGATIVE_TTL", "MAX_ENTRIES"])
def test_no_number_that_passes_breaks_a_request(key, ttl):
    """What is not refused works: infinity is a way to say "for ever"."""
    try:
        chain = FallbackStorage([RecordingStorage(files={"x": b""})], {key: ttl})
    except ConfigurationError:
        return
    assert chain.exists("x") is True
    assert chain.exists("missing") is False


def test_a_mistake_in_an_alias_is_found_by_whoever_uses_it(settings):
    """A chain without arguments takes the alias's options, with its mistakes."""
    options = {"backends": ["local"], "on_deleted": "all"}
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {"BACKEND": CHAIN, "OPTIONS": options},
    }
    assert error_of(lambda: FallbackStorage().exists("x")) == (
        "STORAGES['default']['OPTIONS']: has the unknown option 'on_deleted'. Did you mean 'on_delete'? "
        f"{OPTIONS_ARE}"
    )


# The settings of the original


def test_nothing_configured(settings):
    """Without arguments and settings the message names both places to write to."""
    del settings.FALLBACK_STORAGES
    assert error_of(FallbackStorage().exists, "x") == (
        "FALLBACK_STORAGES: is not set, and no backends were given. Set "
        "FALLBACK_STORAGES to a list of storages, or give STORAGES['default'] the "
        "OPTIONS {'backends': [...]}."
    )


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "is empty. Name at least one storage: the one to ask first."),
        (DISK, f"is the string {DISK!r}. {WRITE_A_LIST}"),
    ],
)
def test_a_mistake_in_fallback_storages(settings, value, message):
    """The setting is named, not the constructor's argument."""
    settings.FALLBACK_STORAGES = value
    assert error_of(FallbackStorage().exists, "x") == f"FALLBACK_STORAGES: {message}"


def test_a_mistake_in_an_entry_of_fallback_storages(settings):
    """The position is named."""
    settings.FALLBACK_STORAGES = ("local", {"ALIAS": "local", "TYPO": 1})
    assert error_of(FallbackStorage().exists, "x") == (
        f"FALLBACK_STORAGES[1]: has the unknown key 'TYPO'. {KEYS_ARE}"
    )
