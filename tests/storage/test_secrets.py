"""No error, log line, repr, statistics or check shows a value of OPTIONS."""

from __future__ import annotations

import pickle
import re
import traceback

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage, storages
from fakes import RecordingStorage

from fallback_storage.conf import options as reading
from fallback_storage.conf.checks import check_chains
from fallback_storage.exceptions import AllBackendsFailed, ConfigurationError
from fallback_storage.storage import FallbackStorage

CHAIN = "fallback_storage.storage.FallbackStorage"
HERE = f"{__name__}."

# Made so that no file name, class or message contains them by chance.
SECRET = "hunter2-topsecret"
QUOTED = "hunter2\"top'secret\\\n\u00fc"
LOOKS = re.compile(r"hunter2|topsecret|top\\*'secret")

# What OPTIONS may hold a secret in.
OPTIONS = {
    "text": {"secret": SECRET},
    "escaped": {"secret": QUOTED},
    "bytes": {"secret": SECRET.encode()},
    "in-a-dict": {"secret": {"client": {"password": SECRET}}},
    "in-a-list": {"secret": [["a", SECRET]]},
    "in-a-tuple": {"secret": ("a", (SECRET,))},
    "in-a-set": {"secret": {SECRET}},
    "in-a-frozenset": {"secret": frozenset({SECRET})},
    "in-a-url": {"secret": f"redis://user:{SECRET}@host:6379/0"},
}


def texts_of(secret):
    """Every text within an option's value, as a library might quote it."""
    if isinstance(secret, bytes):
        return [secret.decode()]
    if isinstance(secret, str):
        return [re.sub(r"^redis://user:(.*)@host:6379/0$", r"\1", secret)]
    if isinstance(secret, dict):
        return [text for each in secret.values() for text in texts_of(each)]
    if isinstance(secret, list | tuple | set | frozenset):
        return [text for each in secret for text in texts_of(each)]
    return []


class Quoting(RecordingStorage):
    """Its constructor quotes what it was given, as urllib and botocore may."""

    def fail(self, secret):
        raise ValueError(f"Cannot log in with {secret!r}")

    def __init__(self, secret=None):
        super().__init__()
        self.fail(secret)


class QuotingAPart(Quoting):
    """Quotes what it found within: a password out of a URL, a key out of a dict."""

    def fail(self, secret):
        raise ValueError(f"Cannot log in with {', '.join(texts_of(secret))}")


class QuotingRepr(Quoting):
    """Quotes the parts as ``repr`` writes them."""

    def fail(self, secret):
        raise ValueError(f"Cannot log in with {texts_of(secret)!r}")


class QuotingInCause(Quoting):
    """The error itself is harmless, what caused it is not."""

    def fail(self, secret):
        try:
            super().fail(secret)
        except ValueError as error:
            raise RuntimeError("Cannot log in") from error


class QuotingInContext(Quoting):
    """The error was raised while another one was handled."""

    def fail(self, secret):
        try:
            super().fail(secret)
        except ValueError:
            raise RuntimeError("Cannot log in")  # noqa: B904


class QuotingInNote(Quoting):
    """A note is printed below the error."""

    def fail(self, secret):
        error = RuntimeError("Cannot log in")
        error.add_note(f"tried with {secret!r}")
        raise error


class QuotingInGroup(Quoting):
    """The errors within a group are printed with it."""

    def fail(self, secret):
        inner = ValueError(f"Cannot log in with {secret!r}")
        raise ExceptionGroup("Cannot log in", [OSError("first"), inner])


CLASSES = [
    Quoting,
    QuotingAPart,
    QuotingRepr,
    QuotingInCause,
    QuotingInContext,
    QuotingInNote,
    QuotingInGroup,
]

# Where a storage with secrets may stand: (STORAGES, entry of the chain).
PLACES = {
    "inline": lambda described: ({}, described),
    "alias": lambda described: ({"s3": described}, "s3"),
    "alias-with-policy": lambda described: (
        {"s3": described},
        {"ALIAS": "s3", "READ_ONLY": True},
    ),
    "inline-chain": lambda described: (
        {},
        {"BACKEND": CHAIN, "OPTIONS": {"backends": [described]}},
    ),
    "alias-of-a-chain": lambda described: (
        {"inner": {"BACKEND": CHAIN, "OPTIONS": {"backends": [described]}}},
        "inner",
    ),
    "callable": lambda described: ({"s3": described}, lambda: storages["s3"]),
    "default-storage": lambda described: ({"default": described}, default_storage),
}


def assert_silent(*texts):
    """None of the texts shows a secret."""
    for text in texts:
        assert not LOOKS.search(str(text)), text


def everything_of(error):
    """All that is printed, kept or sent of an error."""
    yield from traceback.format_exception(error)
    yield from (str(error), repr(error), error.args)
    yield from traceback.format_exception(pickle.loads(pickle.dumps(error)))


