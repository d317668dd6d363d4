"""What the tests of several subcommands start from."""

from __future__ import annotations

import pytest


@pytest.fixture
def shared(settings, tmp_path):
    """A cache that processes share, under the alias "media"."""
    settings.CACHES = {
        "media": {
            "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
            "LOCATION": str(tmp_path / "cache"),
        }
    }
