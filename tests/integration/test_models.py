"""FallbackStorage as DEFAULT storage, under forms, FileField and ImageField."""

from __future__ import annotations

import pickle

import pytest
from django import forms
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage, storages
from django.core.files.uploadedfile import (
    InMemoryUploadedFile,
    SimpleUploadedFile,
    TemporaryUploadedFile,
)
from gallery_app.models import Archive, Attachment, Picture

from fallback_storage.storage import FallbackStorage

pytestmark = pytest.mark.django_db

HANDLERS = {
    InMemoryUploadedFile: "django.core.files.uploadhandler.MemoryFileUploadHandler",
    TemporaryUploadedFile: "django.core.files.uploadhandler.TemporaryFileUploadHandler",
}


class AttachmentForm(forms.ModelForm):
    class Meta:
        model = Attachment
        fields = ("title", "file")


def upload(rf, name, content):
    """Save a form with a file that went through the upload handlers."""
    request = rf.post("/", {"title": "t", "file": SimpleUploadedFile(name, content)})
    form = AttachmentForm(request.POST, request.FILES)
    uploaded = request.FILES["file"]
    attachment = form.save()
    request.close()
    return attachment, type(uploaded)


@pytest.mark.parametrize("kind", HANDLERS)
@pytest.mark.parametrize("size", [1, 100_000])
def test_a_form_saves_an_upload(default_chain, local, rf, settings, kind, size):
    """Every byte of an upload reaches the first backend, whatever carried it."""
    settings.FILE_UPLOAD_HANDLERS = [HANDLERS[kind]]
    content = bytes(i % 251 for i in range(size))
    attachment, uploaded_as = upload(rf, "a b.bin", content)
    assert uploaded_as is kind
    assert attachment.file.name.endswith("/a_b.bin")
    assert (local / attachment.file.name).read_bytes() == content
    assert attachment.file.size == size
    assert attachment.file.path == str(local / attachment.file.name)
    assert attachment.file.url == f"/local/{attachment.file.name}"


@pytest.mark.parametrize("kind", HANDLERS)
@pytest.mark.parametrize("count", [1, 2])
def test_an_upload_survives_backends_that_fail(rf, settings, tmp_path, kind, count):
    """A temporary file is whole for the next backend, however many failed before."""
    settings.FILE_UPLOAD_HANDLERS = [HANDLERS[kind]]
    broken = [f"broken{number}" for number in range(count)]
    settings.STORAGES = {
        **{alias: {"BACKEND": "fakes.RecordingStorage"} for alias in broken},
        "spare": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": str(tmp_path)},
        },
        "default": {
            "BACKEND": "fallback_storage.storage.FallbackStorage",
            "OPTIONS": {"backends": [*broken, "spare"]},
        },
    }
    for alias in broken:
        storages[alias].fail("_save")
    content = b"0123456789" * 20_000
    attachment, _ = upload(rf, "x.bin", content)
    assert (tmp_path / attachment.file.name).read_bytes() == content
    assert attachment.file.storage.resolve(attachment.file.name).backend == "spare"


def test_two_uploads_of_one_name_are_two_files(default_chain, rf):
    """A second upload of a name gets a name of its own, as on a plain storage."""
    first, _ = upload(rf, "x.txt", b"one")
    second, _ = upload(rf, "x.txt", b"two")
    assert first.file.name != second.file.name
    assert first.file.read() == b"one"
    assert second.file.read() == b"two"
    first.file.close()
    second.file.close()


def test_an_upload_never_hides_productions_file(default_chain, production, rf):
    """A name that only a lower backend holds is taken."""
    attachment = Attachment(title="old")
    name = attachment.file.field.generate_filename(attachment, "x.txt")
    production.files[name] = b"production's"
    uploaded, _ = upload(rf, "x.txt", b"mine")
    assert uploaded.file.name != name
    with default_storage.open(name) as file:
        assert file.read() == b"production's"


def test_a_field_file_of_production(default_chain, production):
    """A row of a production dump works: url, size, open; and path says it cannot."""
    production.files["attachments/2020/x.txt"] = b"hello"
    attachment = Attachment.objects.create(title="t", file="attachments/2020/x.txt")
    file = Attachment.objects.get(pk=attachment.pk).file
    assert file.url == "https://production.example/attachments/2020/x.txt"
    assert file.size == 5
    with file.open() as opened:
        assert opened.read() == b"hello"
    with pytest.raises(NotImplementedError):
        _ = file.path


def test_an_empty_field_file(default_chain):
    """A row without a file raises what it raises on a plain storage."""
    attachment = Attachment.objects.create(title="t")
    assert not attachment.file
    with pytest.raises(ValueError, match="no file associated"):
        _ = attachment.file.url
    attachment.file.delete()


def test_a_file_is_replaced(default_chain, local):
    """Assigning a new file leaves the old one to whoever deletes it, and both read."""
    attachment = Attachment.objects.create(
        title="t", file=ContentFile(b"old", name="x.txt")
    )
    old = attachment.file.name
    attachment.file = ContentFile(b"new", name="x.txt")
    attachment.save()
    assert attachment.file.name != old
    assert (local / old).read_bytes() == b"old"
    attachment.file.storage.delete(old)
    assert not default_storage.exists(old)
    assert attachment.file.read() == b"new"
    attachment.file.close()


