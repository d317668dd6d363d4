"""``sync``: copies that are not what was copied, backends that fail; threads."""

from __future__ import annotations

import errno
import io
import os
import threading

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage
from fakes import RecordingStorage
from overlay.parts import (
    Guard,
    InPlace,
    entry,
    read_only,
    staging_left,
    writable,
)
from synced import FILES, HOMES, content, errors, make, make_home, results

from fallback_storage.chain.ask_many import IN_A_ROW
from fallback_storage.chain.streams import Arriving
from fallback_storage.exceptions import (
    CorruptCopyError,
    NameBlockedError,
    OperationNotSupportedError,
    TornCopyError,
)
from fallback_storage.jobs.sync import Result, sync


@pytest.fixture(params=HOMES)
def home(request, tmp_path):
    return make_home(request.param, tmp_path)


@pytest.fixture
def production():
    """An object store that may only be read."""
    return Guard("production", FILES)


class Odd(Guard):
    """Production with a size that is not that of what it sends."""

    off = 0

    def size(self, name):
        return super().size(name) + self.off

    def _open(self, name, mode="rb"):
        return File(super()._open(name, mode).file, name)


@pytest.mark.parametrize("off", [-1, 1])
def test_a_copy_of_another_size_is_not_kept(home, off):
    production = Odd("production", FILES)
    production.off = off
    steps = list(sync(make(home, read_only(production)), jobs=1))
    assert errors(steps) == [(name, "production", TornCopyError) for name in FILES]
    assert content(home) == {}


class Flipping:
    """A home in which one bit of what is written is another one."""

    def _save(self, name, content):
        data = content.read()
        if not name.startswith(".fallback"):
            data = bytes([data[0] ^ 1]) + data[1:]
        return super()._save(name, ContentFile(data))


class FlippingFiles(Flipping, FileSystemStorage):
    pass


class FlippingFlat(Flipping, RecordingStorage):
    pass


@pytest.mark.parametrize("kind", [FlippingFiles, FlippingFlat])
def test_a_copy_that_arrives_with_other_content_is_removed(tmp_path, kind):
    home = kind(tmp_path / "home")
    lower = Guard("production", {"a.txt": b"all of it"})
    assert errors(sync(make(home, read_only(lower)))) == [
        ("a.txt", "home", CorruptCopyError)
    ]
    assert not home.exists("a.txt")
    # The next run starts with no memory of it.
    healed = InPlace(tmp_path / "home") if kind is FlippingFiles else RecordingStorage()
    assert results(sync(make(healed, read_only(lower)))) == {"a.txt": Result.COPIED}
    assert content(healed) == {"a.txt": b"all of it"}


def test_what_a_user_wrote_after_the_copy_is_not_removed():
    """While the copy is compared, it becomes the user's."""
    home = FlippingFlat("home")
    home.before("_open", lambda name: home.files.update({name: b"the user's"}))
    chain = make(home, read_only(Guard("production", {"a.txt": b"all of it"})))
    assert errors(sync(chain)) == [("a.txt", "home", CorruptCopyError)]
    assert home.files["a.txt"] == b"the user's"


def test_a_source_that_fails_for_one_file_does_not_stop_the_rest(home, production):
    def fail(name):
        if name == "a/y.txt":
            raise ConnectionResetError("text with an address")

    production.before("_open", fail)
    steps = list(sync(make(home, read_only(production))))
    assert errors(steps) == [("a/y.txt", "production", ConnectionResetError)]
    assert set(content(home)) == {"a/b/x.txt", "z.txt"}
    production.before("_open", lambda name: None)
    assert results(sync(make(home, read_only(production)))) == {
        **dict.fromkeys(FILES, Result.PRESENT),
        "a/y.txt": Result.COPIED,
    }


MANY = {f"{number:02}.txt": b"x" for number in range(60)}


