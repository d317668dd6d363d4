"""Which chains share entries: the same storages in the same order, and no others."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import PurePosixPath

import pytest
from django.core.files.storage import FileSystemStorage, InMemoryStorage, Storage
from fakes import RecordingStorage

from fallback_storage.chain.fingerprint import fingerprint
from fallback_storage.storage import FallbackStorage

FAKE = "fakes.RecordingStorage"
DISK = "django.core.files.storage.FileSystemStorage"


class Bucket(RecordingStorage):
    """An object store that says, like S3Storage, which bucket it is."""

    def __init__(self, bucket_name="media", **kwargs):
        super().__init__(**kwargs)
        self.bucket_name = bucket_name


class Unspoken(Storage):
    """A storage that does not say how it was made."""

    def exists(self, name):
        return False


class Unsure(Unspoken):
    """A storage that says that it cannot say, as ``deconstructible`` does."""

    def deconstruct(self):
        raise ValueError("Could not find object.")


class Token:
    """An option that is no plain value: a client's configuration, say."""


def fake(name="a", backend=FAKE, **options):
    return {"BACKEND": backend, "NAME": name, "OPTIONS": options}


def of(*entries):
    return fingerprint(FallbackStorage(list(entries)).backends)


def test_it_is_short_and_hexadecimal():
    """It stands in every key, and memcached has little room."""
    found = of(DISK)
    assert len(found) == 32
    assert set(found) <= set("0123456789abcdef")


SAME = {
    "path": (DISK, DISK),
    "alias": ("local", "local"),
    "options": (fake(label="x"), fake(label="x")),
    "order-of-dict": (
        fake(label="x", files={"a": b"1", "b": b"2"}),
        fake(files={"b": b"2", "a": b"1"}, label="x"),
    ),
    "order-of-set": (
        fake(unsupported={"path", "url", "size"}),
        fake(unsupported={"size", "url", "path"}),
    ),
    "list-and-tuple": (fake(unsupported=["path"]), fake(unsupported=("path",))),
    "path-object": (
        fake(backend=DISK, location=PurePosixPath("/media")),
        fake(backend=DISK, location=PurePosixPath("/media")),
    ),
    "opaque-option": (fake(label=Token()), fake(label=Token())),
    "storage-as-option": (
        fake(label=RecordingStorage("x")),
        fake(label=RecordingStorage("x")),
    ),
    "instance": (RecordingStorage("x"), RecordingStorage("x")),
    "callable": (lambda: RecordingStorage("x"), lambda: RecordingStorage("x")),
    "chain": (FallbackStorage([DISK]), FallbackStorage([DISK])),
    "read-only": (fake(), {**fake(), "READ_ONLY": True}),
}


@pytest.mark.parametrize("pair", SAME.values(), ids=SAME)
def test_the_same_chain_has_the_same(settings, pair):
    """Whatever order a dict or a set has in this process, and whoever made it."""
    settings.STORAGES = {"local": {"BACKEND": DISK}}
    # (Callables are named after their functions: here "<lambda>" both.)
    assert of(pair[0]) == of(pair[1])


OTHER = {
    "class": (fake(), fake(backend=DISK)),
    "name": (fake("a"), fake("b")),
    "label": (fake(label="x"), fake(label="y")),
    "number-and-text": (fake(label=1), fake(label="1")),
    "location": (
        fake(backend=DISK, location="/media/1"),
        fake(backend=DISK, location="/media/2"),
    ),
    "path-object": (
        fake(backend=DISK, location=PurePosixPath("/media/1")),
        fake(backend=DISK, location=PurePosixPath("/media/2")),
    ),
    "files": (fake(files={"a": b"1"}), fake(files={"a": b"2"})),
    "set": (fake(unsupported={"path"}), fake(unsupported=frozenset({"url"}))),
    "storage-as-option": (
        fake(label=RecordingStorage("x")),
        fake(label=RecordingStorage("y")),
    ),
    "instance": (RecordingStorage("x"), RecordingStorage("y")),
    "bucket": (lambda: Bucket("one"), lambda: Bucket("two")),
    "chain": (
        FallbackStorage([fake(label="x")]),
        FallbackStorage([fake(label="y")]),
    ),
    "length-of-chain": (
        FallbackStorage([fake("a")]),
        FallbackStorage([fake("a"), fake("b")]),
    ),
    "always-probe": (fake(), {**fake(), "ALWAYS_PROBE": True}),
}


@pytest.mark.parametrize("pair", OTHER.values(), ids=OTHER)
def test_another_chain_has_another(pair):
    """Renamed, re-pointed or made of something else."""
    assert of(pair[0]) != of(pair[1])


def test_the_order_counts():
    """An entry says "the second has it"."""
    assert of(fake("a"), fake("b")) != of(fake("b"), fake("a"))


def test_it_counts_where_a_setting_points_to(settings, tmp_path):
    """No option says so, but MEDIA_ROOT is another: the files are others."""
    settings.MEDIA_ROOT = tmp_path / "1"
    before = of(DISK), of(FileSystemStorage())
    settings.MEDIA_ROOT = tmp_path / "2"
    after = of(DISK), of(FileSystemStorage())
    assert len({*before, *after}) == len({*before}) + len({*after})
    settings.MEDIA_ROOT = tmp_path / "1"
    assert (of(DISK), of(FileSystemStorage())) == before


def test_a_bucket_counts_even_if_it_was_set_afterwards():
    """What a storage says of its place counts beside how it was made."""
    first, second = RecordingStorage(), RecordingStorage()
    second.bucket_name = "elsewhere"
    assert of(first) != of(second)


@pytest.mark.parametrize(
    "entry",
    [
        InMemoryStorage,
        InMemoryStorage(),
        {"BACKEND": "django.core.files.storage.InMemoryStorage"},
        FallbackStorage([InMemoryStorage]),
        Unspoken,
        Unsure(),
    ],
    ids=["class", "instance", "path", "chain", "no-deconstruct", "cannot-deconstruct"],
)
def test_a_world_of_its_own_shares_with_nobody(entry):
    """What lives in the process, or does not say how it was made, is never the same."""
    assert of(entry) != of(entry)


def test_an_option_that_does_not_say_how_it_was_made_is_never_the_same():
    """A storage within an option is looked into, as the chain's own are."""

    class Opaque:
        def deconstruct(self):
            raise ValueError("Could not find object.")

    entry = fake(label=Opaque())
    assert of(entry) != of(entry)


def test_it_tells_nothing_without_the_secret_key(settings):
    """Who reads the cache cannot try out passwords against a digest of the options."""
    entry = fake(label="password")
    settings.SECRET_KEY = "one"
    before = of(entry)
    assert of(entry) == before
    settings.SECRET_KEY = "two"
    assert of(entry) != before


def test_nothing_of_the_options_is_in_it():
    """Not a word, not its hexadecimal digits."""
    found = of(fake(label="c0ffee", files={"c0ffee": datetime(2020, 1, 1, tzinfo=UTC)}))
    assert "c0ffee" not in found
    assert b"c0ffee".hex() not in found
