"""What a test has a site do, besides visits."""

from __future__ import annotations

import time
from posixpath import basename

from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.db import connection
from filer import settings as filer
from filer.models import Folder
from filer.models import Image as FilerImage
from sites import png
from wagtail.images.models import Image as WagtailImage
from wagtail.models import Collection

from consumers.models import Avatar, Photo
from fallback_storage.chain import reaches


def log_in(client):
    """As the only user. The first process of a database makes its tables."""
    if "auth_user" not in connection.introspection.table_names():
        call_command("migrate", run_syncdb=True, verbosity=0)
        Collection.add_root(name="Root")  # what Wagtail's migrations do
        User.objects.create_superuser("admin", password="x")
    client.force_login(User.objects.get())


def storages():
    """Every storage that a library asks; filer makes its own."""
    return [
        default_storage,
        filer.FILER_PUBLICMEDIA_STORAGE,
        filer.FILER_PUBLICMEDIA_THUMBNAIL_STORAGE,
    ]


def forget_everything():
    """As after a new start: nothing is known by heart."""
    cache.clear()
    for storage in storages():
        if hasattr(storage, "forget_all"):
            storage.forget_all()


def start_afresh():
    """Forget that a backend could not be reached, too."""
    reaches.forget_all()
    for storage in storages():
        storage.after_fork()


def let_hours_pass():
    """What is known of files is over; what libraries know of them is forgotten."""
    cache.clear()
    for storage in storages():
        storage._get_engine().memo.store._clock = lambda: time.monotonic() + 4 * 3600


def add_rows(names):
    """Rows of files that are there already: no file is read."""
    Photo.objects.bulk_create(Photo(title=name, image=name) for name in names)
    facts = {"width": 20, "height": 10, "file_size": 78, "file_hash": "0" * 40}
    WagtailImage.objects.bulk_create(
        WagtailImage(title=name, file=name, **facts) for name in names
    )


def upload_to_filer(names):
    """Return the id of a folder with new files."""
    folder = Folder.objects.create(name="pictures")
    for name in names:
        file = ContentFile(png(), name=basename(name))
        FilerImage.objects.create(
            folder=folder,
            original_filename=file.name,
            file=file,
            owner=User.objects.get(),
        )
    return folder.pk


MODELS = {"avatar": Avatar, "photo": Photo, "wagtail": WagtailImage}


def first(model):
    """Return the id of a model's first row."""
    return MODELS[model].objects.earliest("pk").pk


def last(model):
    """Return the id of a model's last row."""
    return MODELS[model].objects.latest("pk").pk


def avatar(pk):
    """Return the name of its picture."""
    return Avatar.objects.get(pk=pk).image.name


def take_photos(title):
    """Return the names of the pictures with that title, whose rows go."""
    found = Photo.objects.filter(title=title)
    names = [photo.image.name for photo in found]
    found.delete()
    return names
