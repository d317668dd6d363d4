"""A subclass's own rules for names are asked, as those of Django's classes are."""

from __future__ import annotations

import posixpath

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from django.db.models import FileField
from fakes import RecordingStorage, read

from fallback_storage.exceptions import NoAvailableNameError
from fallback_storage.storage import FallbackStorage


class Lower(FallbackStorage):
    def get_valid_name(self, name):
        return super().get_valid_name(name).lower()


class Numbering(FallbackStorage):
    def get_alternative_name(self, file_root, file_ext):
        stem = file_root.partition("-")[0]
        taken = {
            name.partition("-")[2].partition(".")[0] for name in self.listdir("")[1]
        }
        return f"{stem}-{max((int(n) for n in taken if n), default=0) + 1}{file_ext}"


class Prefixing(FallbackStorage):
    def get_available_name(self, name, max_length=None):
        directory, base = posixpath.split(name)
        mine = posixpath.join(directory, f"own\\{base}")
        return super().get_available_name(mine, max_length)


class Overwriting(FallbackStorage):
    def get_available_name(self, name, max_length=None):
        self.delete(name)
        return name


class Generating(FallbackStorage):
    def generate_filename(self, filename):
        return f"generated/{filename}"


class Choosy(FallbackStorage):
    def is_name_available(self, name, max_length=None):
        return "_" in name and super().is_name_available(name, max_length)


@pytest.fixture
def disk(tmp_path):
    return FileSystemStorage(tmp_path)


def field_name(storage, filename):
    """What a FileField with this storage makes of an upload's name."""
    return FileField(storage=storage, upload_to="up").generate_filename(None, filename)


def test_get_valid_name(disk):
    """generate_filename asks it, as Django's does."""
    storage = Lower([disk, RecordingStorage()])
    assert storage.generate_filename("D/A B.TXT") == "D/a_b.txt"
    assert field_name(storage, "A B.TXT") == "up/a_b.txt"
    plain = FallbackStorage([disk])
    assert field_name(plain, "A B.TXT") == "up/A_B.TXT"


def test_get_valid_name_of_an_instance(disk):
    """What was set on one counts as well."""
    storage = FallbackStorage([disk])
    storage.get_valid_name = lambda name: "fixed.txt"
    assert field_name(storage, "a.txt") == "up/fixed.txt"


def test_get_alternative_name(disk):
    """Wherever the name is taken."""
    production = RecordingStorage(files={"a.txt": b"", "a-1.txt": b""})
    storage = Numbering([disk, production])
    names = [storage.save("a.txt", ContentFile(b"x")) for _ in range(3)]
    assert names == ["a-2.txt", "a-3.txt", "a-4.txt"]


def test_get_alternative_name_wins_over_a_storage_that_makes_names(disk):
    """S3Storage has a ``get_available_name``, which would offer a random name."""

    class Own(FileSystemStorage):
        def get_available_name(self, name, max_length=None):
            return super().get_available_name(name, max_length)

    storage = Numbering([Own(disk.location)])
    names = [storage.save("a.txt", ContentFile(b"x")) for _ in range(3)]
    assert names == ["a.txt", "a-1.txt", "a-2.txt"]


def test_get_available_name(disk):
    """Its answer is a name like any other."""
    storage = Prefixing([disk])
    assert storage.save("d/a.txt", ContentFile(b"x")) == "d/own/a.txt"


def test_get_available_name_of_a_storage_that_overwrites(disk):
    """The recipe of many projects: delete, and keep the name."""
    storage = Overwriting([disk, RecordingStorage()])
    for content in (b"1", b"2"):
        assert storage.save("a.txt", ContentFile(content)) == "a.txt"
    assert read(storage, "a.txt") == b"2"


def test_the_name_that_is_taken_while_it_is_saved(disk):
    """The subclass is asked for another one; and not for ever."""

    class Raced(ContentFile):
        def chunks(self, chunk_size=None):
            disk.save("a.txt", ContentFile(b"theirs"))
            yield from super().chunks(chunk_size)

    assert Numbering([disk]).save("a.txt", Raced(b"ours")) == "a-1.txt"
    assert read(disk, "a.txt") == b"theirs"

    class Stubborn(FallbackStorage):
        def get_available_name(self, name, max_length=None):
            return name

    disk.delete("a.txt")
    with pytest.raises(NoAvailableNameError, match=r"what get_available_name\(\) ret"):
        Stubborn([disk]).save("a.txt", Raced(b"ours"))
    assert read(disk, "a.txt") == b"theirs"


def test_generate_filename(disk):
    """A field uses it."""
    assert field_name(Generating([disk]), "a.txt") == "generated/up/a.txt"


def test_is_name_available(disk):
    """Django asks it since 5.1."""
    assert "_" in Choosy([disk]).save("a.txt", ContentFile(b"x"))

    class Refusing(FallbackStorage):
        def is_name_available(self, name, max_length=None):
            return False

    with pytest.raises(NoAvailableNameError, match=r"what is_name_available\(\) ret"):
        Refusing([disk]).save("a.txt", ContentFile(b"x"))


def test_a_subclass_within_a_chain(disk):
    """Its rules are those of a home, also through the chain around it."""
    storage = FallbackStorage([Numbering([Lower([disk])]), RecordingStorage()])
    assert field_name(storage, "A.TXT") == "up/a.txt"
    names = [storage.save("a.txt", ContentFile(b"x")) for _ in range(2)]
    assert names == ["a.txt", "a-1.txt"]
