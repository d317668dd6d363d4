"""Django storages that fall back on each other, and remember which one answered."""

from __future__ import annotations

__version__ = "2.0.0"
