"""Backends that cannot be built: each with the whole message that a user gets."""

from __future__ import annotations

import pickle

import pytest
from django.core.checks import run_checks
from django.core.files.storage import FileSystemStorage, storages
from fakes import RecordingStorage

from fallback_storage.exceptions import ConfigurationError
from fallback_storage.storage import FallbackStorage

DISK = "django.core.files.storage.FileSystemStorage"
FAKE = "fakes.RecordingStorage"
CORRECT_IT = "Correct its BACKEND and OPTIONS, or install what it needs."
NAME_A_STORAGE = "Name a subclass of django.core.files.storage.Storage."


class NoStorage:
    """A class without anything of a storage."""


class Refuses(RecordingStorage):
    """Its constructor ends with an error of its own."""

    def __init__(self, bucket=None):
        raise ValueError(f"the bucket name is missing (got {type(bucket).__name__})")


def make_none():
    return None


def make_error():
    raise OSError("the disk is not mounted")


UNBUILDABLE = {
    "missing-module": (
        "no_such_module.Storage",
        (
            "backends[0]: cannot be built: ModuleNotFoundError: No module named "
            f"'no_such_module'. {CORRECT_IT}"
        ),
    ),
    "missing-class": (
        "fakes.NoSuchStorage",
        (
            'backends[0]: cannot be built: ImportError: Module "fakes" does not define a '
            f'"NoSuchStorage" attribute/class. {CORRECT_IT}'
        ),
    ),
    "no-storage": (
        f"{__name__}.NoStorage",
        (
            "backends[0]: gives a value of type NoStorage, which is no storage. "
            f"{NAME_A_STORAGE}"
        ),
    ),
    "returns-none": (
        make_none,
        f"backends[0]: gives None, which is no storage. {NAME_A_STORAGE}",
    ),
    "returns-a-path": (
        lambda: FAKE,
        (
            f"backends[0]: gives the string {FAKE!r}, which is no storage. "
            f"{NAME_A_STORAGE}"
        ),
    ),
    "callable-raises": (
        make_error,
        (
            "backends[0]: cannot be built: OSError: the disk is not mounted. "
            f"{CORRECT_IT}"
        ),
    ),
    "callable-wants-arguments": (
        lambda first: first,
        (
            "backends[0]: cannot be built: TypeError: <lambda>() missing 1 required "
            f"positional argument: 'first'. {CORRECT_IT}"
        ),
    ),
    "constructor-raises": (
        f"{__name__}.Refuses",
        (
            "backends[0]: cannot be built: ValueError: the bucket name is missing (got "
            f"NoneType). {CORRECT_IT}"
        ),
    ),
    "unknown-option": (
        {"BACKEND": FAKE, "OPTIONS": {"buckt": "media-files"}},
        (
            "backends[0]: cannot be built: TypeError: RecordingStorage.__init__() got an "
            f"unexpected keyword argument 'buckt'. {CORRECT_IT}"
        ),
    ),
    "alias-missing-class": (
        "missing",
        (
            "backends[0]: cannot be built: InvalidStorageError: Could not find backend "
            '\'fakes.NoSuchStorage\': Module "fakes" does not define a "NoSuchStorage" '
            f"attribute/class. {CORRECT_IT}"
        ),
    ),
    "alias-unknown-option": (
        "refused",
        (
            "backends[0]: cannot be built: TypeError: RecordingStorage.__init__() got an "
            f"unexpected keyword argument 'buckt'. {CORRECT_IT}"
        ),
    ),
}


@pytest.mark.parametrize("case", UNBUILDABLE)
def test_what_cannot_be_built_says_so_at_the_first_use(settings, case):
    """And again at the second; the constructor of the chain built nothing."""
    settings.STORAGES = {
        "missing": {"BACKEND": "fakes.NoSuchStorage"},
        "refused": {"BACKEND": FAKE, "OPTIONS": {"buckt": "media-files"}},
    }
    entry, message = UNBUILDABLE[case]
    chain = FallbackStorage([entry])
    for _ in range(2):
        with pytest.raises(ConfigurationError) as caught:
            chain.exists("x")
        error = caught.value
        assert str(error) == f"{message} ({error.mistake})"
        # A traceback, and whoever follows causes, comes to an end.
        assert error.__cause__ is not error
        assert str(pickle.loads(pickle.dumps(error))) == str(error)


