"""A save that is killed, at every call into the system; and what many saves leave."""

from __future__ import annotations

import errno
import itertools
from functools import partial

import pytest
from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage
from django.core.files.uploadedfile import SimpleUploadedFile, TemporaryUploadedFile
from killed_calls import run_killed
from overlay.parts import (
    content_of,
    need_unnamed_files,
    read_only,
    staging_left,
    without,
    without_unnamed_files,
    writable,
)
from overlay.worker import Worker

from fallback_storage.operations import drafts, staging
from fallback_storage.storage import FallbackStorage

pytestmark = pytest.mark.slow

HALVES = b"the first half, " * 1000, b"and the second half" * 1000
WHOLE = b"".join(HALVES)
NAME = "d/a.txt"


class InHalves(File):
    def __init__(self):
        super().__init__(None, "a.txt")

    def seek(self, offset):
        pass

    def chunks(self, chunk_size=None):
        yield from HALVES


class OnDisk(ContentFile):
    """An upload that was received into a file."""

    def __init__(self, path):
        super().__init__(WHOLE, "a.txt")
        self.path = path

    def temporary_file_path(self):
        return str(self.path)


@pytest.fixture(params=["unnamed", "folder", "no-links"])
def system(request, tmp_path, monkeypatch):
    """What the file system can do."""
    if request.param == "unnamed":
        need_unnamed_files(tmp_path)
    else:
        without_unnamed_files(monkeypatch)
    if request.param == "no-links":
        without(monkeypatch, "link", errno.EPERM)
    return request.param


def saving(chain, home, upload):
    chain.save(NAME, InHalves())


def receiving(chain, home, upload):
    chain.save(NAME, OnDisk(upload))


def replacing(chain, home, upload):
    with staging.staged(home, InHalves(), NAME) as path:
        staging.publish(home, path, NAME, replace=True)


def promoting(chain, home, upload):
    chain.open(NAME).close()


