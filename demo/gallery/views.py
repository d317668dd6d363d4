"""Ordinary views. Nothing here knows how many storages there are, or which.

Only the messages do: they tell the visitor what became of the production bucket.
"""

from __future__ import annotations

import os
import posixpath
import signal
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.files.storage import default_storage
from django.forms import BaseForm, modelform_factory
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST
from django.views.generic import DetailView, ListView

from gallery.instruments import integrity, labelled, watched
from gallery.models import Photo

UploadForm = modelform_factory(Photo, fields=["title", "image"])
ReplaceForm = modelform_factory(Photo, fields=["image"])


class GalleryView(ListView):
    """All pictures on one page."""

    model = Photo
    context_object_name = "photos"
    template_name = "gallery/index.html"
    extra_context = {"upload_form": UploadForm}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Tell the deleted pictures that can be brought back from the others."""
        context = super().get_context_data(**kwargs)
        # All files of the page at once; the template asks for one URL after the other.
        default_storage.prefetch(context["photos"])
        hidden = set(default_storage.hidden())
        for photo in context["photos"]:
            photo.hidden = photo.image.name in hidden
        if settings.SITE["http"]:
            context |= {"website": watched()}
        return context


class PhotoView(DetailView):
    """One picture, and where it was looked for."""

    model = Photo
    context_object_name = "photo"
    template_name = "gallery/photo.html"
    extra_context = {"replace_form": ReplaceForm}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Ask the storage in every way that there is."""
        name = self.object.image.name
        folder, file = posixpath.split(name)
        try:
            exists = str(default_storage.exists(name))
            listed = file in default_storage.listdir(folder)[1]
        except OSError as error:  # production is gone, and nobody knows
            exists, listed = type(error).__name__, False
        return super().get_context_data(
            place=labelled(default_storage.resolve(name)), exists=exists, listed=listed
        )


@require_POST
def upload(request: HttpRequest) -> HttpResponse:
    """Add a picture."""
    form = UploadForm(request.POST, request.FILES)
    if not form.is_valid():
        return _refuse(request, form, "gallery")
    photo = form.save()
    return _done(request, f"“{photo}” was saved in {_holder(photo)}.")


@require_POST
def replace(request: HttpRequest, pk: int) -> HttpResponse:
    """Put other bytes under a picture's name."""
    photo = get_object_or_404(Photo, pk=pk)
    form = ReplaceForm(request.POST, request.FILES)
    if not form.is_valid():
        return _refuse(request, form, "photo", pk)
    with default_storage.open(photo.image.name, "wb") as file:
        file.writelines(form.cleaned_data["image"].chunks())
    return _done(request, f"“{photo}” was replaced in {_holder(photo)}.")


@require_POST
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Delete a picture, and say what that did."""
    photo = get_object_or_404(Photo, pk=pk)
    held_by = _holder(photo)
    default_storage.delete(photo.image.name)
    if _holder(photo) == "hidden":
        return _done(request, f"“{photo}” is deleted here: production's is hidden.")
    photo.delete()
    return _done(request, f"“{photo}” is deleted: only {held_by} held it.")


@require_POST
def undo(request: HttpRequest, pk: int) -> HttpResponse:
    """Show a hidden picture again."""
    photo = get_object_or_404(Photo, pk=pk)
    default_storage.unhide(photo.image.name)
    return _done(request, f"“{photo}” is back, from {_holder(photo)}.")


@require_POST
def forget(request: HttpRequest) -> HttpResponse:
    """Empty the memo, or take one name out of it."""
    if name := request.POST.get("name"):
        default_storage.forget(name)
        return redirect("photo", get_object_or_404(Photo, image=name).pk)
    default_storage.forget_all()
    messages.info(request, "The memo is empty: this page was made cold.")
    return redirect("gallery")


@require_POST
def outage(request: HttpRequest) -> HttpResponse:
    """Take production away."""
    if watched().takes_requests():
        os.kill(settings.SITE["pid"], signal.SIGTERM)
    messages.warning(request, "Production is gone. What was seen is here.")
    return redirect("gallery")


def _holder(photo: Photo) -> str:
    return labelled(default_storage.resolve(photo.image.name))["label"]


def _done(request: HttpRequest, text: str) -> HttpResponse:
    """Back to the gallery, with a message, also of what became of production."""
    found = integrity()
    tell = messages.success if found["unchanged"] else messages.error
    verdict = "unchanged" if found["unchanged"] else "CHANGED"
    text += f" Production {verdict}: {found['then']} before, {found['now']} now."
    tell(request, text)
    return redirect("gallery")


def _refuse(request: HttpRequest, form: BaseForm, *target: Any) -> HttpResponse:
    messages.error(request, form.errors.as_text())
    return redirect(*target)
