"""Files opened for writing: where they go, and what is known at open and close."""

from __future__ import annotations

import io

import pytest
from django.core.files.base import File
from django.core.files.storage import FileSystemStorage, InMemoryStorage
from fakes import Bucket, RecordingStorage, read, read_only
from PIL import Image

from fallback_storage.exceptions import AllBackendsFailed, ReadOnlyBackendError
from fallback_storage.storage import FallbackStorage


def test_a_file_that_arrives_at_close_is_seen_then():
    """Right at open and right after close, on a backend that uploads at close."""
    first, second = RecordingStorage("first"), RecordingStorage("second")
    chain = FallbackStorage([first, second])
    assert chain.exists("x") is False
    file = chain.open("x", "wb")
    assert chain.exists("x") is False
    file.write(b"data")
    assert chain.exists("x") is False
    assert chain.url("x") == "https://second.example/x"
    file.close()
    assert chain.exists("x") is True
    assert chain.url("x") == "https://first.example/x"
    assert read(chain, "x") == b"data"


def test_a_file_that_is_there_at_open_is_seen_then(tmp_path):
    """Right at open on a disk, where the empty file is there at once."""
    chain = FallbackStorage([FileSystemStorage(tmp_path), RecordingStorage("second")])
    assert chain.exists("x") is False
    with chain.open("x", "wb") as file:
        assert chain.exists("x") is True
        assert chain.url("x") == "/media/x"
        file.write(b"data")
    assert read(chain, "x") == b"data"


def test_a_close_that_raises_is_forgotten_as_well():
    """Nobody knows what a failed upload left: the next answer is live."""
    first = RecordingStorage("first")
    chain = FallbackStorage([first])
    file = chain.open("x", "wb")
    assert chain.exists("x") is False
    first.before("close", lambda name: first.files.update({name: b"part"}))
    first.fail("close")
    with pytest.raises(ConnectionError):
        file.close()
    assert chain.exists("x") is True


def test_an_open_that_fails_goes_to_the_next_backend(caplog):
    """As a save does; a failed open is forgotten too."""
    first, second = RecordingStorage("first"), RecordingStorage("second")
    first.fail("_open")
    with FallbackStorage([first, second]).open("x", "wb") as file:
        file.write(b"data")
    assert second.files == {"x": b"data"}
    assert "opened in 'RecordingStorage-2'" in caplog.text
    second.fail("_open")
    with pytest.raises(AllBackendsFailed):
        FallbackStorage([first, second]).open("x", "wb")


@pytest.mark.parametrize("mode", ["wb", "xb", "ab", "r+b", "w+b"])
def test_no_mode_writes_to_a_read_only_backend(settings, mode):
    """A write mode reaches no read-only backend, whether or not it holds the file."""
    entry, production = read_only(settings, {"x": b"theirs"})
    with pytest.raises(ReadOnlyBackendError):
        FallbackStorage([entry]).open("x", mode)
    assert production.count("_open") == 0
    assert production.files == {"x": b"theirs"}


@pytest.mark.parametrize(
    ("mode", "content"),
    [("ab", b"held+new"), ("r+b", b"held+new"), ("wb", b"+new"), ("w+b", b"+new")],
)
def test_each_mode_on_a_file_that_a_writable_backend_holds(mode, content):
    """``a`` and ``r+`` go to the holder, whatever stands before it; ``w`` to the first."""
    first = RecordingStorage("first")
    second = RecordingStorage("second", {"x": b"held"})
    chain = FallbackStorage([first, second])
    with chain.open("x", mode) as file:
        file.write(b"+new")
    assert read(chain, "x") == content
    holder = first if mode.startswith("w") else second
    assert holder.files == {"x": content}


@pytest.mark.parametrize("mode", ["ab", "r+b"])
def test_a_mode_that_keeps_content_copies_a_read_only_file_up(settings, mode):
    """A new file elsewhere would lose what the read-only one holds."""
    entry, production = read_only(settings, {"x": b"held"})
    first = RecordingStorage("first")
    chain = FallbackStorage([first, entry])
    with chain.open("x", mode):
        assert first.files == {"x": b"held"}
    assert production.files == {"x": b"held"}
    assert read(chain, "x") == b"held"


@pytest.mark.parametrize("mode", ["ab", "r+b"])
def test_a_mode_that_keeps_content_needs_to_know_the_holder(mode):
    """While a backend cannot be asked, no second file is begun elsewhere."""
    first, second = RecordingStorage("first"), RecordingStorage("second")
    second.fail("exists")
    with pytest.raises(ConnectionError):
        FallbackStorage([first, second]).open("x", mode)
    assert first.count("_open") == 0


