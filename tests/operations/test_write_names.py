"""Names to save under: free in all backends, asked live, within bounds."""

from __future__ import annotations

import os
import uuid

import django
import pytest
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from fakes import RecordingStorage, read, read_only

from fallback_storage.exceptions import NoAvailableNameError
from fallback_storage.operations.naming import Namer
from fallback_storage.storage import FallbackStorage


class Uuid(RecordingStorage):
    """Ignores the name it is asked for, as storages of user uploads do."""

    def get_available_name(self, name, max_length=None):
        return f"{uuid.uuid4()}.jpg"


class Overwriting(RecordingStorage):
    """Offers a taken name again, as S3Storage does unless told otherwise."""

    def get_available_name(self, name, max_length=None):
        return name

    def get_alternative_name(self, file_root, file_ext):
        return f"{file_root}{file_ext}"


class Stubborn(RecordingStorage):
    """Always makes the same alternative."""

    def get_alternative_name(self, file_root, file_ext):
        return f"same{file_ext}"


def test_a_taken_name_is_not_given_again_in_any_backend(settings):
    """A file of a lower, even read-only backend is never hidden by a save."""
    entry, _ = read_only(settings, {"a.tar.gz": b"theirs"})
    first = RecordingStorage("first")
    chain = FallbackStorage([first, entry])
    name = chain.save("a.tar.gz", ContentFile(b"ours"))
    assert name != "a.tar.gz"
    assert name.startswith("a")
    assert name.endswith(".gz")
    assert first.files == {name: b"ours"}
    assert read(chain, "a.tar.gz") == b"theirs"
    assert chain.is_name_available("a.tar.gz") is False


def test_memory_never_decides_a_name():
    """A file that came behind the memo's back is not overwritten."""
    first, second = RecordingStorage("first"), RecordingStorage("second")
    chain = FallbackStorage([first, second])
    assert chain.exists("x") is False
    second.files["x"] = b"theirs"
    assert chain.exists("x") is False
    assert chain.is_name_available("x") is False
    assert chain.get_available_name("x") != "x"
    assert chain.save("x", ContentFile(b"ours")) != "x"
    assert second.files == {"x": b"theirs"}


def test_the_search_for_a_name_is_bounded():
    """A backend that always makes the same alternative cannot hang a request."""
    first = Stubborn("first", {"x.jpg": b"1", "same.jpg": b"2"})
    chain = FallbackStorage([first])
    # Offered twice in a row, Django's own rule makes an alternative of it.
    name = chain.save("x.jpg", ContentFile(b"3"))
    assert first.files == {"x.jpg": b"1", "same.jpg": b"2", name: b"3"}


def test_the_search_for_a_name_ends():
    """Where every name is taken, 100 were tried and the error says so."""

    class Full(RecordingStorage):
        def exists(self, name):
            super().exists(name)
            return True

    full = Full("full")
    with pytest.raises(NoAvailableNameError) as caught:
        FallbackStorage([full]).save("x.jpg", ContentFile(b"1"))
    assert full.counts() == {"exists": 100}
    assert str(caught.value).startswith("[Errno 17] No free name after 100 tries")
    assert "exists() of the backends" in str(caught.value)
    assert isinstance(caught.value, FileExistsError)


@pytest.mark.skipif(django.VERSION < (5, 1), reason="allow_overwrite came in 5.1")
def test_a_disk_that_may_overwrite_does_not_within_a_chain(tmp_path):
    """Names are unique across backends, whatever one backend allows."""
    disk = FileSystemStorage(tmp_path, allow_overwrite=True)
    chain = FallbackStorage([disk, RecordingStorage("second")])
    assert chain.save("x.jpg", ContentFile(b"1")) == "x.jpg"
    name = chain.save("x.jpg", ContentFile(b"2"))
    assert name != "x.jpg"
    assert read(chain, "x.jpg") == b"1"
    assert read(chain, name) == b"2"


def test_a_bucket_that_may_overwrite_does_not_within_a_chain():
    """An own ``get_available_name`` is asked, and checked against all backends."""
    first = Overwriting("first", {"x.jpg": b"1"})
    second = RecordingStorage("second", {"y.jpg": b"2"})
    chain = FallbackStorage([first, second])
    names = {chain.save(name, ContentFile(b"3")) for name in ("x.jpg", "y.jpg")}
    assert first.files.keys() == {"x.jpg", *names}
    assert len(names) == 2
    assert (first.files["x.jpg"], second.files) == (b"1", {"y.jpg": b"2"})


def test_a_storage_that_makes_its_own_names_is_asked_first():
    """The name of the first writable backend is taken, if it is free everywhere."""
    first = Uuid("first")
    chain = FallbackStorage([first, RecordingStorage("second")])
    name = chain.save("dir/x.jpg", ContentFile(b"1"))
    assert uuid.UUID(name.removesuffix(".jpg"))
    assert first.files == {name: b"1"}


def test_a_storage_whose_own_naming_fails_costs_no_save():
    """An outage of the first backend is passed over here as it is by the save."""

    class Down(Overwriting):
        def get_available_name(self, name, max_length=None):
            raise ConnectionError("down")

    first, second = Down("first"), RecordingStorage("second")
    first.fail("exists")
    first.fail("_save")
    name = FallbackStorage([first, second]).save("x.jpg", ContentFile(b"1"))
    assert second.files == {name: b"1"}


