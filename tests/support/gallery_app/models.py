"""Models with every way of giving a file field its storage."""

from __future__ import annotations

from django.db import models

from fallback_storage.storage import FallbackStorage

LOCAL = "django.core.files.storage.FileSystemStorage"
MEMORY = "django.core.files.storage.InMemoryStorage"


def choose_storage():
    return FallbackStorage(backends=[MEMORY], cache={"TTL": 60})


class Attachment(models.Model):
    """A file in the default storage."""

    title = models.CharField(max_length=50)
    file = models.FileField(upload_to="attachments/%Y/", max_length=60, blank=True)

    def __str__(self):
        return self.title


class Picture(models.Model):
    """An image in the default storage, with its dimensions in the database."""

    width = models.PositiveIntegerField(null=True, editable=False)
    height = models.PositiveIntegerField(null=True, editable=False)
    image = models.ImageField(
        upload_to="pictures", width_field="width", height_field="height", blank=True
    )

    def __str__(self):
        return self.image.name


class Archive(models.Model):
    """Files in storages of the fields' own."""

    own = models.FileField(
        storage=FallbackStorage(
            backends=[LOCAL, {"BACKEND": MEMORY, "NAME": "old", "READ_ONLY": True}],
            on_delete="all",
        ),
    )
    chosen = models.FileField(storage=choose_storage, blank=True)

    def __str__(self):
        return self.own.name


class Blob(models.Model):
    """A file in the database, as django-db-file-storage keeps it."""

    content = models.TextField()
    filename = models.CharField(max_length=255, unique=True)
    mimetype = models.CharField(max_length=50)

    def __str__(self):
        return self.filename
