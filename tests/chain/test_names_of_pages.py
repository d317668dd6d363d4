"""What a page shows, and the names that it stands for."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage, storages
from gallery_app.models import Archive, Attachment, Picture

from fallback_storage.chain.names import filenames


def names(objects, storage=default_storage):
    return list(filenames(objects, storage))


def test_names_come_as_they_are():
    """In their order, empty ones too; None is no name."""
    assert names(["b", "a", Path("c/d"), "", None, "b"]) == [
        "b",
        "a",
        Path("c/d"),
        "",
        "b",
    ]
    assert names(name for name in "ab") == ["a", "b"]
    assert names([]) == names(()) == names({}) == []


def test_instances_stand_for_all_their_files():
    picture = Picture(image="p.png", width=1, height=1)
    assert names([Attachment(file="a"), picture, Attachment()]) == ["a", "p.png"]
    assert names([picture.image, Attachment().file, Attachment(file="b").file]) == [
        "p.png",
        "b",
    ]


def test_files_that_are_not_saved_have_no_name_yet():
    """What was just assigned is called as it was where it came from."""
    attachment = Attachment(file=ContentFile(b"", "/tmp/upload"))
    assert names([attachment, attachment.file]) == []


@pytest.mark.parametrize(
    "storage", [default_storage, "default"], ids=["proxy", "itself"]
)
def test_files_of_other_storages_are_passed_over(storage):
    """The default storage is the same through Django's proxy and without."""
    storage = storages[storage] if storage == "default" else storage
    archive = Archive(own="o", chosen="c")
    assert names([archive, Attachment(file="a")], storage) == ["a"]
    own = Archive._meta.get_field("own").storage
    assert names([archive, Attachment(file="a"), archive.chosen], own) == ["o"]


def test_fields_that_are_not_loaded_are_left_so(db, django_assert_num_queries):
    Picture.objects.create(image="p.png", width=1, height=1)
    Attachment.objects.create(file="a")
    with django_assert_num_queries(1):
        assert names(Picture.objects.defer("image")) == []
    with django_assert_num_queries(1):
        assert names(Attachment.objects.only("file")) == ["a"]


@pytest.mark.parametrize(
    "single",
    ["a", b"a", Path("a"), 1, None, Attachment(file="a"), Attachment(file="a").file],
    ids=["str", "bytes", "path", "int", "None", "instance", "field file"],
)
def test_one_is_not_many(single):
    """A text is a collection of letters, a file one of lines: neither is meant."""
    with pytest.raises(TypeError, match="A collection of names is wanted"):
        names(single)


@pytest.mark.parametrize(
    "item", [1, b"a", ("a",), {"file": "a"}, ContentFile(b"", "a")]
)
def test_what_stands_for_no_name_is_refused(item):
    with pytest.raises(TypeError, match=f"Item 1 is a {type(item).__name__}"):
        names(["a", item])
