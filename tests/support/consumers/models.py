"""Pictures, as every library takes them but Wagtail and filer, which have their own."""

from __future__ import annotations

from django.db import models
from django_cleanup import cleanup
from imagekit.models import ImageSpecField
from imagekit.processors import ResizeToFill


class Photo(models.Model):
    title = models.CharField(max_length=50)
    image = models.ImageField(upload_to="photos")
    small = ImageSpecField(
        source="image", processors=[ResizeToFill(8, 8)], format="PNG"
    )

    def __str__(self):
        return self.title


@cleanup.select
class Avatar(models.Model):
    """Its old files are deleted, by django-cleanup."""

    image = models.ImageField(upload_to="avatars")

    def __str__(self):
        return self.image.name
