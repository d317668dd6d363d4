"""Every error, raised by what leads to it, as a newcomer reads it.

Each says where (a backend, a name), what was found there, and what to do, where that can
be told. What is wrong in settings is in ``tests/conf/test_checks_errors.py``.
"""

from __future__ import annotations

import socket

import pytest
from caches import SilentCache
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from fakes import RecordingStorage
from origins import origin, reply
from overlay.parts import InPlace, entry, read_only, writable
from synced import FILES, make

from fallback_storage import exceptions
from fallback_storage.cache.stores.django_cache import (
    CacheLosesWritesError,
    DjangoCacheStore,
)
from fallback_storage.exceptions import FallbackStorageError
from fallback_storage.http import HTTPStorage
from fallback_storage.jobs.sync import sync
from fallback_storage.jobs.warm import MemoUnavailableError, warm
from fallback_storage.storage import FallbackStorage

SECRET = "AKIA-not-to-be-seen"


def raise_all(steps):
    """Raise what the first step of ``sync`` failed with."""
    for step in steps:
        if step.error:
            raise step.error


def storages(**options):
    """A home and production, whose errors are as talkative as those of HTTP clients."""
    found = RecordingStorage("home"), RecordingStorage("production", FILES)
    chain = FallbackStorage(
        [writable(found[0]), read_only(found[1])], cache=False, **options
    )
    return chain, *found


def nobody_has_it(folder):
    storages()[0].size("a.jpg")


def nobody_can_tell(folder):
    chain, *both = storages()
    for each in both:
        each.fail("size", ConnectionError(SECRET))
    chain.size("a.jpg")


def nobody_listens(folder):
    chain, _, production = storages()
    production.fail("size", ConnectionError(SECRET))
    for _ in range(3):
        with pytest.raises(ConnectionError):
            chain.size("a.jpg")
    chain.size("a.jpg")


def nobody_has_paths(folder):
    storages()[0].path("a.jpg")


def nowhere_to_write(folder):
    FallbackStorage([read_only(RecordingStorage())]).save("a.jpg", ContentFile(b""))


def every_name_is_taken(folder):
    class Full(RecordingStorage):
        def exists(self, name):
            return True

    FallbackStorage([Full()]).save("a.jpg", ContentFile(b""))


def a_site_without_an_answer(folder):
    with origin() as site:
        site.answer = lambda request: reply(
            302, request=request, Location="https://cdn.example.com/a.jpg"
        )
        HTTPStorage(site.base_url).size("a.jpg")


def a_site_that_is_not_there(folder):
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        port = unheard.getsockname()[1]
        HTTPStorage(f"http://127.0.0.1:{port}/media/").size("a.jpg")


def with_profile(storage, **profile):
    return FallbackStorage([entry(storage, "production", PROFILE=profile)])


def there_and_not_there(folder):
    storage = RecordingStorage()
    with_profile(storage, ASK_AGAIN=lambda storage, name: True).open("a.jpg")


def no_bucket(folder):
    with_profile(RecordingStorage(), HAS_PLACE=lambda storage: False).size("a.jpg")


class Longer(RecordingStorage):
    """Says that its files are longer than they are."""

    def size(self, name):
        return super().size(name) + 1


class Flipping(RecordingStorage):
    """Stores something else."""

    def _save(self, name, content):
        return super()._save(name, ContentFile(content.read()[::-1]))


def a_copy_that_is_short(folder):
    production = read_only(Longer(files={"a.jpg": b"12345"}))
    raise_all(sync(make(RecordingStorage(), production)))


def a_copy_that_is_another(folder):
    production = read_only(RecordingStorage(files={"a.jpg": b"12345"}))
    raise_all(sync(make(Flipping(), production)))


def a_beginning(folder):
    home = InPlace(folder)
    home.save("a.jpg", ContentFile(b"123"))
    production = read_only(RecordingStorage(files={"a.jpg": b"12345"}))
    raise_all(sync(make(home, production)))


def a_coding_that_is_lost(folder):
    told = {"content_encoding": "br"}, None, True
    production = {
        **read_only(RecordingStorage(files={"a.jpg": b"12345"})),
        "PROFILE": {"HEADERS_OF": lambda storage, name, file: told},
    }
    raise_all(sync(make(RecordingStorage(), production)))


def a_file_in_the_way(folder):
    home = FileSystemStorage(folder)
    home.save("photos", ContentFile(b""))
    production = read_only(RecordingStorage(files={"photos/a.jpg": b"12345"}))
    raise_all(sync(make(home, production)))