MALFORMED = {
    "no-backend": {"OPTIONS": {}},
    "a-path": DISK,
    "none": None,
    "options-none": {"BACKEND": FAKE, "OPTIONS": None},
    "options-list": {"BACKEND": FAKE, "OPTIONS": ["label"]},
    "backend-none": {"BACKEND": None},
    "backend-class": {"BACKEND": FileSystemStorage},
}


@pytest.mark.parametrize("case", MALFORMED)
def test_an_alias_that_is_no_description_of_a_storage(settings, case):
    """Django raises KeyError, AttributeError or TypeError; the chain says where."""
    settings.STORAGES = {"local": MALFORMED[case], "fine": {"BACKEND": FAKE}}
    with pytest.raises(ConfigurationError) as caught:
        FallbackStorage(["fine", "local"]).exists("x")
    assert "local" in str(caught.value) or "backends[1]" in str(caught.value)


@pytest.mark.parametrize("case", MALFORMED)
def test_an_alias_that_no_chain_names_is_not_its_business(settings, case):
    """A mistake elsewhere in ``STORAGES`` does not break a chain beside it."""
    settings.STORAGES = {"other": MALFORMED[case], "fine": {"BACKEND": FAKE}}
    assert FallbackStorage(["fine"]).exists("x") is False
    settings.FALLBACK_STORAGES = ["fine"]
    assert FallbackStorage().exists("x") is False


class Nesting(RecordingStorage):
    """A storage whose constructor uses a chain that cannot be built."""

    def __init__(self, token=None):
        super().__init__()
        found = None
        try:
            FallbackStorage([make_none]).exists("x")
        except ConfigurationError as error:
            found = error
        if found.__cause__ is found:
            # Whoever followed the causes of such an error would never end.
            raise AssertionError("an error that is its own cause")
        raise found


def test_a_mistake_within_a_backends_constructor(settings):
    """The innermost mistake is the one that is reported."""
    entry = {
        "BACKEND": f"{__name__}.Nesting",
        "OPTIONS": {"token": "unused-token"},
    }
    with pytest.raises(ConfigurationError, match="gives None, which is no storage"):
        FallbackStorage([entry]).exists("x")


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"BACKEND": "no.such.Storage"}, "No module named 'no'"),
        ({"BACKEND": "fakes.RecordingStorage", "OPTIONS": {"x": 1}}, "argument 'x'"),
    ],
)
def test_an_alias_says_why_it_cannot_be_built(settings, params, why):
    """The chain's own entries are no secret: Django's KeyError of an alias names it."""
    chain = {
        "BACKEND": "fallback_storage.storage.FallbackStorage",
        "OPTIONS": {"backends": ["production"]},
    }
    settings.STORAGES = {
        "default": chain,
        "production": params,
        "staticfiles": settings.STORAGES["staticfiles"],
    }
    with pytest.raises(ConfigurationError, match=why):
        storages["default"].exists("a")


def test_a_library_that_a_storage_needs_is_missing(settings, tmp_path, monkeypatch):
    """django-storages then raises ImproperlyConfigured when it is imported."""
    (tmp_path / "lacking.py").write_text(
        "from django.core.exceptions import ImproperlyConfigured\n"
        "try:\n"
        "    import no_such_library\n"
        "except ImportError as error:\n"
        "    raise ImproperlyConfigured('Could not load it. %s' % error) from error\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    settings.STORAGES = {
        "default": {
            "BACKEND": "fallback_storage.storage.FallbackStorage",
            "OPTIONS": {"backends": ["lacking.Storage"]},
        },
        "staticfiles": settings.STORAGES["staticfiles"],
    }
    (found,) = [each for each in run_checks() if "fallback_storage.E" in each.id]
    assert found.id == "fallback_storage.E013"
    assert "backends'][0]" in found.msg
    assert "no_such_library" in found.msg
