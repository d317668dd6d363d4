"""What ``sync`` finds in a home that is written to in place: parts, and other files."""

from __future__ import annotations

from functools import partial

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, InMemoryStorage
from fakes import RecordingStorage
from overlay.parts import Guard, content_of, read_only, writable
from synced import errors, make, make_home, results

from fallback_storage.exceptions import PartialCopyError
from fallback_storage.jobs.sync import Result, sync
from fallback_storage.storage import FallbackStorage

WHOLE = b"all of it"


@pytest.fixture(params=["in-place", "flat"])
def home(request, tmp_path):
    return make_home(request.param, tmp_path)


@pytest.fixture
def production():
    return Guard("production", {"a.txt": WHOLE})


@pytest.mark.parametrize("data", [b"", b"all of"])
def test_a_beginning_is_told_and_replaced_only_on_demand(home, production, data):
    """It may be what a killed run has left, or somebody's own."""
    home._save("a.txt", ContentFile(data))
    chain = make(home, read_only(production))
    for options in ({}, {"verify": True}, {"dry_run": True}):
        (step,) = sync(chain, **options)
        assert errors([step]) == [("a.txt", "home", PartialCopyError)]
        assert step.error.found == len(data)
        assert content_of(home, "a.txt") == data
    assert results(sync(chain, repair=True, dry_run=True)) == {"a.txt": Result.COPIED}
    assert content_of(home, "a.txt") == data
    assert results(sync(chain, repair=True)) == {"a.txt": Result.COPIED}
    assert content_of(home, "a.txt") == WHOLE
    assert results(sync(chain, verify=True)) == {"a.txt": Result.PRESENT}


@pytest.mark.parametrize("data", [b"ALL", b"all of it, and more", b"ALL OF IT"])
@pytest.mark.parametrize("repair", [False, True])
def test_another_file_is_never_replaced(home, production, data, repair):
    home._save("a.txt", ContentFile(data))
    chain = make(home, read_only(production))
    steps = sync(chain, repair=repair, verify=True)
    assert results(steps) == {"a.txt": Result.DIFFERENT}
    assert content_of(home, "a.txt") == data


def test_a_longer_file_is_not_read(home, production):
    """Its size says that it is no beginning."""
    home._save("a.txt", ContentFile(WHOLE * 2))
    list(sync(make(home, read_only(production))))
    if isinstance(home, RecordingStorage):
        assert home.count("_open") == 1  # how it is stored
    assert production.count("_open") == 2


@pytest.mark.parametrize("kind", [FileSystemStorage, InMemoryStorage])
def test_a_home_that_shows_whole_files_only_has_no_parts(tmp_path, kind):
    """What is there was saved like that."""
    lower = FileSystemStorage(tmp_path / "production")
    home = kind(tmp_path / "home") if kind is FileSystemStorage else kind()
    for storage, data in ((lower, WHOLE), (home, b"all of")):
        storage._save("a.txt", ContentFile(data))
    steps = sync(make(home, read_only(lower)), repair=True, verify=True)
    assert results(steps) == {"a.txt": Result.DIFFERENT}
    assert content_of(home, "a.txt") == b"all of"


def test_a_home_that_tells_no_sizes_is_read(production):
    home = RecordingStorage("home", {"a.txt": b"all of"}, ["size"])
    chain = make(home, read_only(production))
    assert errors(sync(chain)) == [("a.txt", "home", PartialCopyError)]
    assert results(sync(chain, repair=True)) == {"a.txt": Result.COPIED}
    assert results(sync(chain)) == {"a.txt": Result.PRESENT}


class Compressing(Guard):
    """Tells the size of a compressed form."""

    def size(self, name):
        return 3


def test_a_part_may_be_longer_than_what_is_stored(home):
    production = Compressing("production", {"a.txt": WHOLE})
    home._save("a.txt", ContentFile(b"all of"))
    decodes = {"UNLIKE_LISTED": lambda storage, opened: (True, False)}
    chain = make(home, {**read_only(production), "PROFILE": decodes})
    assert errors(sync(chain)) == [("a.txt", "home", PartialCopyError)]
    assert results(sync(chain, repair=True)) == {"a.txt": Result.COPIED}
    assert results(sync(chain)) == {"a.txt": Result.PRESENT}


def when_opened(production, times, function):
    """Call a function when the file is opened so often.

    Once to see how it is stored, once to be compared, and once for the copy.
    """

    def look(name):
        if production.count("_open") == times:
            function()

    production.before("_open", look)


@pytest.mark.parametrize(
    ("times", "data", "result"),
    [
        # By another run.
        (2, WHOLE, Result.DIFFERENT),
        (2, b"mine", Result.DIFFERENT),
        (3, WHOLE, Result.PRESENT),
        (3, b"mine", Result.PRESENT),
    ],
)
def test_what_is_saved_in_place_of_a_part_meanwhile_stays(
    production, times, data, result
):
    home = RecordingStorage("home", {"a.txt": b"all of"})
    when_opened(production, times, lambda: home.files.update({"a.txt": data}))
    assert results(sync(make(home, read_only(production)), repair=True)) == {
        "a.txt": result
    }
    assert home.files == {"a.txt": data}
    assert home.count("delete") == 0


def test_a_part_stays_while_there_is_nothing_to_replace_it_by(production):
    home = RecordingStorage("home", {"a.txt": b"all of"})
    when_opened(production, 3, lambda: production.fail("_open"))
    steps = sync(make(home, read_only(production)), repair=True)
    assert errors(steps) == [("a.txt", "production", ConnectionError)]
    assert home.files == {"a.txt": b"all of"}


def test_a_part_stays_until_all_of_the_file_has_arrived(home, production):
    """A connection that breaks off leaves what was there."""
    home._save("a.txt", ContentFile(b"all of"))

    class BreaksOff(ContentFile):
        def read(self, size=-1):
            if self.tell() >= 5:
                raise ConnectionError
            return super().read(5)

    def opened(name, mode="rb"):
        found = Guard._open(production, name, mode)
        # (The third is for the copy.)
        return BreaksOff(WHOLE) if production.count("_open") == 3 else found

    production._open = opened
    chain = make(home, read_only(production))
    assert errors(sync(chain, repair=True)) == [
        ("a.txt", "production", ConnectionError)
    ]
    assert content_of(home, "a.txt") == b"all of"
    production.reset()
    production._open = partial(Guard._open, production)
    assert results(sync(chain, repair=True)) == {"a.txt": Result.COPIED}
    assert content_of(home, "a.txt") == WHOLE


def test_what_was_saved_after_a_delete_is_no_part(home, production):
    """Its whiteout, which may have stayed, says that production's is another file."""
    chain = make(home, read_only(production), on_delete="whiteout")
    chain.delete("a.txt")
    home._save("a.txt", ContentFile(b"all of"))
    assert results(sync(chain, repair=True)) == {"a.txt": Result.DIFFERENT}
    assert content_of(home, "a.txt") == b"all of"


def test_a_part_behind_a_file_that_is_shown_is_left_alone(home, production):
    front = RecordingStorage("front", {"a.txt": b"shown"})
    home._save("a.txt", ContentFile(b"all of"))
    chain = FallbackStorage(
        [read_only(front, "front"), writable(home), read_only(production)]
    )
    assert results(sync(chain, repair=True)) == {"a.txt": Result.PRESENT}
    assert content_of(home, "a.txt") == b"all of"
