"""The rule of version 1, which the page is compared with."""

from __future__ import annotations

from django.core.files.storage import Storage, default_storage


class VersionOneRule(Storage):
    """Emulates how django-fallback-storage 1.x is documented to make a URL.

    "When computing a url, FallbackStorage first checks if the file exists. If the
    file exists in none of the storage backends, the last backend is used."
    """

    def url(self, name: str | None) -> str:
        backends = [backend.storage for backend in default_storage.backends]
        holders = (backend for backend in backends if backend.exists(name))
        return str(next(holders, backends[-1]).url(name))
