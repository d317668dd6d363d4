"""Content that has to be kept for a while."""

from __future__ import annotations

from typing import Final

# Bytes that are kept in memory; more lie in a temporary file.
SPOOL_MEMORY: Final = 5 * 1024 * 1024
