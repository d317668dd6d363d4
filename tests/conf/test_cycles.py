"""A chain that contains itself is a configuration error, never a RecursionError."""

from __future__ import annotations

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage, storages
from fakes import RecordingStorage

from fallback_storage.exceptions import ConfigurationError, Mistake
from fallback_storage.storage import FallbackStorage

CHAIN = "fallback_storage.storage.FallbackStorage"
FAKE = "fakes.RecordingStorage"
ENDS = "A chain must end in storages of another kind."
REMOVE = "Remove it from the chain."


class Loop(FallbackStorage):
    """A chain of its own that names its own class."""

    def __init__(self):
        super().__init__([f"{__name__}.Loop"])


class Plain(FallbackStorage):
    """A chain under another name."""


def make_anew():
    """A callable that makes a chain in which it stands itself."""
    return FallbackStorage([make_anew])


def make_from_settings():
    """A callable that makes the chain of ``FALLBACK_STORAGES``."""
    return FallbackStorage()


def chain_of(*entries, **options):
    return {"BACKEND": CHAIN, "OPTIONS": {"backends": list(entries), **options}}


def refused(function):
    """The message of the ConfigurationError that a call must end with."""
    with pytest.raises(ConfigurationError) as caught:
        function()
    assert "RecursionError" not in str(caught.value)
    return str(caught.value).removesuffix(f" ({Mistake.CYCLE})")


# Described by settings: found before anything is built

DESCRIBED = {
    "directly": (
        {"default": chain_of("default")},
        (
            "STORAGES['default']['OPTIONS']['backends'][0]: leads back to itself: "
            "default -> default."
        ),
    ),
    "as-a-dict": (
        {"default": chain_of({"ALIAS": "default", "READ_ONLY": True})},
        (
            "STORAGES['default']['OPTIONS']['backends'][0]: leads back to itself: "
            "default -> default."
        ),
    ),
    "behind-another": (
        {"fake": {"BACKEND": FAKE}, "default": chain_of("fake", "default")},
        (
            "STORAGES['default']['OPTIONS']['backends'][1]: leads back to itself: "
            "default -> default."
        ),
    ),
    "through-another-alias": (
        {"default": chain_of("other"), "other": chain_of("default")},
        (
            "STORAGES['default']['OPTIONS']['backends'][0]: leads back to itself: "
            "other -> default -> other."
        ),
    ),
    "further-down": (
        {"default": chain_of("other"), "other": chain_of("other")},
        (
            "STORAGES['default']['OPTIONS']['backends'][0]: leads back to itself: "
            "other -> other."
        ),
    ),
    "through-an-inline-chain": (
        {"default": chain_of(chain_of("default"))},
        (
            "STORAGES['default']['OPTIONS']['backends'][0]: leads back to itself: "
            "default -> default."
        ),
    ),
    "through-a-subclass": (
        {
            "default": chain_of("other"),
            "other": {**chain_of("default"), "BACKEND": f"{__name__}.Plain"},
        },
        (
            "STORAGES['default']['OPTIONS']['backends'][0]: leads back to itself: "
            "other -> default -> other."
        ),
    ),
}


@pytest.mark.parametrize("case", DESCRIBED)
def test_aliases_that_lead_back_to_themselves(settings, case):
    """The message names the place and the way round."""
    settings.STORAGES, found = DESCRIBED[case]
    assert refused(lambda: default_storage.exists("x")) == f"{found} {ENDS}"


@pytest.mark.parametrize(
    ("chain", "aliases", "trail"),
    [
        ([CHAIN], {}, "FALLBACK_STORAGES -> FALLBACK_STORAGES"),
        ([FAKE, CHAIN], {}, "FALLBACK_STORAGES -> FALLBACK_STORAGES"),
        ([{"BACKEND": CHAIN}], {}, "FALLBACK_STORAGES -> FALLBACK_STORAGES"),
        ([f"{__name__}.Plain"], {}, "FALLBACK_STORAGES -> FALLBACK_STORAGES"),
        (
            ["default"],
            {"default": {"BACKEND": CHAIN}},
            "default -> FALLBACK_STORAGES -> default",
        ),
        (
            ["other"],
            {"default": {"BACKEND": CHAIN}, "other": chain_of("default")},
            "other -> default -> FALLBACK_STORAGES -> other",
        ),
    ],
)
def test_the_setting_that_leads_back_to_itself(settings, chain, aliases, trail):
    """``FALLBACK_STORAGES`` must not name FallbackStorage, nor what is made of it."""
    settings.STORAGES = aliases
    settings.FALLBACK_STORAGES = chain
    where = f"FALLBACK_STORAGES[{len(chain) - 1}]"
    message = f"{where}: leads back to itself: {trail}. {ENDS}"
    assert refused(lambda: FallbackStorage().exists("x")) == message


