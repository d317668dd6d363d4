"""Chains as a project configures them."""

from __future__ import annotations

import io

import pytest
from django.core.files.storage import storages

CHAIN = "fallback_storage.storage.FallbackStorage"


@pytest.fixture
def default_chain(settings, tmp_path):
    """As DEFAULT storage: a local directory in front of a read-only object store."""
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {
            "BACKEND": CHAIN,
            "OPTIONS": {
                "backends": ["local", {"ALIAS": "production", "READ_ONLY": True}]
            },
        },
        "local": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": str(tmp_path / "local"), "base_url": "/local/"},
        },
        "production": {
            "BACKEND": "fakes.RecordingStorage",
            "OPTIONS": {"label": "production"},
        },
    }
    return storages["default"]


@pytest.fixture
def local(default_chain, tmp_path):
    """The directory of the first backend of `default_chain`."""
    return tmp_path / "local"


@pytest.fixture
def production(default_chain):
    """The last backend of `default_chain`; nothing may write to it."""
    storage = storages["production"]
    yield storage
    written = {"_save", "delete", "close"} & set(storage.counts())
    assert not written, "The read-only backend was written to."


@pytest.fixture
def png():
    """Make an image of a size, as bytes."""
    image = pytest.importorskip("PIL.Image")

    def make(width, height, colour="red"):
        buffer = io.BytesIO()
        image.new("RGB", (width, height), colour).save(buffer, "png")
        return buffer.getvalue()

    return make
