"""What the page is compared with: other memos, no memo, and the rule of version 1."""

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


@cache
def without_near(column: str) -> FallbackStorage:
    """The same chain on the same shared memo, without a near tier in front of it.

    One for each `column`: what a page has prefetched from one, the other must not know.
    """
    options = settings.STORAGES["default"]["OPTIONS"]
    memo = {**settings.FALLBACK_STORAGE_CACHE, "NEAR": False}
    return FallbackStorage(**{**options, "cache": memo})


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
