"""Ordinary views. Nothing here knows how many storages there are, or which.

Only the messages do: they tell the visitor what became of the production bucket.
"""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.files.storage import default_storage
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST
from django.views.generic import DetailView, ListView

from gallery import production
from gallery.forms import ReplaceForm, UploadForm
from gallery.instruments import answers, where
from gallery.models import Photo


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
        return context


class PhotoView(DetailView):
    """One picture, and where it was looked for."""

    model = Photo
    context_object_name = "photo"
    template_name = "gallery/photo.html"
    extra_context = {"replace_form": ReplaceForm}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        name = self.object.image.name
        return super().get_context_data(
            place=where(name), answers=answers(name), **kwargs
        )


@require_POST
def upload(request: HttpRequest) -> HttpResponse:
    """Add a picture."""
    form = UploadForm(request.POST, request.FILES)
    if not form.is_valid():
        return _refuse(request, form, "gallery")
    before = production.digest()
    photo = form.save()
    holder = where(photo.image.name)["backend"]
    _tell(request, f"“{photo}” was saved in {holder}.", before)
    return redirect("gallery")


@require_POST
def replace(request: HttpRequest, pk: int) -> HttpResponse:
    """Put other bytes under a picture's name."""
    photo = get_object_or_404(Photo, pk=pk)
    form = ReplaceForm(request.POST, request.FILES)
    if not form.is_valid():
        return _refuse(request, form, photo)
    before = production.digest()
    name = photo.image.name
    held_by = where(name)["backend"]
    with default_storage.open(name, "wb") as file:
        for chunk in form.cleaned_data["image"].chunks():
            file.write(chunk)
    now = where(name)["backend"]
    text = f"“{photo}” was replaced: {now} holds the new picture"
    if held_by not in (now, None):
        text += f" and wins over the one in {held_by}, which is still there"
    _tell(request, f"{text}.", before)
    return redirect(photo)


@require_POST
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Delete a picture, and say what that did."""
    photo = get_object_or_404(Photo, pk=pk)
    before = production.digest()
    name = photo.image.name
    held_by = where(name)["backend"]
    default_storage.delete(name)
    if not where(name)["hidden"]:
        photo.delete()
        _tell(request, f"“{photo}” is deleted: only {held_by} held it.", before)
    elif held_by == "production":
        _tell(request, f"“{photo}” is hidden: production keeps it.", before)
    else:
        _tell(
            request,
            f"The copy of “{photo}” in {held_by} is deleted, and production's is hidden.",
            before,
        )
    return redirect("gallery")


@require_POST
def undo(request: HttpRequest, pk: int) -> HttpResponse:
    """Show a hidden picture again."""
    photo = get_object_or_404(Photo, pk=pk)
    before = production.digest()
    default_storage.unhide(photo.image.name)
    holder = where(photo.image.name)["label"]
    _tell(request, f"“{photo}” is back, from {holder}.", before)
    return redirect("gallery")


@require_POST
def forget(request: HttpRequest) -> HttpResponse:
    """Empty the memo, or take one name out of it."""
    name = request.POST.get("name")
    if name:
        default_storage.forget(name)
        return redirect(get_object_or_404(Photo, image=name))
    default_storage.forget_all()
    messages.info(request, "The memo is empty: this page was made cold.")
    return redirect("gallery")


def _tell(
    request: HttpRequest, text: str, before: str, level: int = messages.SUCCESS
) -> None:
    """A message, with the bucket's digest before and after what was done."""
    after = production.digest()
    verdict = "unchanged" if after == before else "CHANGED"
    messages.add_message(
        request,
        level if after == before else messages.ERROR,
        f"{text} Production bucket {verdict}: {before[:12]} before, {after[:12]} after.",
    )


def _refuse(request: HttpRequest, form: Any, target: Any) -> HttpResponse:
    for errors in form.errors.values():
        for error in errors:
            messages.error(request, error)
    return redirect(target)
