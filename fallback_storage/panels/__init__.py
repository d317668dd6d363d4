"""A panel for django-debug-toolbar."""

from __future__ import annotations

from fallback_storage.panels.panel import FallbackStoragePanel

__all__ = ["FallbackStoragePanel"]
