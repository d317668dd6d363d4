"""The rows of the table, in its order. A new module of rows is named here."""

from __future__ import annotations

from importlib import import_module

for module in (
    "hits",
    "files",
    "pages",
    "remote",
    "shared",
    "outage",
    "many",
    "warming",
    "sync",
    "crowd",
    "views",
    "process",
):
    import_module(f"rows.{module}")