@pytest.mark.parametrize("jobs", [1, 4])
def test_a_source_that_goes_away_ends_the_run(home, jobs):
    """After three files in a row, and one question more: not one time-out a file."""
    production = Guard("production", MANY)

    def fail(name):
        if name >= "10.txt":
            production.fail("exists")
            raise TimeoutError("text with an address")

    production.before("_open", fail)
    chain = make(home, {**read_only(production), "CONCURRENT": True})
    *steps, last = sync(chain, jobs=jobs)
    assert (last.result, last.final, last.backend) == (
        Result.FAILED,
        True,
        "production",
    )
    assert type(last.error) is TimeoutError
    # With more than one, what was under way may end later than it began.
    assert len(errors(steps)) < IN_A_ROW * jobs
    assert production.count("_open") <= 10 + IN_A_ROW + 2 * jobs
    assert set(content(home)) <= {f"{number:02}.txt" for number in range(10)}


def test_files_that_time_out_are_no_source_that_is_gone(home):
    """Another run would fail for them as well, and never come to the rest."""
    production = Guard("production", MANY)

    def fail(name):
        if name < "10.txt":
            raise TimeoutError

    production.before("_open", fail)
    steps = list(sync(make(home, read_only(production))))
    assert len(errors(steps)) == 10
    assert not any(step.final for step in steps)
    assert len(content(home)) == 50


def test_a_home_that_goes_away_ends_the_run():
    home, production = RecordingStorage("home"), Guard("production", MANY)
    home.fail("_save")

    def fail(name):
        if home.count("_save"):
            raise ConnectionError

    home.before("exists", fail)
    *_, last = steps = list(sync(make(home, read_only(production)), jobs=1))
    assert (last.final, last.backend, len(steps)) == (True, "home", 3)


def test_a_source_further_up_that_cannot_be_reached_ends_the_run(home):
    """What it has would have come before what is listed."""
    upper, production = RecordingStorage("upper"), Guard("production", MANY)
    upper.fail("exists")
    (step,) = sync(make(home, read_only(upper, "upper"), read_only(production)))
    assert (step.final, step.backend) == (True, "upper")
    assert upper.count("exists") == 3
    assert production.count("_open") == 0
    # Any other failure is one of that name.
    upper.fail("exists", ValueError())
    steps = list(sync(make(home, read_only(upper, "upper"), read_only(production))))
    assert len(errors(steps)) == 60
    assert not any(step.final for step in steps)


def test_a_source_that_cannot_be_listed_ends_the_run(home, production):
    """What comes after it may not be what this backend would have hidden."""
    production.fail("listdir")
    last = Guard("last", {"last.txt": b"last"})
    chain = make(home, read_only(production), read_only(last, "last"))
    (step,) = sync(chain, "a")
    assert (step.name, step.backend, step.final) == ("a", "production", True)
    assert type(step.error) is ConnectionError
    assert last.calls == []


def test_a_source_that_has_no_listing_ends_the_run(home):
    chain = make(home, read_only(Guard("production", FILES, ["listdir"])))
    (step,) = sync(chain)
    assert (step.final, type(step.error)) == (True, OperationNotSupportedError)


def test_a_home_that_cannot_be_asked_ends_the_run(production):
    home = RecordingStorage("home")
    home.fail("exists")
    (step,) = sync(make(home, read_only(production)))
    assert (step.backend, step.final) == ("home", True)
    assert production.count("_open") == 0


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_full_home_ends_the_run(production, number):
    """It would be full for the next file as well, after all of that was fetched."""
    home = RecordingStorage("home")
    home.fail("_save", OSError(number, os.strerror(number)))
    (step,) = sync(make(home, read_only(production)))
    assert (step.backend, step.final, step.error.errno) == ("home", True, number)
    assert production.count("_open") == 1


class Replaced(Exception):
    status_code = 412

    @property
    def response(self):
        return self


def test_what_fails_after_a_file_was_replaced_is_told_as_it_is(production):
    """It is no failure of the source, though it came while that was seen to."""
    home = RecordingStorage("home")
    home.fail("_save", OSError(errno.ENOSPC, "full"))
    asked = []

    def get(storage, client, name, etag):
        asked.append(name)
        if len(asked) == 1:
            raise Replaced
        return sent(name)

    profile = {"GET": get, "CLIENT": lambda storage: object()}
    source = entry(production, "production", READ_ONLY=True, PROFILE=profile)
    (step,) = sync(make(home, source), jobs=1)
    assert (step.backend, step.final) == ("home", True)
    assert step.error.errno == errno.ENOSPC
    assert len(asked) == 2


