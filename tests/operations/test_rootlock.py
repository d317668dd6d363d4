"""The lock on a home's directory: between processes, not within a thread."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.core.files import locks
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from fakes import RecordingStorage
from overlay.parts import Guard, content_of, staging_left, without
from overlay.sources import CONTENT, NAME, Source, files_of, make

from fallback_storage.operations.rootlock import exclusive
from fallback_storage.storage import FallbackStorage
from fallback_storage.utils.logs import warner

FILES = "django.core.files.storage.FileSystemStorage"


@pytest.fixture
def home(tmp_path):
    warner.forget()
    return FileSystemStorage(tmp_path / "home")


@pytest.fixture(params=["ENOLCK", "ENOSYS", "EPERM", "EOPNOTSUPP", "EBADF"])
def unlockable(request, monkeypatch):
    """Some network file systems. (Where files cannot be locked, Django saves none.)"""
    number = getattr(errno, request.param)
    original = fcntl.flock

    def lock(descriptor, operation):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        original(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", lock)


def is_locked(directory):
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def test_the_directory_is_locked_also_if_it_was_not_there(home):
    """Two processes find the same one: it is made."""
    with exclusive(home) as locked:
        assert locked
        assert is_locked(home.location)
    assert not is_locked(home.location)
    assert list(Path(home.location).iterdir()) == []


def test_a_thread_does_not_wait_for_itself(home, tmp_path):
    """Nor if it comes by another path; the lock lasts to the end of the outer one."""
    (tmp_path / "link").symlink_to(home.location)
    with exclusive(home):
        with exclusive(home) as again, exclusive(FileSystemStorage(tmp_path / "link")):
            assert again
        assert is_locked(home.location)


def test_threads_wait_for_each_other(home):
    order = []
    entered = threading.Event()

    def second():
        entered.set()
        with exclusive(home):
            order.append("second")

    with ThreadPoolExecutor(1) as pool:
        with exclusive(home):
            waiting = pool.submit(second)
            assert entered.wait(30)
            order.append("first")
        waiting.result(30)
    assert order == ["first", "second"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_that_was_forked_meanwhile_does_not_keep_it(home):
    """It has the directory open as well."""
    read, write = os.pipe()
    with exclusive(home):
        pid = os.fork()
        if not pid:
            os.close(write)
            os.read(read, 1)
            os._exit(0)
    try:
        assert not is_locked(home.location)
    finally:
        os.close(write)
        os.close(read)
        os.waitpid(pid, 0)


def test_what_cannot_be_locked_works_and_says_so_once(home, unlockable, caplog):
    """Saves, deletes, promotion: as without this package."""
    chain = make(home, Source(), on_delete="whiteout")
    assert content_of(chain, NAME) == CONTENT
    assert files_of(home) == [NAME]
    chain.delete(NAME)
    assert not chain.exists(NAME)
    assert chain.save("b.txt", ContentFile(b"b")) == "b.txt"
    chain.delete("b.txt")
    warnings = [r for r in caplog.records if r.levelname == "WARNING"]
    assert len(warnings) == 1
    assert f"{home.location} cannot be locked" in warnings[0].getMessage()


def test_a_directory_that_cannot_be_opened_is_deleted_from(home, monkeypatch, caplog):
    """As on Windows, where directories are not opened."""
    chain = make(home, Guard("production"))
    chain.save("b.txt", ContentFile(b"b"))
    original = os.open

    def refuse(path, flags, *args, **kwargs):
        if path == home.location and flags & os.O_DIRECTORY:
            raise PermissionError(errno.EACCES, "Permission denied")
        return original(path, flags, *args, **kwargs)

    monkeypatch.setattr(os, "open", refuse)
    chain.delete("b.txt")
    assert files_of(home) == []
    assert "cannot be locked" in caplog.text


def test_without_links_and_locks_a_taken_name_is_not_overwritten(
    home, unlockable, monkeypatch, caplog
):
    """What another process has just saved stays, and ours gets another name."""
    without(monkeypatch, "link", errno.EPERM)
    chain = make(home, Source())

    class Slow(ContentFile):
        def chunks(self, chunk_size=None):
            FileSystemStorage(home.location).save("b.txt", ContentFile(b"theirs"))
            yield b"ours"

    saved = chain.save("b.txt", Slow(b"ours"))
    assert saved != "b.txt"
    assert content_of(home, "b.txt") == b"theirs"
    assert content_of(home, saved) == b"ours"
    assert content_of(chain, NAME) == CONTENT
    assert files_of(home) == sorted(["b.txt", saved, NAME])
    assert staging_left(home.location) == []
    assert "empty for a moment" in caplog.text


def test_without_links_and_locks_a_failed_rename_leaves_no_name(
    home, unlockable, monkeypatch
):
    """The name that was taken for it is free again."""
    without(monkeypatch, "link", errno.EPERM)
    without(monkeypatch, "replace", errno.EIO)
    chain = make(home, Source(), promote=False)
    with pytest.raises(OSError, match="Input/output error"):
        chain.save("b.txt", ContentFile(b"b"))
    assert files_of(home) == []
    assert staging_left(home.location) == []


def test_the_threads_of_a_process_do_not_wait_in_the_system(home, monkeypatch):
    """It would block the thread; a green one takes the one that has the lock along."""
    asked = []

    def enter():
        with exclusive(home):
            pass

    with ThreadPoolExecutor(1) as pool:
        with exclusive(home):
            monkeypatch.setattr(locks, "lock", lambda *args: asked.append(args) or True)
            waiting = pool.submit(enter)
            with pytest.raises(TimeoutError):
                waiting.result(0.2)
            assert asked == []
        waiting.result(20)
    assert len(asked) == 1


def test_a_delete_elsewhere_holds_up_no_other(home):
    """Only what is done in the home is done under its lock."""
    home.save("a", ContentFile(b"1"))
    other, seen = RecordingStorage("other", {"a": b"1"}), []
    other.before("delete", lambda name: seen.append(is_locked(home.location)))
    chain = FallbackStorage(
        [
            {"NAME": "home", "BACKEND": FILES, "OPTIONS": {"location": home.location}},
            other,
        ],
        on_delete="all",
    )
    chain.delete("a")
    assert (seen, other.files, home.exists("a")) == ([False], {}, False)
