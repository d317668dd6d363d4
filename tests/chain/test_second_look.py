"""Storages whose answers do not tell: what is known of them decides what they mean.

Each is small and behaves as a published one was seen to (django-minio-storage 0.6,
django-s3-storage 0.15, django-storage-webdav 0.1, FTPStorage of django-storages 1.14,
django-dbfiles 3.2). The real ones are asked elsewhere.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.exceptions import ObjectDoesNotExist, SuspiciousOperation
from django.core.files.base import ContentFile
from fakes import RecordingStorage

from fallback_storage.chain.outcomes import Outcome
from fallback_storage.exceptions import (
    ContradictoryAnswerError,
    FileNotInAnyBackendError,
    MissingPlaceError,
)
from fallback_storage.storage import FallbackStorage

DOWN = ConnectionError("down")


class Denying(RecordingStorage):
    """``exists`` is False, and every error a bare OSError, whatever goes wrong.

    ``truth`` is what the server says: an exception, or None.
    """

    truth = None

    def exists(self, name):
        return super().exists(name) and self.truth is None

    def size(self, name):
        return super().size(name) if self._is_well(name) else self._complain()

    def _open(self, name, mode="rb"):
        if self._is_well(name):
            return super()._open(name, mode)
        raise FileNotFoundError(f"No such file or directory: {name}")

    def _is_well(self, name):
        return name in self.files and self.truth is None

    def _complain(self):
        raise OSError("Could not get size")


def ask_server(storage, name):
    """The question that tells."""
    storage.act("ask_server", name)
    if storage.truth is not None:
        raise storage.truth
    return name in storage.files


def chain_of(storage, **profile):
    entry = {"BACKEND": "fakes.RecordingStorage", "PROFILE": profile, "RETRY_AFTER": 0}
    chain = FallbackStorage([entry])
    chain.backends[0].__dict__["storage"] = storage
    return chain


@pytest.fixture
def denying():
    return Denying("denying", {"there": b"1"})


@pytest.fixture
def chain(denying):
    return chain_of(denying, ASK_AGAIN=ask_server)


def test_a_no_is_asked_again(chain, denying):
    """A file that is not there is absent, remembered, and no failure."""
    assert chain.exists("there") is True
    assert chain.exists("gone") is False
    assert chain.resolve("gone").held is False
    assert denying.count("ask_server") == 1
    for question in (chain.size, chain.open):
        with pytest.raises(FileNotInAnyBackendError):
            question("gone2")


def test_a_no_for_another_reason_is_a_failure(chain, denying):
    """It is not remembered, frees no name, and is never told as "no such file"."""
    denying.truth = DOWN
    resolution = chain.resolve("there")
    assert resolution.held is None
    assert resolution.trail[0].outcome is Outcome.FAILED
    for ask in (chain.is_name_available, chain.exists):
        with pytest.raises(OSError):  # noqa: PT011 - whichever it was
            ask("there")
    with pytest.raises(OSError, match="Could not get size"):
        chain.size("there")
    with pytest.raises(ConnectionError):
        chain.open("there")
    assert chain.stats()["backends"][chain.backends[0].name]["failures"] >= 4
    denying.truth = None
    assert chain.exists("there") is True


def test_failures_behind_a_no_are_told_to_listeners(chain, denying):
    """As any other failure of a backend is."""
    from fallback_storage.signals import backend_failed

    told = []

    def listen(failure, **kwargs):
        told.append(failure.exception)

    backend_failed.connect(listen)
    try:
        denying.truth = DOWN
        chain.resolve("there")
    finally:
        backend_failed.disconnect(listen)
    assert told == [DOWN]


def test_a_file_that_came_in_between_is_there(chain, denying):
    """The second answer is the later one."""
    denying.before("ask_server", lambda name: denying.files.update({name: b"2"}))
    assert chain.exists("late") is True


def test_a_contradiction_is_no_missing_file(denying):
    """An open that finds nothing of a file that is there: nobody knows why."""
    chain = chain_of(denying, ASK_AGAIN=lambda storage, name: True)
    with pytest.raises(ContradictoryAnswerError):
        chain.open("gone")
    with pytest.raises(OSError, match="Could not get size"):
        chain.size("gone")


def test_what_no_other_backend_may_be_asked_about_is_raised(chain, denying):
    """Also where the second question says so."""
    denying.truth = SuspiciousOperation("no")
    with pytest.raises(SuspiciousOperation):
        chain.exists("there")


def test_a_save_is_not_asked_again(chain, denying):
    """What a write raises is a failure of that backend."""
    denying.fail("_save", FileNotFoundError("no bucket"))
    with pytest.raises(FileNotFoundError):
        chain.save("new", ContentFile(b"1"))


def test_the_root_is_no_file(chain, denying):
    """Nothing is asked about it."""
    chain.exists("")
    assert denying.count("ask_server") == 0


def test_exceptions_that_mean_absent(denying):
    """A database says that it has no such row."""

    class Gone(ObjectDoesNotExist):
        pass

    storage = RecordingStorage("database")
    for method in ("_open", "size"):
        storage.fail(method, Gone("no such row"))
    path = "django.core.exceptions.ObjectDoesNotExist"
    chain = chain_of(storage, NOT_FOUND=[path])
    for question in (chain.open, chain.size):
        with pytest.raises(FileNotInAnyBackendError):
            question("gone")
    assert chain.resolve("gone").held is False
    with pytest.raises(Gone):
        chain_of(storage).size("gone")


def test_methods_that_always_have_an_answer():
    """The size of a file that is not there is not 0."""

    class Zero(RecordingStorage):
        def size(self, name):
            return len(self.files.get(name, b""))

    storage = Zero("ftp", {"empty": b"", "x": b"1"})
    chain = chain_of(storage, ANSWERS_ALWAYS=["size"])
    assert chain.size("x") == 1
    assert chain.size("empty") == 0
    with pytest.raises(FileNotInAnyBackendError):
        chain.size("gone")


def test_a_listing_that_failed_for_want_of_its_directory():
    """One backend lacks the directory: the others list it."""
    first, second = RecordingStorage("first"), RecordingStorage("second", {"a/b": b"1"})
    first.fail("listdir", OSError("Error getting listing"))
    entry = {"BACKEND": "fakes.RecordingStorage"}
    asks = {"ASK_FOR_DIRECTORY": lambda storage, name: False}
    chain = FallbackStorage([{**entry, "PROFILE": asks}, second], strict=True)
    chain.backends[0].__dict__["storage"] = first
    assert chain.listdir("a") == ([], ["b"])
    with pytest.raises(OSError, match="Error getting listing"):
        chain.listdir("")


# Buckets that are not there


def bucket(*, is_there):
    """A chain over a storage that says "no" of every file of a missing bucket."""
    storage = RecordingStorage("bucket", {"x": b"1"} if is_there else {})

    def has_place(asked):
        asked.act("has_place", "")
        if isinstance(is_there, Exception):
            raise is_there
        return is_there

    return storage, chain_of(storage, HAS_PLACE=has_place)


def test_a_missing_bucket_is_no_missing_file():
    """Nothing is remembered, no name is free, and it is asked until it is there."""
    storage, chain = bucket(is_there=False)
    for _ in range(2):
        assert chain.resolve("x").held is None
    assert storage.count("has_place") == 2
    for question in (chain.is_name_available, chain.exists, chain.size, chain.open):
        with pytest.raises(MissingPlaceError, match="is not there"):
            question("x")


def test_a_bucket_that_is_there_is_asked_for_once():
    """By the first "no"; who has a file need not be asked."""
    storage, chain = bucket(is_there=True)
    for name in ("gone", "gone too"):
        assert chain.resolve(name).held is False
    assert storage.count("has_place") == 1
    storage, chain = bucket(is_there=True)
    assert chain.exists("x") is True
    assert chain.resolve("gone").held is False
    assert storage.count("has_place") == 0


def test_who_may_not_ask_for_the_bucket_believes_in_it():
    """A 403 comes from one that is there, and to who has no name a 401.

    What else goes wrong tells nothing.
    """
    for status in (401, 403):
        refused = ConnectionError(status)
        refused.code = status
        _, chain = bucket(is_there=refused)
        assert chain.resolve("gone").held is False
    _, chain = bucket(is_there=ValueError())
    assert chain.resolve("gone").held is None


@pytest.mark.parametrize("error", [TimeoutError("slow"), ConnectionResetError()])
def test_a_bucket_that_cannot_be_asked_for_is_not_missing(error):
    """Who cannot be reached says so: the memo's grace goes by that."""
    _, chain = bucket(is_there=error)
    for question in (chain.exists, chain.size, chain.open):
        with pytest.raises(type(error)):
            question("gone")


def test_who_waits_for_the_answer_about_the_bucket_does_not_ask_again():
    """Else all would wait for each other's time-outs, one after the other."""
    asked, came = [], threading.Semaphore(0)

    class Door:
        def __init__(self):
            self.lock = threading.Lock()

        def __enter__(self):
            came.release()
            self.lock.acquire()

        def __exit__(self, *exception):
            self.lock.release()

    def has_place(storage):
        asked.append(storage)
        for _ in range(3 if len(asked) == 1 else 0):
            assert came.acquire(timeout=30)
        raise TimeoutError

    chain = chain_of(RecordingStorage("bucket"), HAS_PLACE=has_place)
    chain.backends[0].place_lock = Door()
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(chain.resolve, ["a", "b", "c"]))
    assert [each.held for each in found] == [None, None, None]
    assert len(asked) == 1
