"""Staging: what is not ours stays, and where a save works without us it works with us."""

from __future__ import annotations

import errno
import io
import os
import signal
import tempfile
import warnings
from pathlib import Path

import pytest
from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage
from django.core.files.uploadedfile import TemporaryUploadedFile
from fakes import RecordingStorage
from overlay.parts import (
    FailingFiles,
    content_of,
    read_only,
    staging_left,
    without_unnamed_files,
    writable,
)

from fallback_storage.operations import drafts, staging
from fallback_storage.storage import FallbackStorage

NOBODY = 65534


class Flat(FileSystemStorage):
    """All files in one directory, whatever their names say."""

    def path(self, name):
        return super().path(Path(name).name)


class Same(FileSystemStorage):
    """A path method of its own, with the same paths."""

    def path(self, name):
        return str(Path(super().path(name)))


@pytest.fixture
def home(tmp_path):
    return FileSystemStorage(tmp_path / "home")


def save(storage, name, data=b"1"):
    return FallbackStorage([writable(storage)]).save(name, ContentFile(data))


def test_a_storage_with_paths_of_its_own_loses_no_file(tmp_path, monkeypatch):
    """Our folder would be one of its others: nothing is staged there, or swept."""
    flat = Flat(tmp_path / "flat")
    flat.save("photos/old.jpg", ContentFile(b"old"))
    monkeypatch.setattr(drafts, "ABANDONED", -60)
    save(flat, "photos/new.jpg")
    left = sorted(path.name for path in Path(flat.location).iterdir())
    assert left == ["new.jpg", "old.jpg"]
    assert not staging.can_stage(flat)
    assert staging.can_stage(Same(tmp_path / "same"))


class OnDisk(File):
    """An upload that was received into a file, by a server or another package."""

    def temporary_file_path(self):
        return self.name


@pytest.mark.parametrize("name", ["in-the-way/b.jpg", "x" * 300 + ".jpg"])
def test_a_failed_save_keeps_the_upload(home, tmp_path, name):
    """It can be saved under another name, as without this package."""
    chain = FallbackStorage([writable(home)])
    chain.save("in-the-way", ContentFile(b""))
    upload = tmp_path / "upload"
    upload.write_bytes(b"precious")
    with (
        upload.open("rb") as opened,
        pytest.raises(OSError, match=r"not a directory|too long"),
    ):
        chain.save(name, OnDisk(opened, str(upload)))
    assert upload.read_bytes() == b"precious"
    with TemporaryUploadedFile("b.jpg", "image/jpeg", 8, None) as sent:
        sent.write(b"precious")
        sent.flush()
        with pytest.raises(OSError, match=r"not a directory|too long"):
            chain.save(name, sent)
        saved = chain.save("c.jpg", sent)
    assert content_of(chain, saved) == b"precious"


def test_an_upload_is_moved(tmp_path):
    """It is the same file, and is given its permissions where it is to be."""
    upload = tmp_path / "upload"
    upload.write_bytes(b"precious")
    upload.chmod(0o600)
    before = upload.stat()
    there = []

    class Looking(FileSystemStorage):
        def _ensure_location_group_id(self, full_path):
            there.append((upload.exists(), Path(full_path)))
            super()._ensure_location_group_id(full_path)

    home = Looking(tmp_path / "home", file_permissions_mode=0o644)
    with upload.open("rb") as opened:
        FallbackStorage([writable(home)]).save("d/a.jpg", OnDisk(opened, str(upload)))
    saved = tmp_path / "home" / "d" / "a.jpg"
    assert there == [(False, saved)]
    after = saved.stat()
    assert (after.st_ino, after.st_mtime) == (before.st_ino, before.st_mtime)
    assert after.st_mode & 0o777 == 0o644
    assert after.st_nlink == 1
    assert staging_left(home.location) == []


