from __future__ import annotations

from django.contrib import admin
from django.shortcuts import render
from django.urls import include, path
from wagtail.admin import urls as cms
from wagtail.images.models import Image

from consumers.models import Photo


def page(request, library):
    """All pictures on one page, by the library's own tags."""
    photos = (Image if library == "wagtail" else Photo).objects.order_by("pk")
    return render(request, f"consumers/{library}.html", {"photos": photos})


urlpatterns = [
    path("admin/", admin.site.urls),
    path("cms/", include(cms)),
    path("filer/", include("filer.urls")),
    path("page/<library>/", page),
]