def nothing_to_warm(folder):
    next(warm(storages()[0]))


def a_cache_that_loses(folder):
    SilentCache.reset()
    SilentCache.lost, SilentCache.reads = 9, False
    DjangoCacheStore("silent", "c0ffee").invalidate(["a.jpg"])


# Who raises it -> what leads to it, and what has to be said: where, what, what to do.
TOLD = {
    exceptions.ConfigurationError: (
        lambda folder: FallbackStorage(["locale"]),
        ["backends[0]", "'locale', which STORAGES does not have", "Write one of the "],
    ),
    exceptions.FileNotInAnyBackendError: (
        nobody_has_it,
        ["'a.jpg'", "No storage backend holds this file", "home, production"],
    ),
    exceptions.AllBackendsFailed: (
        nobody_can_tell,
        ["size('a.jpg')", "home: failed (ConnectionError), production: failed"],
    ),
    exceptions.BackendUnavailable: (
        nobody_listens,
        ["'production'", "is not available: ConnectionError", "asked again in 1"],
    ),
    exceptions.OperationNotSupportedError: (
        nobody_has_paths,
        ["path('a.jpg')", "'home', 'production' without paths"],
    ),
    exceptions.ReadOnlyBackendError: (
        nowhere_to_write,
        ["'a.jpg'", "save() has nowhere to write: READ_ONLY is set for 'production'",
         "Put a writable backend into the chain"],
    ),
    exceptions.NoAvailableNameError: (
        every_name_is_taken,
        ["'a.jpg'", "No free name after 100 tries", "Is what exists() of the backends"],
    ),
    exceptions.OriginError: (
        a_site_without_an_answer,
        ["The site", "redirects to https://cdn.example.com:443",
         "if that is right, name it in redirects"],
    ),
    exceptions.OriginUnreachableError: (
        a_site_that_is_not_there,
        ["The site gives no answer: the connection failed (NewConnectionError)"],
    ),
    exceptions.ContradictoryAnswerError: (
        there_and_not_there,
        ["open('a.jpg'): the backend 'production'", "found no such file, and then said ",
         "try again"],
    ),
    exceptions.MissingPlaceError: (
        no_bucket,
        ["The bucket, or container, of the backend 'production'", "is not there",
         "correct its name in the OPTIONS"],
    ),
    exceptions.TornCopyError: (
        a_copy_that_is_short,
        ["'a.jpg'", "the copy has 5 bytes, the file has 6", "try again"],
    ),
    exceptions.CorruptCopyError: (
        a_copy_that_is_another,
        ["'a.jpg'", "has not the file's checksum", "try again"],
    ),
    exceptions.PartialCopyError: (
        a_beginning,
        ["'a.jpg'", "only the first 3 bytes", "--repair replaces it"],
    ),
    exceptions.EncodedFileError: (
        a_coding_that_is_lost,
        ["'a.jpg'", "the Content-Encoding 'br', which the home does not keep",
         "can still be read where it is"],
    ),
    exceptions.NameBlockedError: (
        a_file_in_the_way,
        ["'photos/a.jpg'", "'photos' is a file there", "rename it"],
    ),
    MemoUnavailableError: (
        nothing_to_warm,
        ["This storage has no memo (cache=False, ", "give it a shared cache"],
    ),
    CacheLosesWritesError: (a_cache_that_loses, ["The cache", "what was written"]),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _caches(settings):
    settings.CACHES = {
        **settings.CACHES,
        "silent": {"BACKEND": "caches.SilentCache", "LOCATION": "messages"},
    }


@pytest.mark.parametrize(
    ("kind", "lead", "words"),
    [(kind, *case) for kind, case in TOLD.items()],
    ids=[kind.__name__ for kind in TOLD],
)
def test_an_error_says_where_what_and_what_to_do(tmp_path, kind, lead, words):
    """One that is raised, not one that is made up; and no text of a backend."""
    with pytest.raises(kind) as caught:
        lead(tmp_path)
    assert type(caught.value) is kind
    said = str(caught.value)
    for word in words:
        assert word in said, said
    assert SECRET not in said


def test_every_error_is_here():
    """A new one has to be read by somebody, too."""
    left, found = [FallbackStorageError], set()
    while left:
        kinds = [each for each in left.pop().__subclasses__() if each not in found]
        found.update(kinds)
        left += kinds
    ours = {each for each in found if each.__module__.startswith("fallback_storage.")}
    assert ours == set(TOLD)
