"""What the page is compared with: no memo, and the rule of version 1."""

from __future__ import annotations

from functools import cache

from django.conf import settings
from django.core.files.storage import Storage, default_storage

from fallback_storage.storage import FallbackStorage


@cache
def memo_off() -> FallbackStorage:
    """The same chain without a memo."""
    options = settings.STORAGES["default"]["OPTIONS"]
    return FallbackStorage(**{**options, "cache": False})


class VersionOneRule(Storage):
    """Emulates how django-fallback-storage 1.x is documented to make a URL.

    "When computing a url, FallbackStorage first checks if the file exists. If the
    file exists in none of the storage backends, the last backend is used." It is
    not that version's code, which does not run on the Django of today.
    """

    def exists(self, name: str) -> bool:
        """Whether any backend says so, asked in order."""
        return any(backend.storage.exists(name) for backend in default_storage.backends)

    def url(self, name: str | None) -> str:
        """The URL by the first backend that has the file, else by the last."""
        backends = default_storage.backends
        for backend in backends:
            if backend.storage.exists(name):
                return str(backend.storage.url(name))
        return str(backends[-1].storage.url(name))


version_one_rule = VersionOneRule()
