"""What other packages do with a storage, replayed over a chain without them.

Each test names the package whose habit it is.
"""

from __future__ import annotations

import pickle
from types import SimpleNamespace

import pytest
from django.contrib.staticfiles.finders import DefaultStorageFinder
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage, storages
from django.utils.module_loading import import_string
from gallery_app.models import Archive, Attachment

from fallback_storage.storage import FallbackStorage


def class_path(storage):
    """As sorl, easy-thumbnails and django-cleanup keep a storage."""
    return f"{storage.__class__.__module__}.{storage.__class__.__name__}"


def test_the_class_path_is_the_documented_one(default_chain):
    """Thumbnail keys are made of it: it may never change."""
    assert class_path(default_storage) == "fallback_storage.storage.FallbackStorage"


def test_sorl_rebuilds_a_storage_by_its_class_path(default_chain, production):
    """A field's own instance comes back without arguments and reads the same files."""
    production.files["x.txt"] = b"hello"
    own = FallbackStorage(backends=["local", "production"])
    again = import_string(class_path(own))()
    with again.open("x.txt") as file:
        assert file.read() == b"hello"
    again.save("y.txt", ContentFile(b"new"))
    assert own.exists("y.txt")


def test_sorl_finds_the_alias_by_identity(default_chain):
    """The storage behind default_storage is the one of its alias."""
    assert isinstance(default_storage, FallbackStorage)
    assert default_storage._wrapped is storages["default"]


def test_sorl_keeps_reads_by_storage_and_name(default_chain):
    """A storage is a dictionary key, also after it was used, and equal to itself."""
    kept = {(default_chain, "x.txt"): b"hello"}
    default_chain.exists("x.txt")
    assert kept[storages["default"], "x.txt"] == b"hello"
    assert (FallbackStorage(), "x.txt") not in kept


def test_sorl_strips_the_location(default_chain, local):
    """.location is a str, that of the first backend with a directory."""
    assert default_storage.location == str(local)
    assert default_storage.base_location == str(local)
    assert default_storage.base_url == "/local/"


def test_sorl_probes_for_optional_methods(default_chain):
    """An attribute that no storage has is missing, not delegated somewhere."""
    assert not hasattr(default_storage, "image_size")
    assert not hasattr(FallbackStorage(), "image_size")


@pytest.mark.parametrize("attribute", ["location", "base_location", "base_url"])
def test_easy_thumbnails_asks_hasattr_location(default_chain, attribute):
    """A chain without a local directory has no .location, as a remote storage."""
    assert not hasattr(FallbackStorage(backends=["production"]), attribute)


def test_easy_thumbnails_is_storage_local(default_chain, production):
    """path() of an unknown name tells whether all backends are local."""
    assert FallbackStorage(backends=["local"]).path("test").endswith("test")
    for storage in (default_storage, FallbackStorage(backends=["production"])):
        with pytest.raises(NotImplementedError):
            storage.path("test")


def test_easy_thumbnails_deletes_and_saves_again(default_chain):
    """A thumbnail is deleted and saved under the very same name."""
    for content in (b"one", b"two"):
        default_storage.delete("thumbs/x.jpg")
        name = default_storage.save("thumbs/x.jpg", ContentFile(content))
        assert name == "thumbs/x.jpg"
        with default_storage.open(name) as file:
            assert file.read() == content


def test_wagtail_is_stored_locally(default_chain, production):
    """NotImplementedError, and nothing else, says that a file is remote."""
    production.files["remote.txt"] = b"x"
    default_storage.save("local.txt", ContentFile(b"x"))

    def is_stored_locally(name):
        try:
            _ = Attachment(file=name).file.path
        except NotImplementedError:
            return False
        return True

    assert is_stored_locally("local.txt")
    assert not is_stored_locally("remote.txt")


def test_wagtail_reopens_a_file(default_chain, production):
    """A FieldFile opened, closed and opened again reads from its start."""
    production.files["x.txt"] = b"hello"
    attachment = Attachment(file="x.txt")
    for _ in range(2):
        with attachment.file.open("rb") as file:
            assert file.read() == b"hello"


@pytest.mark.django_db
def test_django_cleanup_copies_and_compares(default_chain, local):
    """A pickled row's field file finds its storage, equals its origin, deletes."""
    attachment = Attachment.objects.create(
        title="t", file=ContentFile(b"x", name="x.txt")
    )
    field_file = pickle.loads(pickle.dumps(attachment)).file
    assert field_file == attachment.file
    assert field_file.storage == attachment.file.storage
    again = attachment.file.__class__(None, attachment.file.field, attachment.file.name)
    again.instance = SimpleNamespace()
    again.delete(save=False)
    assert not attachment.file.storage.exists(attachment.file.name)
    assert not (local / attachment.file.name).exists()


def test_django_cleanup_finds_the_class_of_a_field(media_root):
    """A field's storage class can be imported and built without arguments."""
    storage = Archive._meta.get_field("own").storage
    found = import_string(f"{type(storage).__module__}.{type(storage).__qualname__}")
    assert found is FallbackStorage


def test_compressor_asks_path_first(default_chain, production):
    """path() and then exists(): the second one asks no backend again."""
    default_storage.save("a.css", ContentFile(b"a"))
    production.files["b.css"] = b"b"
    assert default_storage.path("a.css")
    assert default_storage.exists("a.css")
    with pytest.raises(NotImplementedError):
        default_storage.path("b.css")
    production.reset()
    assert default_storage.exists("b.css")
    assert production.calls == []


def test_the_static_finder_over_the_default_storage(default_chain, local, production):
    """DefaultStorageFinder finds local files, and no others."""
    default_storage.save("a.css", ContentFile(b"a"))
    finder = DefaultStorageFinder()
    assert finder.find("a.css") == str(local / "a.css")
    assert ("a.css", default_storage) in list(finder.list([]))


def test_path_of_nothing(default_chain, local):
    """collectstatic and finders ask path(""): the first backend's directory."""
    assert default_storage.path("") == str(local)
    with pytest.raises(NotImplementedError):
        FallbackStorage(backends=["production"]).path("")


def test_imagekit_asks_whether_a_missing_file_exists(default_chain, production):
    """exists, then save, then exists: true at once, in spite of the first answer."""
    assert not default_storage.exists("CACHE/x.jpg")
    default_storage.save("CACHE/x.jpg", ContentFile(b"x"))
    assert default_storage.exists("CACHE/x.jpg")
    assert default_storage.exists("CACHE")
