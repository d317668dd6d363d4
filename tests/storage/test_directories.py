"""A directory, or a link that leads nowhere, takes a name and hides no file.

An object store has ``photos/7f3a`` beside ``photos/7f3a/thumb.png``; a mirror that holds
the second has a directory where production has the first.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, InMemoryStorage
from fakes import SOME_TIME, RecordingStorage, read

from fallback_storage.chain.outcomes import Outcome, Source
from fallback_storage.exceptions import AllBackendsFailed, NameBlockedError
from fallback_storage.jobs.sync import Result, sync
from fallback_storage.jobs.warm import warm
from fallback_storage.storage import FallbackStorage

NAME = "photos/7f3a"
CONTENT = b"27 bytes of a picture, yes."
FILES = {NAME: CONTENT, f"{NAME}/thumb.png": b"thumb"}
MOMENTS = ("get_accessed_time", "get_created_time", "get_modified_time")
CACHES = {"memo": None, "no-memo": False}


@pytest.fixture(params=CACHES)
def cache(request):
    return CACHES[request.param]


@pytest.fixture
def local(tmp_path):
    return FileSystemStorage(tmp_path / "media", base_url="/media/")


@pytest.fixture(params=["directory", "link"])
def taken(request, local):
    """The path of something at NAME that is no file."""
    path = Path(local.path(NAME))
    if request.param == "directory":
        path.mkdir(parents=True)
    else:
        path.parent.mkdir(parents=True)
        path.symlink_to("../.git/annex/objects/gone")
    return path


@pytest.fixture
def remote():
    return RecordingStorage("remote", FILES)


def read_only(storage, **policy):
    """An entry of a chain: it may only be read."""
    options = {"typ": object, "val": storage}
    return {"BACKEND": "typing.cast", "OPTIONS": options, "READ_ONLY": True, **policy}


def times(chain, name):
    return [getattr(chain, method)(name) for method in MOMENTS]


def test_the_file_below_is_what_is_read(local, taken, remote, cache):
    """By every operation, whichever comes first, and again."""
    for first in ("url", "size", "open", "exists", "resolve"):
        chain = FallbackStorage([local, remote], cache)
        getattr(chain, first)(NAME)
        for _ in range(2):
            assert chain.url(NAME) == remote.url(NAME)
            assert chain.size(NAME) == len(CONTENT)
            assert read(chain, NAME) == CONTENT
            assert times(chain, NAME) == [SOME_TIME] * 3
            assert chain.exists(NAME)
            resolution = chain.resolve(NAME)
            assert (resolution.index, resolution.held) == (1, True)
            with pytest.raises(NotImplementedError):
                chain.path(NAME)


def test_it_costs_no_request_to_know_that(local, taken, remote):
    """After the first answer nobody is asked, and nothing is looked at."""
    chain = FallbackStorage([local, RecordingStorage("between"), remote, local])
    chain.resolve(NAME)
    expected = remote.url(NAME)
    remote.reset()
    for backend in chain.backends:
        backend.look = backend.look_again = backend.glance = pytest.fail
    remote_one = chain.backends[2]
    remote_one.look_again = remote_one.glance = None
    for _ in range(2):
        assert chain.exists(NAME)
        assert chain.url(NAME) == expected
    assert remote.counts() == {"url": 2}


def test_nor_that_a_picture_is_not_between(local, taken, remote):
    """A page calls nothing but url: who is between is asked once, not for each page."""
    between = RecordingStorage("between")
    chain = FallbackStorage([local, between, remote])
    for _ in range(3):
        assert chain.url(NAME) == f"https://remote.example/{NAME}"
    assert between.counts() == {"exists": 1}
    # But that is not all there is to know: a directory is something that exists.
    remote.files.clear()
    between.reset()
    assert chain.exists(NAME)
    assert between.calls == []


def test_where_only_a_directory_has_the_name_it_answers_as_it_does_alone(
    local, taken, cache
):
    """A chain over one local directory stays that directory, and one over two as well."""
    nothing = RecordingStorage("nothing")
    for chain in (
        FallbackStorage([local], cache),
        FallbackStorage([local, nothing], cache),
        FallbackStorage([nothing, local], cache),
        FallbackStorage([FallbackStorage([nothing, local], cache), nothing], cache),
    ):
        for _ in range(2):
            assert chain.exists(NAME)
            for operation in ("size", "open", *MOMENTS):
                assert answer(chain, operation) == answer(local, operation)
            resolution = chain.resolve(NAME)
            assert (resolution.held, resolution.index) == (
                True,
                [backend.storage is nothing for backend in chain.backends].index(False),
            )
    assert chain.stats()["backends"]
    assert FallbackStorage([local], cache).url(NAME) == local.url(NAME)
    assert FallbackStorage([local], cache).path(NAME) == local.path(NAME)
    other = FileSystemStorage(Path(local.location) / "other")
    assert FallbackStorage([other, local], cache).path(NAME) == local.path(NAME)


def answer(storage, operation):
    try:
        return getattr(storage, operation)(NAME)
    except OSError as error:
        return type(error).__mro__[-5:]


def test_what_exists_costs_of_a_directory(local, taken, remote):
    """No request, ever: it ends the search."""
    chain = FallbackStorage([local, remote])
    for _ in range(3):
        assert chain.exists(NAME)
    assert remote.calls == []
    outer = FallbackStorage([chain, remote])
    for _ in range(3):
        assert outer.exists(NAME)
    assert remote.calls == []
    # Behind an object store it is asked about that once.
    chain = FallbackStorage([RecordingStorage("empty"), local, remote])
    for _ in range(3):
        assert chain.exists(NAME)
    assert chain.backends[0].storage.counts() == {"exists": 1}
    assert remote.calls == []


def test_the_trail_says_so(local, taken, remote):
    resolution = FallbackStorage([local, remote]).resolve(NAME)
    assert [str(each) for each in resolution.trail] == [
        "FileSystemStorage: taken",
        "RecordingStorage: held",
    ]
    assert resolution.backend == "RecordingStorage"
    alone = FallbackStorage([local]).resolve(NAME)
    assert (alone.backend, alone.held) == ("FileSystemStorage", True)
    assert alone.trail[0].outcome is Outcome.TAKEN


def test_many_names_at_once(local, taken, remote, cache):
    chain = FallbackStorage([local, remote], cache)
    Path(local.path("photos/d")).mkdir()
    for _ in range(2):
        found = chain.resolve_many([NAME, "photos/d", "photos/none"])
        assert [each.index for each in found.values()] == [1, 0, None]
        assert [each.held for each in found.values()] == [True, True, False]
    chain.forget_all()
    chain.prefetch([NAME, "photos/d"], complete=True)
    assert chain.url(NAME) == remote.url(NAME)
    assert [chain.exists(name) for name in found] == [True, True, False]


def test_a_name_that_is_taken_is_not_saved_to(local, taken, remote, cache):
    """As with Django's storage: a new file gets another name."""
    chain = FallbackStorage([local], cache)
    assert not chain.is_name_available(NAME)
    for around in (chain, FallbackStorage([chain, RecordingStorage("empty")], cache)):
        saved = around.save(NAME, ContentFile(b"new"))
        assert saved != NAME
        assert read(around, saved) == b"new"


