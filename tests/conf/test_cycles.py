"""A chain that contains itself is a configuration error, never a RecursionError."""

from __future__ import annotations

import threading

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage, storages
from fakes import RecordingStorage

from fallback_storage.conf.checks import check_chains
from fallback_storage.exceptions import ConfigurationError, Mistake
from fallback_storage.storage import FallbackStorage

CHAIN = "fallback_storage.storage.FallbackStorage"
FAKE = "fakes.RecordingStorage"
ENDS = "A chain must end in storages of another kind."


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


# Described by settings

# STORAGES; the alias whose entry it is, its position, and the way round
DESCRIBED = {
    "directly": ({"default": chain_of("default")}, "default", 0, "default -> default"),
    "as-a-dict": (
        {"default": chain_of({"ALIAS": "default", "READ_ONLY": True})},
        *("default", 0, "default -> default"),
    ),
    "behind-another": (
        {"fake": {"BACKEND": FAKE}, "default": chain_of("fake", "default")},
        *("default", 1, "default -> default"),
    ),
    "through-another-alias": (
        {"default": chain_of("other"), "other": chain_of("default")},
        *("default", 0, "other -> default -> other"),
    ),
    "further-down": (
        {"default": chain_of("other"), "other": chain_of("other")},
        *("other", 0, "other -> other"),
    ),
    "through-an-inline-chain": (
        {"default": chain_of(chain_of("default"))},
        *("default", 0, "FallbackStorage -> default -> FallbackStorage"),
    ),
    "through-a-subclass": (
        {
            "default": chain_of("other"),
            "other": {**chain_of("default"), "BACKEND": f"{__name__}.Plain"},
        },
        *("default", 0, "other -> default -> other"),
    ),
    "through-default-storage": (
        {"default": chain_of(default_storage)},
        *("default", 0, "DefaultStorage -> DefaultStorage"),
    ),
    "through-a-callable": (
        {"default": chain_of(lambda: storages["default"])},
        *("default", 0, "<lambda> -> <lambda>"),
    ),
}


# Where the memo is shared, a chain's entries are built with it: its digest is of them.
@pytest.mark.parametrize("cache", [None, "default"], ids=["alone", "shared"])
@pytest.mark.parametrize(
    ("described", "alias", "position", "trail"), DESCRIBED.values(), ids=DESCRIBED
)
def test_aliases_that_lead_back_to_themselves(
    settings, described, alias, position, trail, cache
):
    """The message names the entry, the way round, and what a chain needs."""
    settings.STORAGES = described
    settings.FALLBACK_STORAGE_CACHE = cache
    where = f"STORAGES[{alias!r}]['OPTIONS']['backends'][{position}]"
    message = f"{where}: leads back to itself: {trail}. {ENDS}"
    for _ in range(2):
        assert refused(lambda: default_storage.exists("x")) == message


@pytest.mark.parametrize(
    ("described", "alias", "position", "trail"), DESCRIBED.values(), ids=DESCRIBED
)
def test_a_check_finds_them_first(settings, described, alias, position, trail):
    """``manage.py check`` says the same, and nothing else."""
    settings.STORAGES = {"staticfiles": {"BACKEND": FAKE}, **described}
    messages = check_chains()
    place = f"STORAGES[{alias!r}]"
    where = f"{place}['OPTIONS']['backends'][{position}]"
    assert (place, f"{where}: leads back to itself: {trail}.", ENDS) in [
        (message.obj, message.msg, message.hint) for message in messages
    ]
    assert {message.id for message in messages} == {Mistake.CYCLE}


ENDLESS = "never ends: {0} -> {0} -> {0} -> ...".format


