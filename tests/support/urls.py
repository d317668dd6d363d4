from __future__ import annotations

import importlib.util

from django.contrib import admin
from django.urls import include, path

urlpatterns = [path("admin/", admin.site.urls)]
# A storage whose files are served by a view of its own (tests/real).
if importlib.util.find_spec("db_file_storage"):
    urlpatterns.append(path("files/", include("db_file_storage.urls")))
