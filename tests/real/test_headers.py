"""What Google and Azure keep of a file beside its content, and what their clients decode."""

from __future__ import annotations

import gzip

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from overlay.parts import content_of, read_only, writable
from real.recipes import RECIPES

from fallback_storage.chain.headers import form_of
from fallback_storage.jobs.sync import Result, sync
from fallback_storage.storage import FallbackStorage

TEXT = b"a { color: red } " * 100
PACKED = gzip.compress(TEXT)
HEADERS = {
    "content_type": "text/css",
    "content_language": "de",
    "content_disposition": "inline",
    "cache_control": "no-cache",
}
OBJECTS = {
    "dir/a.css": (PACKED, {**HEADERS, "content_encoding": "gzip"}),
    "dir/a.tar.gz": (PACKED, {**HEADERS, "content_encoding": "gzip"}),
    "dir/avatar": (b"no extension", HEADERS),
    "dir/b.css": (b"brotli", {**HEADERS, "content_encoding": "br"}),
}


def stored(backend, name):
    with backend.storage._open(name) as opened:
        headers = form_of(backend, name, opened).headers
        return opened.read(), headers


@pytest.mark.parametrize("recipe", [RECIPES["google"], RECIPES["azure"]], ids=repr)
def test_copies_keep_it_or_are_decoded_or_refused(place, tmp_path):
    old, new = (place.recipe.raw(place.server, place.name) for _ in range(2))
    new.location += "/new"
    for name, (data, headers) in OBJECTS.items():
        old.object_parameters = headers
        old._save(name, ContentFile(data))
    chain = FallbackStorage([writable(new), read_only(old)])
    copied = dict.fromkeys(OBJECTS, Result.COPIED)
    assert {step.name: step.result for step in sync(chain, "dir")} == copied
    for name, expected in OBJECTS.items():
        assert [stored(backend, name) for backend in chain.backends] == [expected] * 2
    present = dict.fromkeys(OBJECTS, Result.PRESENT)
    steps = sync(chain, "dir", verify=True)
    assert {step.name: step.result for step in steps} == present
    home = FileSystemStorage(tmp_path / "home")
    chain = FallbackStorage([writable(home), read_only(old)])
    steps = {step.name: step.result for step in sync(chain, "dir")}
    assert steps == {**copied, "dir/b.css": Result.FAILED}
    assert content_of(home, "dir/a.css") == TEXT
    assert content_of(home, "dir/a.tar.gz") == PACKED