def test_a_failure_is_no_reason_to_take_the_directory(local, taken, remote, cache):
    """Its size is not passed off as the picture's; and nothing is remembered."""
    chain = FallbackStorage([local, remote], cache)
    for method in ("size", "_open", "exists", *MOMENTS):
        remote.fail(method, PermissionError("no outage"))
    for operation in ("size", "open", *MOMENTS):
        with pytest.raises((PermissionError, AllBackendsFailed)):
            getattr(chain, operation)(NAME)
    assert chain.exists(NAME)
    assert FallbackStorage([chain], cache).exists(NAME)
    remote.heal()
    assert chain.size(NAME) == len(CONTENT)


def test_what_means_a_directory_has_one(local, cache):
    """A slash at the end, and the root: nobody looks for a file."""
    Path(local.path("d")).mkdir(parents=True)
    remote = RecordingStorage("remote", {"d/": b""})
    chain = FallbackStorage([local, remote], cache)
    for name in ("", "d/"):
        assert chain.exists(name)
        assert chain.url(name) == local.url(name)
        assert chain.size(name) == local.size(name)
        assert chain.resolve(name).index == 0
        assert chain.resolve_many([name])[name].index == 0
    assert remote.calls == []


# Long work


def test_a_warm_up_remembers_the_file(local, taken, remote):
    chain = FallbackStorage([local, remote])
    list(warm(chain))
    remote.reset()
    assert chain.url(NAME) == f"https://remote.example/{NAME}"
    assert chain.resolve(NAME).source is Source.MEMO
    assert remote.counts() == {"url": 1}


def test_sync_copies_past_a_directory_in_front(local, taken, remote):
    """And leaves one that stands where the copy would."""
    home = RecordingStorage("home")
    chain = FallbackStorage([read_only(local), home, read_only(remote)])
    found = {step.name: step.result for step in sync(chain)}
    assert found == dict.fromkeys(FILES, Result.COPIED)
    assert home.files == FILES
    chain = FallbackStorage([local, read_only(remote)])
    found = {step.name: step for step in sync(chain)}
    assert found[NAME].result is Result.FAILED
    assert isinstance(found[NAME].error, NameBlockedError)
    assert found[NAME].error.place == NAME


def test_sync_names_the_file_that_stands_in_a_directorys_place(local, remote):
    local._save("photos", ContentFile(b"no directory"))
    chain = FallbackStorage([local, read_only(remote)])
    errors = {step.name: step.error for step in sync(chain)}
    assert {name: error.place for name, error in errors.items()} == dict.fromkeys(
        FILES, "photos"
    )
    # A failure that has nothing to do with it stays what it is.
    remote.fail("_open")
    assert {type(step.error) for step in sync(chain)} == {ConnectionError}


