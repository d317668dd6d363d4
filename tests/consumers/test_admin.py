"""The admin, django-import-export and django-cleanup, in front of S3."""

from __future__ import annotations

import re

import pytest
from sites import png

pytestmark = [pytest.mark.consumers, pytest.mark.slow]

PHOTOS = "/admin/consumers/photo/"


def test_the_admins_pages(plain, uploader, mirror, names):
    """A list of pictures and a page to change one ask S3 for nothing."""
    for page in (PHOTOS, f"{PHOTOS}{mirror.do('first', 'photo').value}/change/"):
        for site in (plain, uploader, mirror):
            cold, warm = site.first_visits(page)
            assert (cold.cost, warm.cost) == (0, 0), site.kind
            assert "/photos/0.png" in warm.body


def test_an_import(plain, mirror):
    """The file waits in the default storage for its confirmation, and then goes."""
    stored = mirror.names()
    costs = {}
    for site in (plain, mirror):
        before = site.local_names(), site.names()
        rows = b"id,title,image\n,imported,photos/1.png\n"
        upload = {"import_file": ("rows.csv", rows), "format": "0", "resource": ""}
        asked = site.visit(f"{PHOTOS}import/", **upload)
        fields = re.findall(
            r'<input type="hidden" name="(\w+)" value="([^"]*)"', asked.body
        )
        done = site.visit(f"{PHOTOS}process_import/", 302, **dict(fields))
        assert site.do("take_photos", "imported").value == ["photos/1.png"]
        assert (site.local_names(), site.names()) == before
        costs[site] = asked.cost + done.cost
    assert costs[mirror] <= costs[plain]
    assert mirror.names() == stored


def upload(site, action, name="me.png"):
    """Send the admin's form of an avatar; return its id, its name and the costs."""
    page = f"/admin/consumers/avatar/{action}/"
    done = site.visit(page, 302, image=(name, png()))
    pk = site.do("last", "avatar").value
    return pk, site.do("avatar", pk).value, done.cost


def test_the_admins_forms_and_cleanup(plain, mirror):
    """Add, replace and delete: django-cleanup removes what is no longer referred to."""
    stored = mirror.names()
    costs = {}
    for site in (plain, mirror):
        here = site.local_names if site is mirror else site.names
        before = here()
        pk, name, adding = upload(site, "add")
        assert here() == before | {name}
        _, newer, replacing = upload(site, f"{pk}/change", "new.png")
        assert here() == before | {newer}
        page = f"/admin/consumers/avatar/{pk}/delete/"
        deleting = site.visit(page, 302, post="yes").cost
        assert here() == before
        costs[site] = adding + replacing + deleting
    assert costs[mirror] <= costs[plain]
    assert mirror.names() == stored


def test_cleanup_of_what_production_holds(uploader, mirror):
    """A picture that the mirror replaces, and a row that it deletes, stay in the bucket."""
    pk, name, _ = upload(uploader, "add")
    assert name in uploader.names()
    before = mirror.local_names()
    _, newer, _ = upload(mirror, f"{pk}/change", "new.png")
    assert mirror.local_names() == before | {newer}
    mirror.visit(f"/admin/consumers/avatar/{pk}/delete/", 302, post="yes")
    assert mirror.local_names() == before
    assert name in mirror.names()