def test_an_upload_whose_permissions_cannot_be_set_is_moved_back(tmp_path):
    """It belongs to somebody else, say."""
    upload = tmp_path / "upload"
    upload.write_bytes(b"precious")
    home = FailingFiles(tmp_path / "home")
    home.down = {"_save"}
    second = RecordingStorage("second")
    chain = FallbackStorage([writable(home), writable(second, "second")])
    with upload.open("rb") as opened:
        assert chain.save("a.jpg", OnDisk(opened, str(upload))) == "a.jpg"
    assert second.files == {"a.jpg": b"precious"}
    assert upload.read_bytes() == b"precious"
    assert list(Path(home.location).iterdir()) == []


@pytest.mark.parametrize("overwrite", [False, True])
def test_below_a_bind_mount(home, tmp_path, monkeypatch, overwrite):
    """One file system, two mounts (a container's volume): nothing is moved across."""
    if overwrite:
        if "allow_overwrite" not in FileSystemStorage.__init__.__code__.co_varnames:
            pytest.skip("this Django never overwrites")
        home = FileSystemStorage(home.location, allow_overwrite=True)

    def moving(function):
        def move(source, target, **kwargs):
            if Path(source).parent == tmp_path:
                raise OSError(errno.EXDEV, "Invalid cross-device link")
            return function(source, target, **kwargs)

        return move

    for name in ("link", "rename", "replace"):
        monkeypatch.setattr(os, name, moving(getattr(os, name)))
    upload = tmp_path / "upload"
    upload.write_bytes(b"whole")
    with upload.open("rb") as opened:
        saved = FallbackStorage([writable(home)]).save(
            "photos/a.jpg", OnDisk(opened, str(upload))
        )
    assert content_of(home, saved) == b"whole"
    assert not upload.exists()
    assert staging_left(home.location) == []


def as_nobody(function):
    """Run a function as a user who owns nothing; return whether it came to its end."""
    with warnings.catch_warnings():
        # Python 3.12 warns of a fork where other tests have left threads.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if not pid:
        status = 1
        try:
            signal.alarm(30)
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            function()
            status = 0
        except BaseException as error:
            os.write(2, f"{error!r}\n".encode())
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.fixture
def open_home():
    """A home that everybody reaches; its root is this user's."""
    shared = Path("/tmp")  # the folders of pytest are their user's alone
    if not hasattr(os, "getuid") or os.getuid() != 0 or not shared.is_dir():
        pytest.skip("only root can be another user")
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        Path(folder).chmod(0o711)
        root = Path(folder, "home")
        root.mkdir()
        root.chmod(0o755)
        yield FileSystemStorage(root)


@pytest.mark.slow
@pytest.mark.parametrize("unnamed", [True, False])
def test_where_only_a_directory_may_be_written_to(open_home, monkeypatch, unnamed):
    """It is staged beside the file; a save works where it does without this package."""
    if not unnamed:
        without_unnamed_files(monkeypatch)
    uploads = Path(open_home.location, "uploads")
    uploads.mkdir()
    uploads.chmod(0o777)
    assert as_nobody(lambda: save(open_home, "uploads/a.jpg"))
    assert (uploads / "a.jpg").read_bytes() == b"1"
    chain = FallbackStorage([writable(open_home)])
    assert chain.listdir("uploads") == ([], ["a.jpg"])
    assert staging_left(open_home.location) == []


@pytest.mark.slow
@pytest.mark.parametrize("mode", [0o777, 0o755])
def test_what_root_has_run_keeps_nobody_out(open_home, monkeypatch, mode):
    """The folder for staging belongs to whom the files' folder belongs."""
    without_unnamed_files(monkeypatch)
    Path(open_home.location).chmod(mode)
    if mode == 0o755:
        os.chown(open_home.location, NOBODY, NOBODY)
    umask = os.umask(0o022)
    try:
        with staging.staged(open_home, ContentFile(b"1"), "by-root.jpg"):
            # It is there for as long as root's save takes.
            assert len(staging_left(open_home.location)) == 2
            assert as_nobody(lambda: save(open_home, "meanwhile.jpg"))
        assert as_nobody(lambda: save(open_home, "by-nobody.jpg"))
    finally:
        os.umask(umask)