def assert_unbuildable_in_silence(chain):
    for _ in range(2):
        with pytest.raises(ConfigurationError) as caught:
            chain.exists("x")
        assert_silent(*everything_of(caught.value))
        assert "cannot be built" in str(caught.value)
    assert_silent(repr(chain), repr(chain.backends), chain.stats())


@pytest.mark.parametrize("kind", OPTIONS)
@pytest.mark.parametrize("klass", CLASSES)
def test_a_constructor_that_quotes_a_secret(klass, kind):
    """Its type is named; its text and its causes are left out."""
    described = {"BACKEND": HERE + klass.__name__, "OPTIONS": OPTIONS[kind]}
    assert_unbuildable_in_silence(FallbackStorage([described]))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("klass", [Quoting, QuotingInContext])
def test_a_secret_is_one_wherever_its_storage_stands(settings, klass, place):
    """In STORAGES, in the chain, in a chain within it, behind a callable."""
    described = {"BACKEND": HERE + klass.__name__, "OPTIONS": OPTIONS["text"]}
    settings.STORAGES, entry = PLACES[place](described)
    assert_unbuildable_in_silence(FallbackStorage([RecordingStorage(), entry]))


@pytest.mark.parametrize("place", ["inline", "alias", "alias-with-policy"])
@pytest.mark.parametrize("klass", CLASSES)
def test_a_check_of_what_quotes_a_secret(settings, klass, place):
    """``manage.py check`` prints as little."""
    described = {"BACKEND": HERE + klass.__name__, "OPTIONS": OPTIONS["text"]}
    described_in_storages, entry = PLACES[place](described)
    settings.STORAGES = {
        **settings.STORAGES,
        **described_in_storages,
        "default": {"BACKEND": CHAIN, "OPTIONS": {"backends": [entry]}},
    }
    messages = check_chains()
    assert [message.id for message in messages] == ["fallback_storage.E015"]
    assert "cannot be built" in messages[0].msg
    assert_silent(*messages, *map(repr, messages), messages[0].hint, messages[0].obj)


def test_a_harmless_reason_is_shown(settings):
    """What quotes no option is worth reading: the text and the cause are kept."""
    described = {"BACKEND": "fakes.RecordingStorage", "OPTIONS": {"passwrd": SECRET}}
    with pytest.raises(ConfigurationError) as caught:
        FallbackStorage([described]).exists("x")
    assert "got an unexpected keyword argument 'passwrd'" in str(caught.value)
    assert isinstance(caught.value.__cause__, TypeError)
    assert_silent(*everything_of(caught.value))


class Needing(RecordingStorage):
    """Needs a library that is not installed."""

    def __init__(self, **options):
        raise ImportError("No module named 'boto3'")


class Saying(RecordingStorage):
    """Says why it cannot be built."""

    said = ""

    def __init__(self, **options):
        raise ValueError(self.said)


@pytest.mark.parametrize(
    "options",
    [
        {"access_key": "x", "secret_key": "o"},
        {"password": "boto", "user": "No-module"},
        {"client": {"token": "b", "retries": [3, 0.5, ""]}},
        {"port": 3, "region": "'", "acl": "No", "prefix": "mod", "key": ""},
        {"location": "media", "gzip": True, "domain": None, "key": b"m"},
    ],
)
def test_a_short_value_does_not_blank_out_a_reason(options):
    """It is in the text by chance, as a part of a word or as a common one."""
    described = {"BACKEND": f"{HERE}Needing", "OPTIONS": options}
    with pytest.raises(ConfigurationError, match="No module named 'boto3'") as caught:
        FallbackStorage([described]).exists("x")
    assert isinstance(caught.value.__cause__, ImportError)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"secret_key": "pw"}, "with 'pw'"),
        ({"PIN": 7}, "with 7."),
        ({"connection": {"password": ["a1"]}}, "user:a1@host"),
        ({"api_token": b"t_1"}, "t_1"),
        ({"bucket": "vault"}, "no bucket 'vault'"),
        ({"site": "intranet.example"}, "https://intranet.example/"),
    ],
)
def test_a_short_value_that_is_quoted_is_not_shown(monkeypatch, options, said):
    """A credential however short it is; another value, if it is a word."""

    monkeypatch.setattr(Saying, "said", said)
    storage = FallbackStorage(
        [{"BACKEND": f"{HERE}Saying", "OPTIONS": {**options, "more": 1}}]
    )
    with pytest.raises(ConfigurationError) as caught:
        storage.exists("x")
    for text in everything_of(caught.value):
        assert said not in str(text)
    assert caught.value.__cause__ is None


