"""A storage that holds every name."""

from __future__ import annotations

import datetime as dt

from django.core.files.storage import Storage

LONG_AGO = dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)


class Everything(Storage):
    def exists(self, name):
        return True

    def url(self, name):
        return f"/{name}"

    def size(self, name):
        return 20_000

    def get_modified_time(self, name):
        return LONG_AGO
