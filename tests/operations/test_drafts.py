"""Drafts: no name where the system can, else a folder that is there while it is needed."""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from overlay.parts import (
    content_of,
    staging_left,
    without,
    without_unnamed_files,
    writable,
)

from fallback_storage.chain.names import STAGING_FOLDER
from fallback_storage.operations import drafts, staging
from fallback_storage.operations.drafts import (
    draft,
    in_folder,
    is_unnamed,
    sweep,
    write_draft,
)
from fallback_storage.storage import FallbackStorage


def opens(monkeypatch, answer):
    """Let ``answer(path)`` decide what comes of opening a file without a name."""
    flag = getattr(os, "O_TMPFILE", 0)
    original = os.open

    def opening(path, flags, mode=0o777, **kwargs):
        if flag and flags & flag == flag:
            answer(path)
        return original(path, flags, mode, **kwargs)

    monkeypatch.setattr(os, "open", opening)


def save(root, name="d/a.txt", **options):
    home = FileSystemStorage(root, **options)
    return FallbackStorage([writable(home)], False).save(name, ContentFile(b"content"))


# The errors of file systems and kernels that cannot, as open(2) lists them.
CANNOT = [errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL, errno.ENOSYS]


@pytest.mark.parametrize("number", CANNOT, ids=errno.errorcode.get)
def test_a_system_that_cannot_gets_the_folder(tmp_path, monkeypatch, number):
    """It is asked every time, and the folder is gone afterwards."""
    asked = []

    def refuse(path):
        asked.append(path)
        raise OSError(number, os.strerror(number))

    opens(monkeypatch, refuse)
    for name in ("d/a.txt", "d/b.txt"):
        assert save(tmp_path, name) == name
        assert (tmp_path / name).read_bytes() == b"content"
    assert not hasattr(os, "O_TMPFILE") or len(asked) >= 2
    assert staging_left(tmp_path) == []


def test_a_system_without_proc_gets_the_folder(tmp_path, monkeypatch):
    """Nothing without a name can be given one there."""
    monkeypatch.setattr(drafts, "DESCRIPTORS", f"{tmp_path}/no-proc/")
    with draft(str(tmp_path)) as path:
        assert Path(path).parent == tmp_path / STAGING_FOLDER
    assert save(tmp_path) == "d/a.txt"
    assert staging_left(tmp_path) == []


def test_a_directory_that_is_not_there_is_said_so(tmp_path):
    for named in (False, True):
        with (
            pytest.raises(FileNotFoundError),
            draft(str(tmp_path / "none"), named=named),
        ):
            pass


def test_the_folder_is_made_again_when_another_process_removes_it(tmp_path):
    """It was empty: there is a moment between making it and the first file in it."""
    folder = tmp_path / STAGING_FOLDER
    removed = []

    def make(path):
        if len(removed) < 3:
            folder.rmdir()
            removed.append(path)
        Path(path).touch(exist_ok=False)

    with in_folder(str(tmp_path), make) as path:
        assert Path(path).exists()
    assert not folder.exists()
    assert len(removed) == 3


def test_a_folder_that_is_removed_for_ever_ends_in_an_error(tmp_path):
    """No endless loop, and nothing is left."""

    def make(path):
        Path(path).parent.rmdir()
        Path(path).touch(exist_ok=False)

    with pytest.raises(FileNotFoundError), in_folder(str(tmp_path), make):
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_folder_stays_while_another_draft_is_in_it(tmp_path):
    with draft(str(tmp_path), named=True) as first:
        with draft(str(tmp_path), named=True) as second:
            assert first != second
        assert [Path(first)] == list((tmp_path / STAGING_FOLDER).iterdir())
    assert list(tmp_path.iterdir()) == []


# Sweeping


def test_only_ours_is_swept(tmp_path, monkeypatch):
    """Also the files that earlier versions locked; the folder goes when it is empty."""
    folder = tmp_path / STAGING_FOLDER
    folder.mkdir()
    for name in ("0" * 32, "lock-07", "lock-63", "notes.txt", "lock-007", "A" * 32):
        (folder / name).touch()
    sweep(str(tmp_path))
    assert len(list(folder.iterdir())) == 6  # they are not a day old
    monkeypatch.setattr(drafts, "ABANDONED", -60)
    sweep(str(tmp_path))
    left = ["A" * 32, "lock-007", "notes.txt"]
    assert sorted(path.name for path in folder.iterdir()) == left
    for name in left:
        (folder / name).unlink()
    sweep(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["", "d"])
def test_a_save_sweeps_the_folders_that_it_passes(tmp_path, monkeypatch, place):
    """That of earlier versions at the root, and that beside the file."""
    folder = tmp_path / place / STAGING_FOLDER
    folder.mkdir(parents=True)
    (folder / ("0" * 32)).touch()
    save(tmp_path)
    assert len(list(folder.iterdir())) == 1
    monkeypatch.setattr(drafts, "ABANDONED", -60)
    save(tmp_path)
    assert staging_left(tmp_path) == []


