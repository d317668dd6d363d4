"""The demo's pages, and the local directory's files."""

from __future__ import annotations

from django.conf import settings
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import include, path
from django.views.decorators.cache import cache_control
from django.views.static import serve

from gallery import views
from gallery.instruments import instrumented

# A replaced picture keeps its URL: browsers are to ask whether it has changed.
media = cache_control(no_cache=True)(serve)
gallery = views.GalleryView.as_view()
# The toolbar shows what the page asks; the instruments ask many times over.
toolbar = settings.SITE["toolbar"]

urlpatterns = [
    path("", gallery if toolbar else instrumented(gallery), name="gallery"),
    path("upload/", views.upload, name="upload"),
    path("forget/", views.forget, name="forget"),
    path("photo/<int:pk>/", views.PhotoView.as_view(), name="photo"),
    path("photo/<int:pk>/replace/", views.replace, name="replace"),
    path("photo/<int:pk>/delete/", views.delete, name="delete"),
    path("photo/<int:pk>/undo/", views.undo, name="undo"),
    path("media/<path:path>", media, {"document_root": settings.MEDIA_ROOT}),
    *staticfiles_urlpatterns(),
]
if toolbar:
    urlpatterns.append(path("__debug__/", include("debug_toolbar.urls")))