def sent(name, **told):
    """A file as it comes by one request."""
    return Arriving(
        lambda **wanted: {"Body": io.BytesIO(FILES[name]), **told}, name, ""
    )


@pytest.mark.parametrize("told", [True, False])
def test_a_file_may_come_without_its_length(home, production, told):
    """In chunks, as from a server that compresses as it sends."""

    def get(storage, client, name, etag):
        return sent(name, **({"ContentLength": len(FILES[name])} if told else {}))

    profile = {"GET": get, "CLIENT": lambda storage: object()}
    source = entry(production, "production", READ_ONLY=True, PROFILE=profile)
    steps = sync(make(home, source), jobs=1)
    assert results(steps) == dict.fromkeys(FILES, Result.COPIED)
    assert content(home) == FILES


def test_a_wrong_configuration_is_raised(home, production):
    """Trying to go on would hide it."""
    production.fail("listdir", ImproperlyConfigured("no bucket"))
    with pytest.raises(ImproperlyConfigured):
        list(sync(make(home, read_only(production))))


def test_a_directory_in_the_place_of_a_file_is_a_failure(tmp_path):
    """To the storage, that name is there."""
    home = make_home("staged", tmp_path)
    home._save("a/b", ContentFile(b"b"))
    production = FileSystemStorage(tmp_path / "production")
    production._save("a", ContentFile(b"a file"))
    assert errors(sync(make(home, read_only(production)))) == [
        ("a", "home", NameBlockedError)
    ]


def test_whiteouts_that_cannot_be_asked_end_the_run(production):
    """Of two that hold a name it cannot be told which one shows."""
    home, other = RecordingStorage("home"), RecordingStorage("other", FILES)
    lower = [read_only(production), writable(other, "other")]
    chain = make(home, *lower, on_delete="whiteout")
    home.files.update(FILES)

    def fail(name):
        if name.startswith(".fallback-whiteouts"):
            raise ConnectionError

    home.before("exists", fail)
    steps = list(sync(chain))
    assert errors(steps) == [("", "home", ConnectionError)]
    assert steps[-1].final


def test_whiteouts_that_are_configured_wrong_are_raised_as_they_are(production):
    home, mistake = RecordingStorage("home"), ImproperlyConfigured("no bucket")
    lower = [read_only(production), writable(RecordingStorage(files=FILES), "other")]
    chain = make(home, *lower, on_delete="whiteout")
    home.fail("exists", mistake)
    with pytest.raises(ImproperlyConfigured) as caught:
        list(sync(chain))
    assert caught.value is mistake


# Who failed


def test_one_error_that_two_backends_raise_is_told_of_each():
    """Some libraries keep one object for all that fails in a way."""
    error = ConnectionError("the only one")
    production = Guard("production", {"a": b"a", "b": b"b"})
    home = RecordingStorage("home")

    def fail(name):
        if name == "a":
            raise error

    production.before("_open", fail)
    home.fail("_save", error)
    steps = list(sync(make(home, read_only(production))))
    assert {step.name: step.backend for step in steps} == {
        "a": "production",
        "b": "home",
    }
    assert {id(step.error) for step in steps} == {id(error)}


def test_what_failed_first_is_told_if_no_excuse_can_be_found(production):
    """Whether it was deleted here meanwhile, nobody can say."""
    home = RecordingStorage("home")
    chain = make(home, read_only(production), on_delete="whiteout")

    def vanish(name):
        production.files.pop(name)
        home.fail("exists")

    production.before("_open", vanish)
    steps = list(sync(chain, "a/b"))
    assert errors(steps) == [("a/b/x.txt", "production", FileNotFoundError)]


class BreaksOff(File):
    """Cannot seek, and ends with an error."""

    error = None

    def seek(self, offset, whence=os.SEEK_SET):
        raise io.UnsupportedOperation

    def read(self, size=-1):
        data = self.file.read(5)
        if self.error and not data:
            raise self.error
        return data