# Permissions: what open() gives a new file in that directory


def acl(*entries):
    """An access control list, as Linux keeps it with a directory."""
    return struct.pack("<I", 2) + b"".join(
        struct.pack("<HHI", *each) for each in entries
    )


NO_ID = 0xFFFFFFFF
# user::rw- user:65534:rwx group::r-x mask::rw- other::---
DEFAULT_ACL = acl(
    (1, 6, NO_ID), (2, 7, 65534), (4, 5, NO_ID), (0x10, 6, NO_ID), (0x20, 0, NO_ID)
)


@pytest.fixture(params=["plain", "group", "setgid", "acl"])
def directory(request, tmp_path):
    """A directory with something to inherit."""
    made = tmp_path / "home"
    made.mkdir()
    if request.param in {"group", "setgid"}:
        groups = os.getgroups() if os.getuid() else [65534]
        os.chown(made, -1, groups[-1] if groups else os.getgid())
    if request.param == "setgid":
        made.chmod(0o2775)
    if request.param == "acl":
        try:
            os.setxattr(made, "system.posix_acl_default", DEFAULT_ACL)
        except OSError:
            pytest.skip("this file system has no access control lists")
    return made


def traits(path):
    found = path.stat()
    acls = {
        name: os.getxattr(path, name)
        for name in (os.listxattr(path) if hasattr(os, "listxattr") else ())
    }
    return found.st_mode, found.st_uid, found.st_gid, found.st_nlink, acls


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o000])
@pytest.mark.parametrize("mode", [None, 0o640])
@pytest.mark.parametrize("unnamed", [True, False])
def test_a_file_gets_what_django_gives_it(
    directory, monkeypatch, settings, unnamed, mode, umask
):
    """Mode, owner, group, access control list."""
    settings.FILE_UPLOAD_PERMISSIONS = None
    if not unnamed:
        without_unnamed_files(monkeypatch)
    options = {"file_permissions_mode": mode}
    before = os.umask(umask)
    try:
        FileSystemStorage(directory, **options).save("django", ContentFile(b"content"))
        save(directory, "ours", **options)
        FileSystemStorage(directory, **options).save(
            "d/django", ContentFile(b"content")
        )
        save(directory, "d/ours", **options)
    finally:
        os.umask(before)
    assert traits(directory / "ours") == traits(directory / "django")
    assert traits(directory / "d/ours") == traits(directory / "d/django")


def test_a_file_that_all_may_write_is_not_trusted(tmp_path, monkeypatch):
    """Linux before 6.0 forgets the umask on some file systems, for unnamed files only."""
    before = os.umask(0)
    try:
        with draft(str(tmp_path)) as path:
            assert not is_unnamed(path)
            assert Path(path).stat().st_mode & 0o777 == 0o666
    finally:
        os.umask(before)


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP], ids=str)
def test_an_unnamed_file_where_nothing_can_be_linked(tmp_path, monkeypatch, number):
    """Its content is copied beside the name, and renamed."""
    without(monkeypatch, "link", number)
    for name in ("d/a.txt", "d/b.txt"):
        assert save(tmp_path, name, file_permissions_mode=0o640) == name
        assert content_of(FileSystemStorage(tmp_path), name) == b"content"
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o640
    assert staging_left(tmp_path) == []


def test_text_is_written_as_django_writes_it(tmp_path):
    """Also that without any chunk."""
    text = ContentFile("gr\u00fc\u00df\nmore")
    home = FileSystemStorage(tmp_path)
    home.save("django", text)
    chain = FallbackStorage([writable(home)], False)
    chain.save("ours", text)
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "django").read_bytes()
    chain.save("empty", ContentFile(b""))
    assert (tmp_path / "empty").read_bytes() == b""


def test_a_draft_gets_every_byte_however_few_are_taken_at_once(tmp_path, monkeypatch):
    """As of a full disk, or of a write that a signal breaks off."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, bytes(data[:3])))
    chunks = [b"", b"content", b"", memoryview(b"and more")]
    with draft(str(tmp_path)) as path:
        write_draft(path, iter(chunks))
        assert Path(path).read_bytes() == b"contentand more"


@pytest.mark.parametrize("named", [False, True])
def test_a_missing_directory_is_made_for_a_draft(tmp_path, named):
    place = tmp_path / "a" / "b"
    with draft(str(place), named=named, make=lambda: place.mkdir(parents=True)) as path:
        assert Path(path).read_bytes() == b""
    assert list(place.iterdir()) == []


def test_a_file_where_a_directory_is_to_be_is_told_of_as_django_does(tmp_path):
    (tmp_path / "a").write_bytes(b"")
    storage = FileSystemStorage(tmp_path)
    with pytest.raises(FileExistsError, match="is not a directory") as djangos:
        storage._save("a/b.txt", ContentFile(b""))
    with pytest.raises(FileExistsError) as ours:
        staging.save_whole(storage, str, "a/b.txt", ContentFile(b""))
    assert str(ours.value) == str(djangos.value)