# Where somebody may write an address instead.
ADDRESSED = {
    "entry": lambda address: {"backends": [address]},
    "class": lambda address: {"backends": [{"BACKEND": address}]},
    "alias": lambda address: {"backends": [{"ALIAS": address}]},
    "class-of-an-alias": lambda address: {"backends": ["bad"]},
    "key": lambda address: {"backends": [{"ALIAS": "local", address: 1}]},
    "option": lambda address: {address: 1},
    "cache": lambda address: {"cache": address},
    "alias-of-the-cache": lambda address: {"cache": {"ALIAS": address}},
    "store": lambda address: {"cache": {"STORE": address}},
    "vary": lambda address: {"cache": {"VARY": address}},
    "client": lambda address: {"cache": {"ALIAS": "default", "CLIENT": address}},
}

# Mistakes beside secrets

BESIDE = {
    "key-typo": {"BACKEND": HERE + "Quoting", "OPTION": {"secret": SECRET}},
    "options-not-a-dict": {"BACKEND": HERE + "Quoting", "OPTIONS": SECRET},
    "options-a-list": {"BACKEND": HERE + "Quoting", "OPTIONS": [SECRET]},
    "beside-alias": {"ALIAS": "local", "OPTIONS": {"secret": SECRET}},
    "not-in-options": {"BACKEND": HERE + "Quoting", "secret": SECRET},
    "no-backend": {"OPTIONS": {"secret": SECRET}},
    "a-list": [{"secret": SECRET}],
    "name-not-text": {"ALIAS": "local", "NAME": {"secret": SECRET}},
}


@pytest.mark.parametrize("case", BESIDE)
def test_a_mistake_beside_a_secret(settings, case):
    """Keys and types are shown, values are not."""
    settings.STORAGES = {"local": {"BACKEND": "fakes.RecordingStorage"}}
    with pytest.raises(ConfigurationError) as caught:
        FallbackStorage([BESIDE[case]])
    assert_silent(*everything_of(caught.value))


@pytest.mark.parametrize(
    "options",
    [
        {"secret": SECRET},
        {"backends": {"secret": SECRET}},
        {"backends": ["local"], "cache": {"secret": SECRET}},
        {"backends": ["local"], "cache": [SECRET]},
        {"backends": ["local"], "on_delete": [SECRET]},
    ],
    ids=str,
)
def test_a_mistake_in_the_chains_own_options(settings, options):
    """OPTIONS of S3 given to the chain by mistake are not printed either."""
    settings.STORAGES = {"local": {"BACKEND": "fakes.RecordingStorage"}}
    with pytest.raises(ConfigurationError) as caught:
        FallbackStorage(**options)
    assert_silent(*everything_of(caught.value))


# A chain at work


class Silent(RecordingStorage):
    """A storage with credentials, that works."""

    def __init__(self, secret=None):
        super().__init__()
        self.secret = secret


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_chain_at_work_shows_nothing(settings, caplog, kind):
    """Reprs, statistics, resolutions and log lines name types and backends only."""
    caplog.set_level("DEBUG")
    described = {"BACKEND": HERE + "Silent", "OPTIONS": OPTIONS[kind]}
    settings.STORAGES = {"s3": described}
    chain = FallbackStorage([described, "s3", RecordingStorage("last")])
    failing = [backend.storage for backend in chain.backends][:2]
    for storage in failing:
        # Endpoints and keys stand in the errors of a failing backend.
        for method in ("exists", "_open", "_save", "delete", "listdir", "size", "url"):
            storage.fail(method, ConnectionError(f"403 for {SECRET}"))
    assert chain.exists("x") is False
    name = chain.save("x", ContentFile(b"1"))
    chain.listdir("")
    chain.url("x")
    chain.open(name).close()
    chain.delete(name)
    with pytest.raises(AllBackendsFailed) as caught:
        chain.size("x")
    assert_silent(str(caught.value), caught.value.message, *caught.value.trail)
    options = reading.read_options(FallbackStorage, chain._given)
    assert_silent(
        repr(chain),
        repr(chain.backends),
        repr(options),
        chain.stats(),
        chain._engine,
        caplog.text,
    )
    assert len(caplog.records) >= 6
    for storage in failing:
        storage.heal()
    assert_silent(repr(chain.resolve("x")), str(chain.resolve("x")))


@pytest.mark.parametrize("host", ["host:6379/0", "www.example.com/media/"])
@pytest.mark.parametrize("place", ADDRESSED)
def test_an_address_where_a_name_belongs_is_not_shown(settings, place, host):
    """It may hold a password; one with dots looks like the path of a class."""
    address = f"https://user:{SECRET}@{host}"
    settings.STORAGES = {
        "local": {"BACKEND": "fakes.RecordingStorage"},
        "bad": {"BACKEND": address},
    }
    options = {"backends": ["local"], **ADDRESSED[place](address)}
    with pytest.raises(ConfigurationError) as caught:
        FallbackStorage(**options).exists("x")
    assert_silent(*everything_of(caught.value))
