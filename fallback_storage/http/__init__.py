"""Production as anybody sees it: a storage that reads a public site over HTTP."""

from __future__ import annotations

from fallback_storage.http.storage import HTTPStorage

__all__ = ["HTTPStorage"]
