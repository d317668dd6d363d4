"""Forms for adding and replacing pictures."""

from __future__ import annotations

from django import forms

from gallery.models import Photo


class UploadForm(forms.ModelForm):
    """A new picture."""

    class Meta:
        model = Photo
        fields = ("title", "image")


class ReplaceForm(forms.Form):
    """Another picture under the same name."""

    image = forms.ImageField(label="Another picture for this name")
