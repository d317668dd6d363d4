"""The one model."""

from __future__ import annotations

from django.db import models


class Photo(models.Model):
    """A picture. Which storage holds it is not the model's business."""

    title = models.CharField(max_length=80)
    image = models.ImageField("picture", upload_to="photos/")

    class Meta:
        ordering = ("-pk",)

    def __str__(self) -> str:
        return self.title
