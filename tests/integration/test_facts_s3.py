"""Sizes and times of files in a real S3: what a page of them costs."""

from __future__ import annotations

import re

import pytest
from django.core.files.storage import FileSystemStorage, Storage
from django.template import Context, Template

from fallback_storage.chain import facts
from fallback_storage.chain.backend import Backend
from fallback_storage.chain.listing import pages
from fallback_storage.chain.policy import Policy
from fallback_storage.jobs.warm import warm
from fallback_storage.storage import FallbackStorage

pytest.importorskip("storages.backends.s3")
from storages.backends.s3 import S3Storage

NAMES = [f"p/{number}.jpg" for number in range(50)]
PAGE = Template(
    "{% for f in files %}{{ f.size }} {{ f.modified|date:'c' }}\n{% endfor %}"
)


class FieldFile:
    """What a template sees of a file."""

    def __init__(self, storage, name):
        self.storage, self.name = storage, name

    @property
    def size(self):
        return self.storage.size(self.name)

    @property
    def modified(self):
        return self.storage.get_modified_time(self.name)


def shown(storage):
    files = [FieldFile(storage, name) for name in NAMES]
    return PAGE.render(Context({"files": files}))


@pytest.fixture
def production(s3, s3_proxy):
    for number, name in enumerate(NAMES):
        s3.put(name, b"x" * number)
    storage = S3Storage(**s3.storage_options(endpoint_url=s3_proxy.endpoint_url))
    yield storage
    storage.connection.meta.client.close()


@pytest.fixture
def chain(production, tmp_path):
    return FallbackStorage(
        [
            FileSystemStorage(tmp_path),
            {
                "BACKEND": "typing.cast",
                "OPTIONS": {"typ": Storage, "val": production},
                "NAME": "production",
                "READ_ONLY": True,
            },
        ]
    )


def test_a_page_of_sizes_and_times(chain, production, s3_proxy):
    """A request for each the first time, then none; and as the storage says them."""
    truth = shown(production)
    s3_proxy.clear()
    assert shown(chain) == truth
    assert s3_proxy.count("HEAD") == 100
    s3_proxy.clear()
    assert shown(chain) == truth
    assert (s3_proxy.count("HEAD"), s3_proxy.count("GET")) == (0, 0)


@pytest.mark.parametrize("how", ["warm", "prefetch", "resolve_many"])
def test_listings_tell_them_for_nothing(chain, production, s3_proxy, how):
    """No request more than the listing needs without them; to the second, as a HEAD."""
    truth = shown(production)
    s3_proxy.clear()
    if how == "warm":
        list(warm(chain, backend="production"))
    elif how == "prefetch":
        chain.prefetch(NAMES, complete=True)
    else:
        chain.resolve_many(NAMES)
    assert (s3_proxy.count("HEAD"), s3_proxy.count("GET")) == (0, 1)
    assert shown(chain) == truth
    assert (s3_proxy.count("HEAD"), s3_proxy.count("GET")) == (0, 1)


@pytest.mark.parametrize("spelled", [b".789Z", b"+0000"])
def test_dates_are_those_of_a_head(production, spelled):
    """To the second, however a server writes them."""
    client = production.connection.meta.client

    def spell(response_dict, **kwargs):
        body = response_dict["body"]
        response_dict["body"] = re.sub(rb"(\.\d+)?Z(?=</Last)", spelled, body)

    client.meta.events.register_first("before-parse.*.ListObjectsV2", spell)
    backend = Backend("p", lambda: production, Policy(deadline=0), "backends[0]")
    (page,) = pages(backend)
    assert sorted(each.name for each in page) == sorted(NAMES)
    for number, name in list(enumerate(NAMES))[::10]:
        (listed,) = (each for each in page if each.name == name)
        told = facts.add("", "size", number)
        moment = production.get_modified_time(name)
        assert listed.facts == facts.add(told, "get_modified_time", moment)


def test_a_page_that_is_listed_again_tells_them_anew(s3, production, s3_proxy):
    """A file that was written after it was listed: not the size that it had."""
    client = production.connection.meta.client
    entry = {
        "BACKEND": "typing.cast",
        "OPTIONS": {"typ": Storage, "val": production},
        "READ_ONLY": True,
        "DEADLINE": 0,  # in this thread, whose client this is
    }
    chain, other = FallbackStorage([entry]), FallbackStorage([entry])

    def write(**kwargs):
        client.meta.events.unregister("after-call.s3.ListObjectsV2", write)
        s3.put(NAMES[1], b"longer than it was")
        other.forget(NAMES[1])

    client.meta.events.register("after-call.s3.ListObjectsV2", write)
    list(warm(chain))
    s3_proxy.clear()
    assert chain.size(NAMES[1]) == 18
    assert chain.size(NAMES[2]) == 2
    assert s3_proxy.count("HEAD") == 0
