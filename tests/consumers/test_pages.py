"""A page of pictures by each library's own tags: what it costs in front of S3."""

from __future__ import annotations

import pytest
from sites import check_picture

pytestmark = [pytest.mark.consumers, pytest.mark.slow]

#: A process whose first answer is "no such file" asks whether there is such a bucket.
BUCKET = 1


@pytest.mark.parametrize(
    ("library", "asked"),
    [("easy", 0), ("sorl", 0), ("imagekit", 1), ("wagtail", 0)],
)
def test_a_page_costs_no_more_than_s3_alone(
    plain, uploader, mirror, names, make, library, asked
):
    """``asked``: requests for a picture that a new process makes; later ones make none."""
    page = f"/page/{library}/"
    before = mirror.local_names()
    alone, chained = make(page)
    # S3Storage alone overwrites what may be there; a chain asks whether a name is free.
    assert chained.cost <= alone.cost + len(names) + BUCKET
    shown = {}
    for site in (plain, uploader, mirror):
        cold, warm = site.first_visits(page)
        assert (cold.cost, warm.cost) == (asked * len(names), 0), site.kind
        assert not warm.calls.get("bucket")
        assert warm.pictures == cold.pictures
        shown[site] = warm.pictures
    assert shown[mirror] == shown[uploader]
    assert mirror.local_names() == before


@pytest.mark.parametrize("library", ["easy", "sorl", "imagekit", "wagtail"])
def test_a_page_in_a_long_outage_is_that_of_before(mirror, make, bucket, library):
    """One call finds out; the next page makes no request. (See ``GRACE``.)"""
    page = f"/page/{library}/"
    make(page)
    mirror.do("start_afresh")
    mirror.do("forget_everything")  # else imagekit need not ask what is to be known
    before = mirror.visit(page)
    assert before.pictures
    mirror.do("let_hours_pass")
    bucket.outage = True
    try:
        first, again = mirror.visit(page), mirror.visit(page)
    finally:
        bucket.outage = False
    assert first.pictures == again.pictures == before.pictures
    assert first.calls.get("bucket", 0) <= 3
    assert again.cost == 0
    mirror.do("start_afresh")


@pytest.mark.parametrize("library", ["easy", "sorl"])
def test_a_dump_of_a_site_without_a_chain(plain, newcomer, make, library):
    """Both know renditions by their storage's class: made anew, once, and not there."""
    page = f"/page/{library}/"
    alone, _ = make(page)
    stored = plain.names()
    first, again = newcomer.visit(page), newcomer.visit(page)
    assert first.cost <= alone.cost + BUCKET
    assert again.cost == 0
    assert len(again.pictures) == len(alone.pictures)
    assert again.pictures == first.pictures
    # easy-thumbnails does not look at the name that a save returns: production's.
    check_picture(newcomer, again.pictures[0])
    assert plain.names() == stored


def icons(site, folder):
    """See a folder in filer's admin; return the page, and what fetching its icons cost."""
    page = site.visit(f"/admin/filer/folder/{folder}/list/")
    addresses = [url for url in page.pictures if url.startswith("/admin/")]
    return page, sum(site.visit(address, 302).cost for address in addresses)


def test_a_folder_of_filer(plain, uploader, mirror, names):
    """Its admin lists files with icons, which are views of their own at first."""
    folder = {
        site: site.do("upload_to_filer", names).value for site in (plain, uploader)
    }
    folder[mirror] = folder[uploader]
    before = mirror.local_names()
    made = {site: icons(site, folder[site])[1] for site in (plain, uploader)}
    assert made[plain] > len(names)
    assert made[uploader] <= made[plain] + 2 * len(names) + BUCKET
    for site in (plain, uploader, mirror):
        site.do("forget_everything")
        for page, fetched in icons(site, folder[site]), icons(site, folder[site]):
            assert (page.cost, fetched) == (0, 0), site.kind
            assert not page.calls.get("bucket")
            assert len(page.pictures) == len(names)
        check_picture(site, page.pictures[0])
    assert mirror.local_names() == before
