"""FallbackStorage as DEFAULT storage in Django's admin."""

from __future__ import annotations

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from gallery_app.models import Attachment, Picture

pytestmark = pytest.mark.django_db


def page(action, *args):
    return reverse(f"admin:gallery_app_{action}", args=args)


def test_add_change_clear_delete_of_a_file(admin_client, default_chain, local):
    """The admin's forms add, replace and clear a file; the old files stay."""
    response = admin_client.post(
        page("attachment_add"),
        {"title": "t", "file": SimpleUploadedFile("a.txt", b"one")},
    )
    assert response.status_code == 302
    attachment = Attachment.objects.get()
    first = attachment.file.name
    assert (local / first).read_bytes() == b"one"

    change = page("attachment_change", attachment.pk)
    html = admin_client.get(change).content.decode()
    assert f'href="/local/{first}"' in html

    data = {"title": "t", "file": SimpleUploadedFile("a.txt", b"two")}
    assert admin_client.post(change, data).status_code == 302
    attachment.refresh_from_db()
    second = attachment.file.name
    assert second != first
    assert (local / second).read_bytes() == b"two"

    data = {"title": "t", "file-clear": "on"}
    assert admin_client.post(change, data).status_code == 302
    attachment.refresh_from_db()
    assert not attachment.file
    assert (local / second).read_bytes() == b"two"

    delete = page("attachment_delete", attachment.pk)
    assert admin_client.post(delete, {"post": "yes"}).status_code == 302
    assert not Attachment.objects.exists()


def test_a_large_upload_through_the_client(
    admin_client, default_chain, local, settings
):
    """An upload beyond the memory limit arrives whole, by way of a temporary file."""
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = 1000
    content = bytes(range(256)) * 1000
    admin_client.post(
        page("attachment_add"),
        {"title": "t", "file": SimpleUploadedFile("a.bin", content)},
    )
    attachment = Attachment.objects.get()
    assert (local / attachment.file.name).read_bytes() == content


def test_add_change_clear_of_an_image(admin_client, default_chain, local, png):
    """An image's dimensions follow what the admin's forms do to it."""
    admin_client.post(
        page("picture_add"), {"image": SimpleUploadedFile("a.png", png(6, 3))}
    )
    picture = Picture.objects.get()
    assert (picture.width, picture.height) == (6, 3)
    assert (local / picture.image.name).read_bytes() == png(6, 3)

    change = page("picture_change", picture.pk)
    admin_client.post(change, {"image": SimpleUploadedFile("a.png", png(2, 9))})
    picture.refresh_from_db()
    assert (picture.width, picture.height) == (2, 9)

    admin_client.post(change, {"image-clear": "on"})
    picture.refresh_from_db()
    assert not picture.image
    assert (picture.width, picture.height) == (None, None)


def test_a_picture_of_production_is_shown_and_replaced(
    admin_client, default_chain, production, png
):
    """Editing a production row shows its picture and leaves production alone."""
    production.files["pictures/a.png"] = png(8, 8)
    picture = Picture.objects.create(image="pictures/a.png")
    change = page("picture_change", picture.pk)
    html = admin_client.get(change).content.decode()
    assert 'href="https://production.example/pictures/a.png"' in html

    admin_client.post(change, {"image": SimpleUploadedFile("a.png", png(2, 2))})
    picture.refresh_from_db()
    assert picture.image.name != "pictures/a.png"
    assert default_storage.resolve(picture.image.name).backend == "local"
    assert production.files == {"pictures/a.png": png(8, 8)}


def test_the_change_page_of_a_lost_file(admin_client, default_chain, production):
    """A row whose file no backend holds can still be opened, saved and cleared."""
    attachment = Attachment.objects.create(title="t", file="gone.txt")
    change = page("attachment_change", attachment.pk)
    assert b"https://production.example/gone.txt" in admin_client.get(change).content
    assert admin_client.post(change, {"title": "new"}).status_code == 302
    attachment.refresh_from_db()
    assert (attachment.title, attachment.file.name) == ("new", "gone.txt")


def test_a_change_page_asks_no_store_but_the_first(
    admin_client, default_chain, production
):
    """Rendering links to files that only production holds costs it no request."""
    for number in range(10):
        name = f"{number}.txt"
        production.files[name] = b"x"
        attachment = Attachment.objects.create(title=name, file=name)
        admin_client.get(page("attachment_change", attachment.pk))
    assert set(production.counts()) == {"url"}


def test_deleting_through_a_list_action(admin_client, default_chain, local):
    """The admin's bulk delete removes rows; files are whoever's business they are."""
    attachment = Attachment.objects.create(
        title="t", file=ContentFile(b"x", name="a.txt")
    )
    data = {
        "action": "delete_selected",
        "_selected_action": [attachment.pk],
        "post": "yes",
    }
    url = page("attachment_changelist")
    assert admin_client.post(url, data).status_code == 302
    assert not Attachment.objects.exists()
    assert (local / attachment.file.name).exists()