@pytest.mark.parametrize("name", ["d/x.tar.gz", "d/xxxxxx.j", "xxxxxxxxxxxxxx.jpg"])
def test_max_length_is_kept(name):
    """An alternative fits; where only suffixes would fit, Django's error is raised."""
    first = RecordingStorage("first", {name: b"1"})
    chain = FallbackStorage([first])
    directory, _, filename = name.rpartition("/")
    root, dot, suffixes = filename.partition(".")
    # One character of the root, "_" and seven random ones.
    least = len(name) - len(root) + 9
    for max_length in (None, 40, len(name), least):
        if max_length and max_length < least:
            continue
        given = chain.save(name, ContentFile(b"2"), max_length=max_length)
        assert given != name
        assert len(given) <= (max_length or 99)
        assert given.rpartition("/")[0] == directory
        assert given.endswith(dot + suffixes.rpartition(".")[2])
    saves = first.count("_save")
    with pytest.raises(SuspiciousFileOperation, match='sufficient "max_length"'):
        chain.save(name, ContentFile(b"2"), max_length=least - 1)
    assert first.count("_save") == saves


def test_a_free_name_that_is_too_long_is_shortened():
    """The name of a new file is cut to ``max_length`` even if it is free."""
    chain = FallbackStorage([RecordingStorage("first")])
    given = chain.save("y" * 50 + ".jpg", ContentFile(b"1"), max_length=20)
    assert len(given) == 20
    assert given.startswith("yyyyyyyy_")


def test_a_name_longer_than_max_length_is_not_available():
    """``is_name_available`` asks nobody about a name that is too long."""
    first = RecordingStorage("first")
    chain = FallbackStorage([first])
    assert chain.is_name_available("12345", max_length=4) is False
    assert first.count() == 0
    assert chain.is_name_available("1234", max_length=4) is True


def test_while_a_backend_cannot_be_asked_a_random_name_is_taken(caplog):
    """It hides nothing that the failing backend may hold, and is logged."""
    first, second = RecordingStorage("first"), RecordingStorage("second")
    second.fail("exists")
    chain = FallbackStorage([first, second])
    name = chain.save("x.jpg", ContentFile(b"1"))
    assert name != "x.jpg"
    assert first.files == {name: b"1"}
    assert chain.is_name_available("y.jpg") is False
    assert (
        "exists('x.jpg'): RecordingStorage-2: failed (ConnectionError)" in caplog.text
    )


SILENT = {
    # (chain, who does not answer, whether the name is kept)
    "read-only below": (["home", "production"], "production", True),
    "read-only further below": (["home", "old", "production"], "production", True),
    "read-only above": (["production", "home"], "production", False),
    "writable below": (["home", "old"], "old", False),
    "the home": (["home", "production"], "home", False),
}


@pytest.mark.parametrize("case", SILENT)
def test_what_a_silent_backend_costs(case, caplog):
    """A name, unless the new file is read in place of what it may have, and stays."""
    names, silent, is_kept = SILENT[case]
    parts = {name: RecordingStorage(name) for name in names}
    chain = FallbackStorage(
        [
            {"BACKEND": "fakes.RecordingStorage", "READ_ONLY": name == "production"}
            for name in names
        ]
    )
    for backend, part in zip(chain.backends, parts.values(), strict=True):
        backend.__dict__["storage"] = part
    parts[silent].fail("exists")
    saved = chain.save("x.jpg", ContentFile(b"1"))
    assert (saved == "x.jpg") is is_kept
    assert "the name may be taken there" in caplog.text
    parts[silent].heal()
    assert chain.open(saved).read() == b"1"
    assert chain.is_name_available("y.jpg") is True
    parts[silent].fail("exists")
    assert chain.is_name_available("y.jpg") is False


def test_strict_refuses_a_name_that_a_backend_cannot_be_asked_about():
    """With ``strict`` the failure is raised and nothing is saved."""
    first, second = RecordingStorage("first"), RecordingStorage("second")
    second.fail("exists")
    chain = FallbackStorage([first, second], strict=True)
    with pytest.raises(ConnectionError):
        chain.save("x.jpg", ContentFile(b"1"))
    assert first.files == {}


def test_names_are_made_by_the_first_writable_backend(settings):
    """``get_valid_name`` and its like come from where the file will be saved."""

    class Upper(RecordingStorage):
        def get_valid_name(self, name):
            return name.upper()

        def generate_filename(self, filename):
            return f"made/{filename}"

    entry, production = read_only(settings)
    chain = FallbackStorage([entry, Upper("first"), RecordingStorage("second")])
    assert chain.get_valid_name("a b") == "A B"
    assert chain.generate_filename("a b") == "made/a b"
    assert chain.get_alternative_name("a", ".b").startswith("a_")
    assert FallbackStorage([entry]).get_valid_name("a b") == "a_b"
    assert production.count() == 0


def test_local_directories_are_looked_at_once_each(tmp_path, monkeypatch):
    """Whoever has the name, in whatever form; and nothing else is asked for a name."""
    looked = []
    lstat = os.lstat
    monkeypatch.setattr(os, "lstat", lambda path: looked.append(path) or lstat(path))
    places = [tmp_path / "one", tmp_path / "two"]
    chain = FallbackStorage(
        [
            FileSystemStorage(places[0]),
            {
                "BACKEND": "django.core.files.storage.FileSystemStorage",
                "OPTIONS": {"location": places[1]},
                "READ_ONLY": True,
            },
        ]
    )
    with monkeypatch.context() as patch:
        patch.setattr(Namer, "find", pytest.fail)
        assert chain.save("d/a.jpg", ContentFile(b"ours")) == "d/a.jpg"
    assert looked == [f"{place}/d/a.jpg" for place in places]
    calls = [each["calls"] for each in chain.stats()["backends"].values()]
    assert calls == [2, 1]
    (places[1] / "d").mkdir(parents=True)
    (places[1] / "d" / "file").touch()
    (places[1] / "d" / "link").symlink_to("nowhere")
    for taken in ("d/a.jpg", "d/file", "d/link", "d"):
        assert chain.save(taken, ContentFile(b"ours")) != taken
