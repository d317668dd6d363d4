"""The demo's pages, and its files."""

from __future__ import annotations

from django.conf import settings
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import include, path
from django.views.decorators.cache import cache_control

from fallback_storage.views import media
from gallery import views
from gallery.instruments import instrumented

# A replaced picture keeps its URL: browsers are to ask whether it has changed.
media = cache_control(no_cache=True)(media)
gallery = views.GalleryView.as_view()
# The toolbar shows what the page asks; the instruments ask many times over.
toolbar, http = settings.SITE["toolbar"], settings.SITE["http"]

urlpatterns = [
    path("", gallery if toolbar or http else instrumented(gallery), name="gallery"),
    path("upload/", views.upload, name="upload"),
    path("forget/", views.forget, name="forget"),
    path("outage/", views.outage, name="outage"),
    path("photo/<int:pk>/", views.PhotoView.as_view(), name="photo"),
    path("photo/<int:pk>/replace/", views.replace, name="replace"),
    path("photo/<int:pk>/delete/", views.delete, name="delete"),
    path("photo/<int:pk>/undo/", views.undo, name="undo"),
    path("media/<path:name>", media, {"prefixes": ["photos/", "films/", "letters/"]}),
    *staticfiles_urlpatterns(),
]
if toolbar:
    urlpatterns.append(path("__debug__/", include("debug_toolbar.urls")))
