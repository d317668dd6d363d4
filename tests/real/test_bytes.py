"""What is saved is what is read, to the byte: any storage, any way of giving content."""

from __future__ import annotations

import pytest
from django.core.files.base import ContentFile
from real.contents import DATA, FRONTS, WAYS, digest
from real.deviations import lost

from fallback_storage.storage import FallbackStorage

# The ways of large files differ: parts, blocks, resumable uploads.
LARGE = DATA * 105


def read(storage, name):
    with storage.open(name) as file:
        return file.read()


@pytest.mark.parametrize("front", FRONTS)
def test_bytes_saved_are_bytes_read(place, tmp_path, front):
    """Also after a backend in front refused, broke off or closed the content."""
    fails = FRONTS[front]
    chain = FallbackStorage([*([fails(front)] if fails else []), {"ALIAS": "real"}])
    found = {}
    for way, (make, data) in WAYS.items():
        name = place.file(f"{way}.bin")
        try:
            with make(data, tmp_path / "content") as content:
                saved = chain.save(name, content)
            held = [digest(read(storage, saved)) for storage in (place.raw, chain)]
        except Exception as error:
            found[way] = type(error).__name__
            continue
        if held != [digest(data)] * 2 or saved != name:
            found[way] = "other bytes"
    assert set(found) == lost(place.recipe.name), found


@pytest.mark.parametrize(
    "recipe", ["s3", "google", "azure", "sftp", "webdav"], indirect=True
)
def test_a_large_file(place):
    chain = FallbackStorage([{"ALIAS": "real"}])
    name = chain.save(place.file("large.bin"), ContentFile(LARGE, "large.bin"))
    assert digest(read(chain, name)) == digest(LARGE)
