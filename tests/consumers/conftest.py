"""The same pictures on sites of three kinds, by all libraries together.

``plain``: S3Storage alone. ``uploader``: S3 at the end of a chain, so that all that was
made is in the bucket. ``mirror``: a developer's machine with the uploader's database, a
local directory in front of its bucket. ``newcomer``: the same, of the plain site.
"""

from __future__ import annotations

import functools
import importlib.util

import pytest
from servers import CountingProxy, missing
from sites import Site, check_picture, png

PICTURES = 50
LIBRARIES = [
    "django_cleanup",
    "easy_thumbnails",
    "filer",
    "imagekit",
    "import_export",
    "sorl",
    "storages",
    "wagtail",
]


@pytest.fixture(scope="session")
def street(s3_server, tmp_path_factory):
    """What all sites share: a bucket, what counts its requests, a directory."""
    lacking = [name for name in LIBRARIES if not importlib.util.find_spec(name)]
    if lacking:
        missing(f"Not installed: {', '.join(lacking)}; pip install --group consumers")
    s3_server.ensure_running()
    with CountingProxy(s3_server.host, s3_server.port) as proxy:
        yield s3_server, proxy, tmp_path_factory.mktemp("consumers")


@pytest.fixture(scope="session")
def bucket(street):
    """What counts the requests; ``outage = True`` lets them fail."""
    return street[1]


def _site(kind, street, folder, names=()):
    server, proxy, directory = street
    site = Site(kind, server, proxy, folder, directory)
    try:
        for name in names:
            site.put(name, png())
        if names:
            site.do("add_rows", names)
        yield site
    finally:
        site.close()


@pytest.fixture(scope="session")
def names():
    """The names of the pictures that are in the bucket, with a row for each library."""
    return [f"photos/{number}.png" for number in range(PICTURES)]


@pytest.fixture(scope="session")
def plain(street, names):
    yield from _site("plain", street, "plain", names)


@pytest.fixture(scope="session")
def uploader(street, names):
    yield from _site("uploader", street, "chained", names)


@pytest.fixture(scope="session")
def mirror(street, uploader):
    yield from _site("mirror", street, uploader.folder)


@pytest.fixture(scope="session")
def newcomer(street, plain):
    yield from _site("mirror", street, plain.folder)


@pytest.fixture(scope="session")
def make(plain, uploader, names):
    """Have both sites make a page's renditions, in the bucket; return both visits."""

    @functools.cache
    def make(page):
        made = plain.visit(page), uploader.visit(page)
        for site, first in zip((plain, uploader), made, strict=True):
            assert len(first.pictures) == len(names)
            check_picture(site, first.pictures[0])
        assert not uploader.local_names()
        return made

    return make
