"""Wagtail's admin of images, in front of S3."""

from __future__ import annotations

import pytest
from sites import png

pytestmark = [pytest.mark.consumers, pytest.mark.slow]


@pytest.fixture
def edit():
    """The address of a site's page to edit its first picture, seen once."""

    def address(site):
        return f"/cms/images/{site.do('first', 'wagtail').value}/"

    return address


def test_the_listing(plain, uploader, mirror):
    """Its renditions are made once."""
    for site in (plain, uploader):
        site.visit("/cms/images/")
    for site in (plain, uploader, mirror):
        cold, warm = site.first_visits("/cms/images/")
        assert len(warm.pictures) > 10
        assert (cold.cost, warm.cost) == (0, 0), site.kind


def test_the_page_to_edit(plain, uploader, mirror, edit):
    """Production's file is not looked for in the local directory, nor missed there."""
    for site in (plain, uploader):
        site.visit(edit(site))
    for site in (plain, uploader, mirror):
        cold, warm = site.first_visits(edit(site))
        assert (cold.cost, warm.cost) == (0, 0), site.kind
        assert "could not be found" not in warm.body


def test_the_page_to_edit_in_an_outage(mirror, uploader, edit, bucket):
    """It shows, and does not offer to delete what cannot be looked for."""
    uploader.visit(edit(uploader))
    page = edit(mirror)
    mirror.do("forget_everything")
    bucket.outage = True
    try:
        done = mirror.visit(page)
    finally:
        bucket.outage = False
    assert "could not be found" not in done.body


def test_upload_show_delete(plain, mirror, make):
    """A new picture of the mirror lives in the local directory, renditions and all."""
    make("/page/wagtail/")
    stored = mirror.names()
    costs = {}
    # Twice: the first file that is not there makes the mirror ask, once in a process,
    # whether the bucket is.
    for site in (plain, mirror) * 2:
        before = site.local_names()
        upload = {"title": "new", "file": ("new.png", png()), "tags": ""}
        done = site.visit("/cms/images/add/", 302, **upload)
        costs[site] = done.cost
        page = site.visit("/page/wagtail/")
        picture = page.pictures[-1]
        assert site.get(picture).startswith(b"\x89PNG")
        assert picture.startswith("/media/") == (site is mirror)
        pk = site.do("last", "wagtail").value
        site.visit(f"/cms/images/{pk}/delete/", 302, sure="yes")
        assert site.local_names() == before
    assert costs[mirror] <= costs[plain]
    assert mirror.names() == stored