def test_field_file_save_and_delete(default_chain, local):
    """FieldFile.save and .delete write the storage and the row."""
    attachment = Attachment.objects.create(title="t")
    attachment.file.save("x.txt", ContentFile(b"hello"))
    name = attachment.file.name
    assert default_storage.exists(name)
    attachment.file.delete()
    assert not default_storage.exists(name)
    assert not (local / name).exists()
    attachment.refresh_from_db()
    assert not attachment.file


@pytest.mark.parametrize("name", ["local.txt", "x.txt"])
def test_the_url_of_a_field_file_does_not_depend_on_what_is_known(
    default_chain, local, production, name
):
    """It is equal to its name, and is none."""
    local.mkdir()
    (local / "local.txt").write_bytes(b"here")
    production.files["x.txt"] = b"hello"
    field_file = Attachment(title="t", file=name).file
    url = default_storage.url(field_file)
    for _ in range(2):
        assert default_storage.url(name).endswith(f"/{name}")
        assert default_storage.url(field_file) == url


def test_deleting_productions_file_leaves_it_there(default_chain, production):
    """FieldFile.delete of a read-only backend's file empties the field only."""
    production.files["x.txt"] = b"hello"
    attachment = Attachment.objects.create(title="t", file="x.txt")
    attachment.file.delete()
    attachment.refresh_from_db()
    assert not attachment.file
    assert production.files == {"x.txt": b"hello"}
    assert default_storage.exists("x.txt")


def test_names_keep_to_max_length(default_chain):
    """A long name is cut to what the column holds, also when it is taken."""
    names = set()
    for _ in range(3):
        attachment = Attachment.objects.create(
            title="t", file=ContentFile(b"x", name="n" * 100 + ".txt")
        )
        names.add(attachment.file.name)
        assert attachment.file.name.endswith(".txt")
    assert len(names) == 3
    assert {len(name) for name in names} == {60}


def test_a_max_length_too_short_for_any_name(default_chain, local):
    """Where no name can fit, Django's error is raised and nothing is written."""
    with pytest.raises(SuspiciousFileOperation, match="available filename"):
        default_storage.save("long.txt" * 5, ContentFile(b"x"), max_length=7)
    assert not local.exists()


@pytest.mark.parametrize("name", ["../x.txt", "a/../../x.txt", "/etc/x.txt"])
def test_a_hostile_upload_name_stays_below_upload_to(default_chain, local, rf, name):
    """Upload handlers keep the base name only; the storage adds no way around."""
    attachment, _ = upload(rf, name, b"x")
    assert attachment.file.name.startswith("attachments/")
    assert (local / attachment.file.name).read_bytes() == b"x"


def test_an_image_field_reads_its_dimensions(default_chain, production, png):
    """Dimension fields are filled on upload, and from a lower backend's file."""
    picture = Picture.objects.create(image=ContentFile(png(7, 5), name="a.png"))
    picture.refresh_from_db()
    assert (picture.width, picture.height) == (7, 5)
    production.files["pictures/b.png"] = png(3, 2)
    picture.image = "pictures/b.png"
    picture.save()
    picture.refresh_from_db()
    assert (picture.width, picture.height) == (3, 2)
    assert (picture.image.width, picture.image.height) == (3, 2)
    picture.image.close()


def test_an_image_form_checks_the_image(default_chain, png):
    """A ModelForm accepts an image and refuses what is none."""
    form_class = forms.modelform_factory(Picture, fields=["image"])
    good = form_class({}, {"image": SimpleUploadedFile("a.png", png(4, 4))})
    bad = form_class({}, {"image": SimpleUploadedFile("a.png", b"no image")})
    picture = good.save()
    assert picture.width == 4
    assert picture.image.name == "pictures/a.png"
    assert "image" in bad.errors


def test_a_field_file_is_pickled_with_its_row(default_chain):
    """An unpickled FieldFile finds its storage again."""
    attachment = Attachment.objects.create(
        title="t", file=ContentFile(b"hello", name="x.txt")
    )
    again = pickle.loads(pickle.dumps(attachment.file))
    assert again.storage is attachment.file.storage
    assert again.read() == b"hello"
    again.close()


def test_a_storage_of_the_fields_own(media_root):
    """FileField(storage=FallbackStorage(...)) uses that chain, not the default."""
    archive = Archive.objects.create(own=ContentFile(b"hello", name="x.txt"))
    storage = Archive._meta.get_field("own").storage
    assert archive.own.storage is storage
    assert [backend.name for backend in storage.backends] == [
        "FileSystemStorage",
        "old",
    ]
    assert (media_root / "x.txt").read_bytes() == b"hello"
    archive.own.delete()
    assert not storage.exists("x.txt")


def test_a_callable_storage(media_root):
    """FileField(storage=callable) uses the chain that the callable returned."""
    archive = Archive(own="x.txt")
    archive.chosen.save("y.txt", ContentFile(b"hello"))
    assert isinstance(archive.chosen.storage, FallbackStorage)
    assert archive.chosen.read() == b"hello"
    archive.chosen.close()
    assert not (media_root / "y.txt").exists()


def test_writes_through_a_fields_own_chain_reach_the_default(default_chain, local):
    """What another instance over the same files saves or deletes is never stale."""
    other = FallbackStorage(backends=["local", "production"])
    assert not default_storage.exists("x.txt")
    other.save("x.txt", ContentFile(b"hello"))
    assert default_storage.exists("x.txt")
    other.delete("x.txt")
    assert not default_storage.exists("x.txt")