# The overlay


@pytest.mark.parametrize("kept", [True, False])
def test_a_delete_hides_the_file_and_leaves_the_directory(
    local, taken, remote, cache, kept
):
    """What is in it was not to be deleted. (Nothing is in it: it goes, as with Django.)"""
    if kept and not taken.is_symlink():
        local._save(f"{NAME}/own", ContentFile(b"mine"))
    chain = FallbackStorage([local, read_only(remote)], cache, on_delete="whiteout")
    for _ in range(2):
        chain.delete(NAME)
        assert list(chain.hidden()) == [NAME]
        assert chain.exists(NAME) == local.exists(NAME)
        assert local.exists(NAME) == local.exists(f"{NAME}/own")
    # Without a file of that name it is the directory that cannot be deleted.
    local._save("own/file", ContentFile(b"mine"))
    with pytest.raises(OSError, match="not empty"):
        chain.delete("own")


def test_a_directory_in_memory_hides_no_file(remote, cache):
    """It is one, too, and ``delete`` would take along what is in it."""
    memory = InMemoryStorage(base_url="/memory/")
    memory.save(f"{NAME}/own", ContentFile(b"mine"))
    chain = FallbackStorage([memory, read_only(remote)], cache, on_delete="whiteout")
    for _ in range(2):
        assert chain.url(NAME) == remote.url(NAME)
        assert chain.size(NAME) == len(CONTENT)
        assert read(chain, NAME) == CONTENT
        assert chain.resolve(NAME).index == 1
    chain.delete(NAME)
    assert list(chain.hidden()) == [NAME]
    assert read(chain, f"{NAME}/own") == b"mine"
    assert not chain.resolve(f"{NAME}/own/none").held


def test_no_copy_is_made_where_it_has_no_place(local, taken, remote):
    """The picture is read from production, once for each read, and nothing is logged."""
    chain = FallbackStorage([local, read_only(remote)], promote=True)
    for _ in range(2):
        remote.reset()
        assert read(chain, NAME) == CONTENT
        assert remote.count("_open") == 1
        with pytest.raises(NotImplementedError):
            chain.path(NAME)
    assert chain.url(NAME) == remote.url(NAME)


def test_a_copy_below_does_not_hide_what_is_above(local, remote, cache):
    """The issue's own case: reading the thumb makes a directory of the picture's name."""
    chain = FallbackStorage([local, read_only(remote)], cache, promote=True)
    assert read(chain, f"{NAME}/thumb.png") == b"thumb"
    assert Path(local.path(NAME)).is_dir()
    assert chain.url(NAME) == remote.url(NAME)
    assert chain.size(NAME) == 27
    assert read(chain, NAME) == CONTENT
    # The other way round there is no place for the directory.
    assert chain.url(f"{NAME}/thumb.png") == local.url(f"{NAME}/thumb.png")


def test_a_hidden_file_does_not_show_below_a_directory(local, taken, remote, cache):
    """What was deleted stays deleted; what is left is the directory."""
    chain = FallbackStorage([local, read_only(remote)], cache, on_delete="whiteout")
    whiteout = Path(local.path(f".fallback-whiteouts/1/{NAME}"))
    whiteout.parent.mkdir(parents=True)
    whiteout.touch()
    for _ in range(2):
        assert chain.url(NAME) == local.url(NAME)
        for operation in ("size", "open", *MOMENTS):
            assert answer(chain, operation) == answer(local, operation)
        assert chain.exists(NAME)
        resolution = chain.resolve(NAME)
        assert (resolution.index, resolution.held) == (0, True)
        assert chain.resolve_many([NAME])[NAME].index == 0
    assert remote.calls == []
    taken.unlink() if taken.is_symlink() else taken.rmdir()
    chain.forget(NAME)
    assert not chain.exists(NAME)
    assert chain.resolve(NAME).hidden


def test_a_directory_in_a_read_only_mirror(local, taken, remote, cache):
    """Wherever the local directory stands in the chain."""
    first = RecordingStorage("first")
    chain = FallbackStorage([first, read_only(local), read_only(remote)], cache)
    for _ in range(2):
        assert chain.url(NAME) == remote.url(NAME)
        assert read(chain, NAME) == CONTENT


@pytest.mark.parametrize("operation", ["size", "open", "url", "exists", "resolve"])
def test_a_directory_in_a_chain_within_the_chain(local, taken, remote, operation):
    """What is below the inner chain is found."""
    inner = FallbackStorage([local, RecordingStorage("nothing")])
    chain = FallbackStorage([inner, remote])
    truth = FallbackStorage([local, remote], cache=False)
    for _ in range(2):
        found, expected = (getattr(each, operation)(NAME) for each in (chain, truth))
        if operation == "open":
            found, expected = found.read(), expected.read()
        if operation == "resolve":
            found, expected = found.index, expected.index
        assert found == expected
    assert chain.exists(NAME)