def test_a_mode_that_keeps_content_on_a_missing_file():
    """``a`` makes it in the first writable backend; ``r+`` does not find it."""
    first, second = RecordingStorage("first"), RecordingStorage("second")
    chain = FallbackStorage([first, second])
    with pytest.raises(FileNotFoundError):
        chain.open("x", "r+b")
    with chain.open("x", "ab") as file:
        file.write(b"data")
    assert first.files == {"x": b"data"}
    assert second.files == {}


@pytest.mark.parametrize("holder", ["first", "production"])
def test_exclusive_creation_looks_at_all_backends(settings, holder):
    """``x`` fails where any backend holds the name, and creates it where none does."""
    entry, production = read_only(settings)
    first = RecordingStorage("first")
    chain = FallbackStorage([first, entry])
    held_by = {"first": first, "production": production}[holder]
    held_by.files["x"] = b"held"
    with pytest.raises(FileExistsError) as caught:
        chain.open("x", "xb")
    assert caught.value.filename == "x"
    assert first.count("_open") == 0
    with chain.open("y", "xb") as file:
        file.write(b"data")
    assert first.files["y"] == b"data"


def test_the_file_object_is_the_backends(tmp_path):
    """It is a ``File``; name, mode, size and the methods are those of what it wraps."""
    chain = FallbackStorage([FileSystemStorage(tmp_path)])
    # Python's own name for the mode: "rb+", from 3.15 on "wb+".
    with (tmp_path / "plain.txt").open("w+b") as plain:
        mode = plain.mode
    with chain.open("x.txt", "w+b") as file:
        assert isinstance(file, File)
        assert (file.name, file.mode) == (str(tmp_path / "x.txt"), mode)
        assert file.write(b"data\nmore") == 9
        assert file.tell() == 9
        file.seek(0)
        assert file.readlines() == [b"data\n", b"more"]
        assert (file.readable(), file.writable(), file.seekable()) == (True,) * 3
        assert isinstance(file.fileno(), int)
        file.flush()
        assert file.size == 9
        assert not file.closed
        assert not hasattr(file, "no_such_attribute")
        assert not hasattr(file, "_private")
    assert file.closed
    with file.open("ab"):
        file.write(b"!")
    assert read(chain, "x.txt") == b"data\nmore!"


def test_what_else_the_backends_file_offers_is_there():
    """Attributes beyond Django's ``File`` pass through; private ones do not."""

    class Tagging(RecordingStorage):
        def _open(self, name, mode="rb"):
            file = super()._open(name, mode)
            file.etag, file._private = "e1", "p1"
            return file

    with FallbackStorage([Tagging()]).open("x", "wb") as file:
        assert file.etag == "e1"
        assert not hasattr(file, "_private")


def test_text_can_be_written(tmp_path):
    """The text modes are the backend's own."""
    chain = FallbackStorage([FileSystemStorage(tmp_path)])
    with chain.open("x.txt", "w") as file:
        file.write("tëxt")
    with chain.open("x.txt", "r") as file:
        assert file.read() == "tëxt"


@pytest.mark.parametrize("make", [RecordingStorage, InMemoryStorage])
def test_pillow_can_save_into_it(make):
    """What thumbnailers do: open for writing and let Pillow write."""
    chain = FallbackStorage([make(), RecordingStorage("second")])
    assert chain.exists("x.png") is False
    with chain.open("x.png", "wb") as file:
        Image.new("RGB", (3, 2), "red").save(file, "PNG")
    with Image.open(io.BytesIO(read(chain, "x.png"))) as image:
        assert image.size == (3, 2)


@pytest.mark.parametrize("mode", ["wb", "xb", "ab", "w"])
@pytest.mark.parametrize("above", [False, True])
def test_a_new_directory_is_made(tmp_path, mode, above):
    """As by a save, and as on an object store; in whichever backend it comes to."""
    home = FileSystemStorage(tmp_path / "home")
    backends = [home, Bucket(files={"photos/old.jpg": b""})]
    if above:
        failing = RecordingStorage("failing")
        failing.fail("_open")
        backends.insert(0, failing)
    chain = FallbackStorage(backends)
    with chain.open("photos/new/x", mode) as file:
        file.write(b"1" if "b" in mode else "1")
    assert read(home, "photos/new/x") == b"1"


def test_no_directory_is_made_for_what_is_only_read(tmp_path):
    """Nor for what changes a file that is not there."""
    chain = FallbackStorage([FileSystemStorage(tmp_path)])
    for mode in ("rb", "r+b"):
        with pytest.raises(FileNotFoundError):
            chain.open("photos/x", mode)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_the_directory(tmp_path):
    """Is an error of Django's save as well."""
    (tmp_path / "photos").write_bytes(b"")
    with pytest.raises(FileExistsError, match="photos exists and is not a directory"):
        FallbackStorage([FileSystemStorage(tmp_path)]).open("photos/x", "wb")
