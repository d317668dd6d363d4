"""Files opened for writing where the storage's own file object loses what is written."""

from __future__ import annotations

import pytest
from django.core.files.base import ContentFile, File
from fakes import RecordingStorage, read

from fallback_storage.storage import FallbackStorage


class LastWrite(File):
    """Keeps the last write, as the files of SFTPStorage, FTPStorage and LibCloud do."""

    def __init__(self, storage, name):
        super().__init__(None, name)
        self._storage = storage

    def write(self, data):
        self._last = data

    def close(self):
        self._storage.files[self.name] = self._last


class Forgetful(RecordingStorage):
    def _open(self, name, mode="rb"):
        if "r" in mode and "+" not in mode:
            return super()._open(name, mode)
        return LastWrite(self, name)


class Renaming(Forgetful):
    """Never overwrites: its _save gives a taken name's file another one."""

    def _save(self, name, content):
        return super()._save(self.get_available_name(name), content)


class Closing(Forgetful):
    """Closes what it has saved, as FTPStorage does."""

    def _save(self, name, content):
        saved = super()._save(name, content)
        content.close()
        return saved


KINDS = [Forgetful, Renaming, Closing]


@pytest.fixture(params=KINDS, ids=[kind.__name__ for kind in KINDS])
def storage(request):
    return request.param("own", {"there": b"one"})


@pytest.fixture
def chain(storage):
    return chain_of(storage, LOSES_WRITES=True)


def chain_of(storage, **profile):
    chain = FallbackStorage([{"BACKEND": "fakes.RecordingStorage", "PROFILE": profile}])
    chain.backends[0].__dict__["storage"] = storage
    return chain


def test_without_being_known_for_it_a_storage_loses_bytes():
    """What the row of a profile is for."""
    storage = Forgetful("own")
    with chain_of(storage).open("new", "wb") as file:
        file.write(b"one")
        file.write(b"two")
    assert storage.files == {"new": b"two"}


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("wb", b"12"), ("xb", None), ("ab", b"one12"), ("r+b", b"12e"), ("w+b", b"12")],
)
def test_every_write_to_a_file_that_is_there_is_kept(chain, storage, mode, expected):
    """By the rules of its mode; saved once, at close."""
    if expected is None:
        with pytest.raises(FileExistsError):
            chain.open("there", mode)
        return
    with chain.open("there", mode) as file:
        file.write(b"1")
        file.write(b"2")
        assert storage.files == {"there": b"one"}
    assert storage.files == {"there": expected}
    assert read(chain, "there") == expected


@pytest.mark.parametrize("mode", ["wb", "xb", "ab", "w", "a"])
def test_every_write_to_a_new_file_is_kept(chain, storage, mode):
    """Text is stored as UTF-8."""
    parts = [b"one", b"two"] if "b" in mode else ["ön", "e\n"]
    with chain.open("new", mode) as file:
        for part in parts:
            file.write(part)
        assert chain.exists("new") is False
    assert storage.files["new"] == (b"onetwo" if "b" in mode else "öne\n".encode())
    assert chain.exists("new") is True


def test_what_is_not_there_cannot_be_changed(chain):
    with pytest.raises(FileNotFoundError):
        chain.open("new", "r+b")


def test_closing_twice_saves_once(chain, storage):
    file = chain.open("new", "wb")
    file.write(b"1")
    file.close()
    storage.reset()
    file.close()
    assert storage.count("_save") == 0


def test_a_save_that_fails_at_close_is_raised(chain, storage):
    """And what was there before is there still."""
    file = chain.open("there", "wb")
    file.write(b"1")
    storage.fail("_save")
    with pytest.raises(ConnectionError):
        file.close()
    assert storage.files == {"there": b"one"}


def test_reading_and_saving_are_as_ever(chain, storage):
    assert read(chain, "there") == b"one"
    name = chain.save("saved", ContentFile(b"1"))
    assert storage.files[name] == b"1"
