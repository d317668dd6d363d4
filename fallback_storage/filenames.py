"""What a page shows -> the names of its files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from django.core.files.base import File

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


PATHS = (str, os.PathLike)


def filenames(
    objects: Iterable[Any], storage: object
) -> Iterator[str | os.PathLike[str]]:
    """Yield the names in ``storage`` of names, field files and model instances.

    Of a model instance those of all its file fields that are loaded; a queryset is
    evaluated and keeps its instances. Empty fields, and files of other storages, are
    passed over. Raises ``TypeError`` for anything else.
    """
    refuse_single(objects)
    for position, item in enumerate(objects):
        if isinstance(item, PATHS):
            yield item
        elif item is not None:
            yield from _names_of(item, storage, position)


def refuse_single(objects: object) -> None:
    """Raise ``TypeError`` for one name, or one file, instead of a collection of them."""
    # A file is iterable: its lines would be read.
    single = isinstance(objects, str | bytes | os.PathLike | File)
    if single or not hasattr(objects, "__iter__"):
        raise TypeError(f"A collection of names is wanted, not one: [{objects!r}].")


def _names_of(item: Any, storage: object, position: int) -> Iterator[str]:
    from django.db.models import Model
    from django.db.models.fields.files import FieldFile

    if isinstance(item, Model):
        files = _files_of(item)
    elif isinstance(item, FieldFile):
        files = [item]
    else:
        raise TypeError(
            f"Item {position} is a {type(item).__name__}. Give names (str), field files, "
            "or model instances."
        )
    for file in files:
        # Not the reverse: of two storages behind the same proxy, the proxy compares.
        # (What was assigned and not saved has the name that it came with.)
        saved = file and file._committed  # noqa: SLF001 - Django's only word for it
        if saved and file.storage == storage:
            yield file.name


def _files_of(instance: Any) -> list[Any]:
    from django.db.models import FileField

    deferred = instance.get_deferred_fields()  # a query each, if looked at
    return [
        getattr(instance, field.attname)
        for field in instance._meta.concrete_fields  # noqa: SLF001 - Django's Meta API
        if isinstance(field, FileField) and field.attname not in deferred
    ]