@pytest.mark.parametrize("cache", [None, "default"], ids=["alone", "shared"])
@pytest.mark.parametrize(
    ("chain", "aliases", "where", "found"),
    [
        ([CHAIN], {}, "FALLBACK_STORAGES[0]", ENDLESS("FallbackStorage")),
        ([FAKE, CHAIN], {}, "FALLBACK_STORAGES[1]", ENDLESS("FallbackStorage")),
        ([{"BACKEND": CHAIN}], {}, "FALLBACK_STORAGES[0]", ENDLESS("FallbackStorage")),
        ([f"{__name__}.Plain"], {}, "FALLBACK_STORAGES[0]", ENDLESS("Plain")),
        # The class itself, and a function, as callables
        ([FallbackStorage], {}, "FALLBACK_STORAGES[0]", ENDLESS("FallbackStorage")),
        (
            [make_from_settings],
            {},
            "FALLBACK_STORAGES[0]",
            ENDLESS("make_from_settings"),
        ),
        (
            ["default"],
            {"default": {"BACKEND": CHAIN}},
            "FALLBACK_STORAGES[0]",
            "leads back to itself: default -> default.",
        ),
        (
            ["other"],
            {"default": {"BACKEND": CHAIN}, "other": chain_of("default")},
            "STORAGES['other']['OPTIONS']['backends'][0]",
            "leads back to itself: default -> other -> default.",
        ),
    ],
)
def test_the_setting_that_leads_back_to_itself(
    settings, chain, aliases, where, found, cache
):
    """``FALLBACK_STORAGES`` must not name FallbackStorage, nor what is made of it."""
    settings.STORAGES = aliases
    settings.FALLBACK_STORAGES = chain
    settings.FALLBACK_STORAGE_CACHE = cache
    assert refused(use(FallbackStorage())) == f"{where}: {found} {ENDS}"
    assert Mistake.CYCLE in [message.id for message in check_chains()]


# Of whatever the constructor is given


def use(chain):
    return lambda: chain.exists("x")


@pytest.mark.parametrize("cache", [None, "default"], ids=["alone", "shared"])
@pytest.mark.parametrize(
    ("make", "name"),
    [(Loop, "Loop"), (lambda: FallbackStorage([make_anew]), "make_anew")],
    ids=["a-class-that-names-itself", "a-callable-that-makes-it-anew"],
)
def test_a_chain_without_end(settings, make, name, cache):
    """Every step makes another instance: no storage comes twice."""
    settings.FALLBACK_STORAGE_CACHE = cache
    assert refused(use(make())) == f"backends[0]: {ENDLESS(name)} {ENDS}"


def test_the_class_itself_in_the_alias_that_configures_it(settings):
    """Made without arguments, it is configured by the alias in which it stands."""
    settings.STORAGES = {"default": chain_of(FallbackStorage)}
    where = "STORAGES['default']['OPTIONS']['backends'][0]"
    assert refused(use(default_storage)) == (
        f"{where}: {ENDLESS('FallbackStorage')} {ENDS}"
    )


def test_an_instance_that_contains_the_chain():
    """Two chains that contain each other, made by appending to a list."""
    entries = [RecordingStorage("first")]
    outer = FallbackStorage(entries)
    entries.append(FallbackStorage([outer]))
    trail = "FallbackStorage -> FallbackStorage -> FallbackStorage"
    for chain, position in ((outer, 1), (entries[1], 0)):
        assert refused(use(chain)) == (
            f"backends[{position}]: leads back to itself: {trail}. {ENDS}"
        )


def test_two_threads_that_come_from_both_ends(settings):
    """Each builds the other's chain within its own; neither waits for ever."""
    settings.STORAGES = {"default": chain_of("other"), "other": chain_of("default")}
    barrier = threading.Barrier(2)
    ended = []

    def run(alias):
        barrier.wait(10)
        ended.append(refused(use(storages[alias])))

    threads = [
        threading.Thread(target=run, args=(alias,), daemon=True)
        for alias in ("default", "other")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(ended) == 2
    assert all("leads back to itself" in message for message in ended)


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
        assert ENDS in refused(lambda: OPERATIONS[operation](chains[0]))


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


def test_an_entry_made_of_another_of_its_chain():
    """It is built while the other is; that is no way back."""
    chain = FallbackStorage([lambda: chain.backends[1].storage, RecordingStorage])
    assert chain.exists("x") is False
    assert chain.backends[0].storage is chain.backends[1].storage


def test_entries_of_chains_that_are_gone():
    """Where nobody holds the chains any more, two of their entries are still two."""

    def make():
        return FallbackStorage([RecordingStorage]).backends[0].storage

    entry = FallbackStorage([make]).backends[0]
    assert entry.owner() is None
    assert type(entry.storage) is RecordingStorage


def test_a_chain_of_the_setting_within_a_chain_of_an_alias(settings):
    """An alias may use the setting's chain as long as that does not lead back."""
    settings.STORAGES = {"default": chain_of(CHAIN)}
    settings.FALLBACK_STORAGES = [FAKE]
    assert default_storage.exists("x") is False
