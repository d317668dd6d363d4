"""Files that are changed become their own copy; production's stays as it is."""

from __future__ import annotations

import errno
import io

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, InMemoryStorage
from fakes import RecordingStorage
from gallery_app.models import Attachment
from overlay.parts import (
    Guard,
    GuardFiles,
    InPlace,
    content_of,
    digest,
    read_only,
    staging_left,
    writable,
)

from fallback_storage.exceptions import ReadOnlyBackendError, TornCopyError
from fallback_storage.storage import FallbackStorage

NAME = "d/a.txt"
KEEPING = {
    "a": "production, edited",
    "ab": "production, edited",
    "a+b": "production, edited",
    "r+": ", editedon",
    "rb+": ", editedon",
    "r+b": ", editedon",
}
CACHES = {"memo": None, "no-memo": False}


@pytest.fixture(params=CACHES)
def cache(request):
    return CACHES[request.param]


@pytest.fixture(params=[FileSystemStorage, InPlace])
def home(request, tmp_path):
    return request.param(tmp_path / "home", base_url="/home/")


@pytest.fixture
def production(tmp_path):
    """A directory with one file, which nothing may change."""
    root = tmp_path / "production"
    (root / "d").mkdir(parents=True)
    (root / NAME).write_bytes(b"production")
    before = digest(root)
    yield GuardFiles(root)
    assert digest(root) == before


def make(home, guard, cache=None, **options):
    return FallbackStorage([writable(home), read_only(guard)], cache, **options)


@pytest.mark.parametrize("mode", KEEPING)
@pytest.mark.parametrize("on_delete", ["first", "whiteout"])
def test_a_mode_that_keeps_content_keeps_productions(
    home, production, cache, mode, on_delete
):
    """What is written goes into a copy, which all see from then on."""
    chain = make(home, production, cache, on_delete=on_delete)
    assert chain.url(NAME) == production.url(NAME)
    with chain.open(NAME, mode) as file:
        file.write(b", edited" if "b" in mode else ", edited")
    expected = KEEPING[mode].encode()
    assert content_of(chain, NAME) == content_of(home, NAME) == expected
    assert chain.size(NAME) == len(expected)
    assert chain.url(NAME) == home.url(NAME)
    assert chain.path(NAME) == home.path(NAME)
    assert staging_left(home.location) == []


def test_an_object_store_gets_the_copy_as_well():
    """It has no directories and writes at close."""
    home, guard = RecordingStorage("home"), Guard("production", {NAME: b"production"})
    chain = make(home, guard)
    with chain.open(NAME, "ab") as file:
        file.write(b", edited")
    assert home.files == {NAME: b"production, edited"}


@pytest.mark.parametrize("mode", ["w", "wb", "w+b"])
def test_a_file_of_production_is_written_anew_in_the_home(
    home, production, cache, mode
):
    """Its directory is made: to the caller it is there."""
    chain = make(home, production, cache)
    assert chain.exists(NAME)
    with chain.open(NAME, mode) as file:
        file.write(b"new" if "b" in mode else "new")
    assert content_of(chain, NAME) == b"new"


def test_a_directory_that_nobody_has_is_made(home, production):
    """As by a save."""
    with make(home, production).open("none/a.txt", "wb") as file:
        file.write(b"new")
    assert content_of(home, "none/a.txt") == b"new"


def test_a_file_that_is_hidden_is_not_copied_up(home, production):
    """It was deleted: there is nothing to keep."""
    chain = make(home, production, on_delete="whiteout")
    chain.delete(NAME)
    with pytest.raises(FileNotFoundError):
        chain.open(NAME, "rb+")
    chain.save("d/other", ContentFile(b"makes the directory"))
    with chain.open(NAME, "ab") as file:
        file.write(b"anew")
    assert content_of(chain, NAME) == b"anew"


@pytest.mark.parametrize("odd", [False, True])
def test_a_copy_that_fails_is_no_empty_file(home, odd):
    """The error is raised; nothing is opened. Also where only the MD5 is another one."""

    class Broken(Guard):
        def _open(self, name, mode="rb"):
            opened = super()._open(name, mode)
            opened.__dict__["size"] = 1000
            return opened

    profile = {"UNLIKE_LISTED": lambda storage, opened: (False, odd)}
    broken = read_only(Broken("production", {NAME: b"production"}))
    chain = FallbackStorage([writable(home), {**broken, "PROFILE": profile}])
    with pytest.raises(TornCopyError) as caught:
        chain.open(NAME, "ab")
    assert (caught.value.errno, caught.value.filename) == (errno.EIO, NAME)
    assert not home.exists(NAME)
    assert staging_left(home.location) == []


