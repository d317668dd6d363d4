"""The media view: files are served through a chain, wherever they are."""

from __future__ import annotations

from fallback_storage.views.serve import media

__all__ = ["media"]