class Breaking(Guard):
    error = None

    def _open(self, name, mode="rb"):
        opened = BreaksOff(super()._open(name, mode).file, name)
        opened.error = self.error
        return opened


def test_a_source_that_breaks_off_is_what_failed(home):
    """Though it is the home that reads it."""
    production = Breaking("production", FILES)
    production.error = ConnectionResetError()
    steps = list(sync(make(home, read_only(production))))
    assert errors(steps) == [
        (name, "production", ConnectionResetError) for name in FILES
    ]
    assert content(home) == {}


def test_a_source_that_cannot_seek_is_not_what_failed():
    """That it cannot is passed over when it is read."""
    home = RecordingStorage("home")
    home.fail("_save")
    chain = make(home, read_only(Breaking("production", FILES)))
    assert errors(sync(chain)) == [(name, "home", ConnectionError) for name in FILES]


# Threads


def concurrent(storage, name, **policy):
    return entry(storage, name, CONCURRENT=True, **policy)


def test_as_many_files_at_once_as_there_are_jobs(tmp_path):
    meeting = threading.Barrier(3, timeout=60)
    names = {f"{number}.txt": b"x" for number in range(30)}
    production = Guard("production", names)
    threads = set()

    def meet(name):
        threads.add(threading.get_ident())
        meeting.wait()

    production.before("_open", meet)
    chain = make(
        make_home("staged", tmp_path),
        concurrent(production, "production", READ_ONLY=True),
    )
    assert results(sync(chain, jobs=3)) == dict.fromkeys(names, Result.COPIED)
    # The same from the first file to the last: clients are kept by thread.
    assert len(threads) == 3
    assert threading.get_ident() not in threads


def test_a_storage_that_does_not_bear_threads_gets_none(home, production):
    threads = set()
    production.before("_open", lambda name: threads.add(threading.get_ident()))
    list(sync(make(home, read_only(production)), jobs=4))
    assert threads == {threading.get_ident()}


def test_few_files_are_under_way(tmp_path):
    """However many there are, and however slowly the steps are taken."""
    names = {f"{number:04}.txt": b"x" for number in range(100)}
    production = Guard("production", names)
    chain = make(
        make_home("staged", tmp_path),
        concurrent(production, "production", READ_ONLY=True),
    )
    for taken, _ in enumerate(sync(chain, jobs=2)):
        assert production.count("_open") <= taken + 1 + 2 * 2
    assert production.count("_open") == len(names)


def test_ended_early_it_leaves_only_whole_files(tmp_path):
    """A Ctrl-C, or a reader that has seen enough: what is half read is dropped."""
    began, go_on = threading.Event(), threading.Event()

    class Slow(File):
        def read(self, size=-1):
            began.set()
            assert go_on.wait(60)
            return self.file.read(1)

    class SlowStorage(Guard):
        def _open(self, name, mode="rb"):
            opened = super()._open(name, mode)
            return Slow(opened.file, name) if name == "slow" else opened

    files = {"fast": b"fast", "slow": b"slow", "x": b"x"}
    home = make_home("staged", tmp_path)
    lower = concurrent(SlowStorage("production", files), "production", READ_ONLY=True)
    steps = sync(make(home, lower), jobs=2)
    assert next(steps).name == "fast"
    assert began.wait(60)
    stopper = threading.Thread(target=steps.close)
    stopper.start()
    go_on.set()
    stopper.join(60)
    assert "slow" not in content(home)
    assert staging_left(home.location) == []


class Interrupted(FileSystemStorage):
    """As Django's own, whose clean-up can fail when Ctrl-C came in the middle."""

    def _save(self, name, content):
        try:
            raise KeyboardInterrupt
        finally:
            raise OSError(errno.EBADF, "closed already")


@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_that_another_error_hides_ends_it_too(tmp_path, production, jobs):
    home = Interrupted(tmp_path / "home")
    with pytest.raises(KeyboardInterrupt):
        list(sync(make(home, read_only(production)), jobs=jobs))