@pytest.mark.parametrize("mode", [*KEEPING, "w", "wb", "x", "xb"])
def test_a_chain_that_is_all_read_only_says_so(production, mode):
    """A PermissionError that names the backends and the setting."""
    entries = [read_only(production), read_only(Guard("other"), "other")]
    chain = FallbackStorage(entries, promote=True, on_delete="whiteout")
    with pytest.raises(
        ReadOnlyBackendError, match="READ_ONLY is set for 'production', 'other'"
    ):
        chain.open(NAME, mode)
    with pytest.raises(PermissionError):
        chain.delete(NAME)
    with pytest.raises(PermissionError):
        chain.save("new.txt", ContentFile(b"new"))


# What Django and image libraries do with open files


@pytest.mark.parametrize("mode", ["rb+", "ab", "wb"])
@pytest.mark.parametrize("promote", [False, True])
def test_a_file_that_was_read_is_opened_again_for_writing(
    home, production, mode, promote
):
    """Django opens a local file again by its path, which would be production's."""
    chain = make(home, production, promote=promote)
    file = chain.open(NAME)
    assert (file.read(), file.size) == (b"production", 10)
    file.close()
    file.open(mode)
    if not promote:  # else it is Django's own, which remembers the size
        assert file.size == (0 if mode == "wb" else 10)
    file.write(b"EDIT")
    file.close()
    assert production.exists(NAME)
    assert content_of(production, NAME) == b"production"
    found = {"rb+": b"EDITuction", "ab": b"productionEDIT", "wb": b"EDIT"}[mode]
    assert content_of(chain, NAME) == content_of(home, NAME) == found


def test_a_file_that_was_read_is_opened_again_for_reading(home, production):
    """From its start, with all that the backend's file object has."""
    file = make(home, production).open(NAME)
    assert (file.read(4), file.size, file.name) == (b"prod", 10, production.path(NAME))
    file.open()
    assert b"".join(file.chunks(3)) == b"production"
    file.close()
    assert file.closed
    with file.open("rb"):
        assert file.fileno()
        assert list(file) == [b"production"]
    with pytest.raises(AttributeError):
        _ = file.no_such_attribute


@pytest.mark.parametrize("read_first", [False, True])
@pytest.mark.parametrize("promote", [False, True])
def test_a_field_file_is_edited_in_place(
    home, production, read_first, promote, monkeypatch
):
    """``instance.file.open("rb+")``, also after it was read and closed."""
    chain = make(home, production, promote=promote)
    attachment = Attachment(file=NAME)
    field_file = attachment.file
    monkeypatch.setattr(field_file, "storage", chain)
    if read_first:
        with field_file.open("rb"):
            assert field_file.read() == b"production"
    with field_file.open("rb+"):
        field_file.write(b"EDIT")
    assert content_of(chain, NAME) == b"EDITuction"
    assert content_of(production, NAME) == b"production"


@pytest.mark.parametrize("promote", [False, True])
@pytest.mark.parametrize("how", ["open", "delete-and-save"])
def test_pillow_saves_a_picture_back_to_its_name(tmp_path, promote, how):
    """Read the header, close, read all of it, write it back: what libraries do."""
    image = pytest.importorskip("PIL.Image")
    (tmp_path / "production").mkdir()
    image.new("RGB", (40, 30), "red").save(tmp_path / "production" / "p.png")
    guard = GuardFiles(tmp_path / "production")
    before = guard.digest()
    home = FileSystemStorage(tmp_path / "home")
    chain = make(home, guard, promote=promote, on_delete="whiteout")
    with chain.open("p.png") as file:
        assert image.open(file).size == (40, 30)
    with chain.open("p.png") as file:
        picture = image.open(file)
        picture.load()
    picture = picture.resize((20, 15))
    if how == "open":
        with chain.open("p.png", "wb") as file:
            picture.save(file, "png")
    else:
        buffer = io.BytesIO()
        picture.save(buffer, "png")
        chain.delete("p.png")
        assert chain.save("p.png", ContentFile(buffer.getvalue())) == "p.png"
    with chain.open("p.png") as file:
        assert image.open(file).size == (20, 15)
    assert chain.listdir("") == ([], ["p.png"])
    assert guard.digest() == before


@pytest.mark.parametrize("method", ["write", "writelines", "truncate"])
def test_a_file_that_its_storage_would_let_be_written_to(tmp_path, method):
    """What InMemoryStorage opens for reading can be written to; here it cannot."""
    production = InMemoryStorage()
    production.save("a", ContentFile(b"original"))
    chain = FallbackStorage(
        [writable(FileSystemStorage(tmp_path)), read_only(production)]
    )
    argument = {"write": b"H", "writelines": [b"H"], "truncate": 0}[method]
    with chain.open("a") as opened:
        assert not opened.writable()
        with pytest.raises(io.UnsupportedOperation):
            getattr(opened, method)(argument)
        assert opened.read() == b"original"
        opened.open("rb+")
        assert opened.writable()
        getattr(opened, method)(argument)
    assert content_of(production, "a") == b"original"
    assert content_of(chain, "a") != b"original"