def test_another_writers_file_is_not_the_part_of_a_save_that_failed(home):
    """Nothing staged is ever under the name: whatever is there is somebody else's."""
    chain = FallbackStorage([writable(home)])

    class Breaking(File):
        def chunks(self, chunk_size=None):
            yield b"hello "
            FileSystemStorage(home.location).save("log.txt", ContentFile(b"hello "))
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        chain.save("log.txt", Breaking(io.BytesIO(b"hello world"), "log.txt"))
    assert content_of(home, "log.txt") == b"hello "


def test_a_file_that_somebody_else_has_just_created(tmp_path):
    """Mode "x" means one owner: the next backend is not tried."""

    class Racing(FileSystemStorage):
        def _open(self, name, mode="rb"):
            Path(self.path(name)).write_bytes(b"another process")
            return super()._open(name, mode)

    first = Racing(tmp_path)
    second = RecordingStorage("second")
    chain = FallbackStorage([first, second])
    with pytest.raises(FileExistsError):
        chain.open("lock", "xb")
    assert second.files == {}


class Positional(File):
    """Content whose ``chunks`` takes nothing, or no None."""

    def chunks(self, chunk_size=4):
        data = b"abcdefgh"
        yield from (data[i : i + chunk_size] for i in range(0, 8, chunk_size))


class Bare(File):
    def chunks(self):
        yield b"abcdefgh"


@pytest.mark.parametrize("content", [Positional, Bare])
def test_content_with_chunks_of_its_own(home, content):
    chain = FallbackStorage([writable(home)])
    saved = chain.save("a", content(io.BytesIO(b"abcdefgh"), "a"))
    assert content_of(chain, saved) == b"abcdefgh"


@pytest.mark.parametrize(
    "name", [".fallback-whiteouts", ".fallback-staging", "d/.fallback-staging"]
)
def test_our_own_folders_are_no_name_for_a_file(home, name):
    """Else a delete could not be recorded any more."""
    production = RecordingStorage("production", {"a.jpg": b"a"})
    chain = FallbackStorage(
        [writable(home), read_only(production)], on_delete="whiteout"
    )
    saved = chain.save(name, ContentFile(b"x"))
    assert saved.startswith(f"{name}_")
    chain.delete("a.jpg")
    assert not chain.exists("a.jpg")


def test_a_worker_that_is_stopped_leaves_no_part(tmp_path):
    """A time-out of gunicorn is a SystemExit, Ctrl-C a KeyboardInterrupt."""

    class InPlace(FileSystemStorage):
        def _save(self, name, content):
            return super()._save(name, content)

    class Stopping(File):
        def chunks(self, chunk_size=None):
            yield b"half"
            if not stopped:
                stopped.append(True)
                raise SystemExit(1)
            yield b"of it"

    stopped = []
    home = InPlace(tmp_path)
    chain = FallbackStorage([writable(home)])
    with pytest.raises(SystemExit):
        chain.save("a.bin", Stopping(io.BytesIO(b"halfof it"), "a.bin"))
    assert not home.exists("a.bin")


def test_an_upload_that_can_be_linked_and_not_removed_leaves_no_name(
    tmp_path, monkeypatch
):
    """As another user's file in a directory with a sticky bit."""
    upload = tmp_path / "upload"
    upload.write_bytes(b"whole")
    unlink = os.unlink

    def refuse(path, **kwargs):
        if str(path) == str(upload):
            raise PermissionError(errno.EPERM, "not yours")
        unlink(path, **kwargs)

    monkeypatch.setattr(os, "unlink", refuse)
    home = FileSystemStorage(tmp_path / "home", file_permissions_mode="wrong")
    with upload.open("rb") as opened, pytest.raises(TypeError):
        FallbackStorage([writable(home)]).save("a.jpg", OnDisk(opened, str(upload)))
    assert list(Path(home.location).iterdir()) == []
    assert upload.read_bytes() == b"whole"