def files_in(home):
    return {
        path.relative_to(home).as_posix(): path.read_bytes()
        for path in home.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("act", [saving, receiving, replacing, promoting])
def test_a_kill_at_any_call_leaves_no_part(tmp_path, monkeypatch, system, act):
    """The whole file or none; what is left beside it is not shown, and swept later."""
    kills = 0
    ends = set()
    for number in itertools.count():
        place = tmp_path / str(number)
        home, production, upload = (
            place / each for each in ("home", "production", "upload")
        )
        home.mkdir(parents=True)
        upload.write_bytes(WHOLE)
        if act is replacing:
            (home / "d").mkdir()
            (home / NAME).write_bytes(b"before")
        (production / "d").mkdir(parents=True)
        if act is promoting:
            (production / NAME).write_bytes(WHOLE)
        storage = FileSystemStorage(home)
        chain = FallbackStorage(
            [writable(storage), read_only(FileSystemStorage(production))],
            False,
            promote=True,
        )
        done = run_killed(partial(act, chain, storage, upload), number)
        found = files_in(home)
        ends.add(found.get(NAME))
        assert found.get(NAME) in {WHOLE, b"before" if act is replacing else None}
        left = staging_left(home)
        assert set(found) <= {NAME, *left}
        if system == "unnamed" and act is not replacing:
            assert left == []
        shown = set(chain.listdir("d")[1]) if (home / "d").exists() else set()
        assert shown <= {"a.txt"}
        if act is receiving:
            # The upload is where it was received, or it has been saved.
            kept = upload.read_bytes() if upload.exists() else found[NAME]
            assert kept == WHOLE
        with monkeypatch.context() as patch:
            patch.setattr(drafts, "ABANDONED", -60)
            saved = chain.save(NAME, ContentFile(b"again"))
        assert content_of(chain, saved) == b"again"
        assert staging_left(home) == []
        if done:
            break
        kills += 1
    assert kills >= 8
    assert WHOLE in ends
    assert len(ends) == 2
    assert found[NAME] == WHOLE


def test_a_thousand_saves_leave_nothing_but_their_files(tmp_path, settings, system):
    """Of every kind; nor do deletes and copies."""
    home, production = tmp_path / "home", tmp_path / "production"
    (production / "p").mkdir(parents=True)
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    settings.FILE_UPLOAD_TEMP_DIR = str(uploads)
    chain = FallbackStorage(
        [
            writable(FileSystemStorage(home)),
            read_only(FileSystemStorage(production)),
        ],
        promote=True,
    )
    expected = {}

    def upload(name, data):
        with TemporaryUploadedFile(name, "text/plain", len(data), None) as sent:
            sent.write(data)
            sent.flush()
            return chain.save(name, sent)

    def overwrite(name, data):
        chain.save(name, ContentFile(b"before"))
        with chain.open(name, "wb") as file:
            file.write(data)
        return name

    def promote(name, data):
        (production / name).parent.mkdir(exist_ok=True)
        (production / name).write_bytes(data)
        assert content_of(chain, name) == data
        return name

    def delete(name, data):
        chain.delete(chain.save(name, ContentFile(data)))

    kinds = [
        lambda name, data: chain.save(name, ContentFile(data)),
        lambda name, data: chain.save(name, ContentFile(data.decode())),
        lambda name, data: chain.save(name, SimpleUploadedFile("x", data)),
        lambda name, data: chain.save("p/the-same.txt", ContentFile(data)),
        upload,
        overwrite,
        promote,
        delete,
    ]
    for number in range(1000):
        kind = kinds[number % len(kinds)]
        data = f"content {number}".encode()
        saved = kind(f"p/{number % 7}/{number}.txt".replace("p/0/", "p/"), data)
        if saved is not None:
            expected[saved] = data
    found = {
        path.relative_to(home).as_posix(): path.read_bytes()
        for path in home.rglob("*")
        if path.is_file()
    }
    assert found == expected
    directories = {path.name for path in home.rglob("*") if path.is_dir()}
    assert directories <= {"p", *map(str, range(1, 7))}
    assert list(uploads.iterdir()) == []


@pytest.mark.parametrize("unnamed", [True, False])
def test_two_processes_that_save_one_name_both_keep_their_content(tmp_path, unnamed):
    """Both find it free; one gets another name."""
    home, production = tmp_path / "home", tmp_path / "production"
    production.mkdir()
    with (
        Worker(home, production, unnamed=unnamed) as one,
        Worker(home, production, unnamed=unnamed) as two,
    ):
        assert one.hear() == two.hear() == "ready"
        for number in range(60):
            name = f"d{number % 3}/{number}.txt"
            texts = f"one {number}", f"two {number}"
            for worker, text in zip((one, two), texts, strict=True):
                worker.tell("save", name, text)
            saved = one.hear(), two.hear()
            assert len(set(saved)) == 2
            assert name in saved
            found = tuple((home / each).read_text() for each in saved)
            assert found == texts
    assert staging_left(home) == []


def test_a_name_that_another_process_takes_meanwhile_is_not_overwritten(
    tmp_path, system
):
    """Not by an upload either, which Django alone would rename over it."""
    home = FileSystemStorage(tmp_path / "home")
    chain = FallbackStorage([writable(home)])
    upload = tmp_path / "upload"
    upload.write_bytes(WHOLE)
    for number, kind in enumerate((InHalves, partial(OnDisk, upload))):
        name = f"d/{number}.txt"
        with staging.staged(home, kind(), name) as path:
            (tmp_path / "home" / "d").mkdir(parents=True, exist_ok=True)
            (tmp_path / "home" / name).write_bytes(b"theirs")
            with pytest.raises(FileExistsError):
                staging.publish(home, path, name, replace=False)
        assert content_of(chain, name) == b"theirs"
    assert upload.read_bytes() == WHOLE
    assert staging_left(home.location) == []