# What only shows when it is built


def use(chain):
    return lambda: chain.exists("x")


def test_a_class_that_names_itself():
    """A subclass whose constructor names the subclass."""
    refused(use(Loop()))


def test_the_class_itself_as_an_entry(settings):
    """FallbackStorage as a callable, made of the chain in which it stands."""
    settings.FALLBACK_STORAGES = [FallbackStorage]
    refused(use(FallbackStorage()))


def test_the_class_itself_in_the_alias_that_configures_it(settings):
    """The same, where the chain is that of an alias."""
    settings.STORAGES = {"default": chain_of(FallbackStorage)}
    refused(use(default_storage))


def test_a_callable_that_makes_the_chain_anew():
    """Every call makes another instance of the same endless chain."""
    refused(use(FallbackStorage([make_anew])))


def test_a_callable_that_makes_the_chain_of_the_setting(settings):
    """The same, through ``FALLBACK_STORAGES``."""
    settings.FALLBACK_STORAGES = [make_from_settings]
    refused(use(FallbackStorage()))


def test_default_storage_within_itself(settings):
    """A lazy object is only built at the first use, and then looked into."""
    settings.STORAGES = {"default": chain_of(default_storage)}
    message = refused(lambda: default_storage.exists("x"))
    assert message == (
        "STORAGES['default']['OPTIONS']['backends'][0]: the backend 'DefaultStorage' "
        f"is, or contains, the chain it is part of. {REMOVE}"
    )


def test_a_callable_that_returns_the_chain(settings):
    """A callable is only called at the first use, and its answer looked into."""
    settings.STORAGES = {"default": chain_of(lambda: storages["default"])}
    assert refused(lambda: default_storage.exists("x")) == (
        "STORAGES['default']['OPTIONS']['backends'][0]: the backend '<lambda>' is, or "
        f"contains, the chain it is part of. {REMOVE}"
    )


def test_an_instance_that_contains_the_chain():
    """Two chains that contain each other, made by appending to a list."""
    entries = [RecordingStorage("first")]
    outer = FallbackStorage(entries)
    entries.append(FallbackStorage([outer]))
    assert REMOVE in refused(use(outer))
    assert REMOVE in refused(use(entries[1]))


OPERATIONS = {
    "exists": lambda chain: chain.exists("x"),
    "open": lambda chain: chain.open("x"),
    "open-for-writing": lambda chain: chain.open("x", "wb"),
    "url": lambda chain: chain.url("x"),
    "path": lambda chain: chain.path("x"),
    "listdir": lambda chain: chain.listdir(""),
    "save": lambda chain: chain.save("x", ContentFile(b"1")),
    "delete": lambda chain: chain.delete("x"),
    "location": lambda chain: chain.location,
    "get_valid_name": lambda chain: chain.get_valid_name("x"),
    "resolve": lambda chain: chain.resolve("x"),
    "storage": lambda chain: chain.backends[0].storage,
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_reports_it(operation):
    """Whichever is called first; and again at every further call."""
    chains = []
    chains.append(FallbackStorage([lambda: chains[0]]))
    for _ in range(2):
        assert REMOVE in refused(lambda: OPERATIONS[operation](chains[0]))


# What is no cycle


def test_chains_of_chains_are_fine(settings):
    """One storage in two chains, and a chain in a chain, are no cycle."""
    settings.STORAGES = {
        "fake": {"BACKEND": FAKE},
        "one": chain_of("fake"),
        "other": chain_of("one", "fake"),
        "default": chain_of("one", "other", "fake"),
    }
    storages["fake"].files["x"] = b"1"
    assert default_storage.exists("x") is True
    assert default_storage.resolve("x").backend == "one"
    assert default_storage.save("y", ContentFile(b"2")) == "y"
    assert storages["fake"].files["y"] == b"2"


def test_a_chain_of_the_setting_within_a_chain_of_an_alias(settings):
    """An alias may use the setting's chain as long as that does not lead back."""
    settings.STORAGES = {"default": chain_of(CHAIN)}
    settings.FALLBACK_STORAGES = [FAKE]
    assert default_storage.exists("x") is False
