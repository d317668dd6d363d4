"""One spelling for every file name, before any backend or memo sees it.

``./a``, ``a//b`` and backslashes are spellings that Django's storages and
django-storages fold in different ways. Folding them once, here, makes all backends
of a chain and the memo speak of the same file; names that would leave the storage
are refused here, so they reach no backend.
"""

from __future__ import annotations

import ntpath
import os
import posixpath
from functools import lru_cache
from pathlib import PurePath, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import File
from django.core.files.utils import validate_file_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

StrPath = str | os.PathLike[str]

IS_NT: Final = os.name == "nt"  # C:a


def clean_name(name: StrPath, location: Callable[[], str] | None = None) -> str:
    """Return the canonical spelling of ``name``.

    The storage's root is ``""``; a trailing slash is kept, because object stores
    tell ``a/`` from ``a``. ``location`` returns the directory below which an absolute
    name is a name in the storage.

    Raises ``SuspiciousFileOperation`` (Django answers 400) for other names that are
    absolute, that climb above the storage's root or hold a NUL character, and
    ``TypeError`` for anything but ``str`` or a path of ``str``.
    """
    if type(name) is str and is_plain(name):
        return name
    text = os.fspath(name)
    if not isinstance(text, str):
        raise TypeError(f"A file name must be str or a path of str, not {text!r}.")
    if "\0" in text:
        raise SuspiciousFileOperation(f"The file name {text!r} holds a NUL character.")
    slashed = text.replace("\\", "/")
    if slashed.startswith("/") or (os.name == "nt" and ntpath.splitdrive(text)[0]):
        relative = _below(location(), text) if location else None
        if relative is not None:
            return clean_name(relative)
        raise SuspiciousFileOperation(
            f"The file name {text!r} is absolute; names are relative to the storage."
        )
    clean = posixpath.normpath(slashed)
    if clean == ".." or clean.startswith("../"):
        raise SuspiciousFileOperation(
            f"Detected path traversal attempt in {text!r}: it leaves the storage."
        )
    if clean == ".":
        return ""
    return clean + "/" if slashed.endswith("/") else clean


def _below(location: str, text: str) -> str | None:
    """Return what an absolute path is below a directory; None if it is elsewhere.

    Links are not resolved. Below the root of a file system nothing is: any file of the
    machine could be named.
    """
    above, path = (PurePath(os.path.normpath(each)) for each in (location, text))
    if above == above.parent or not above.is_absolute():
        return None
    if not path.is_relative_to(above):
        return None
    relative = str(path.relative_to(above))
    return f"{relative}/" if text.endswith(("/", os.sep)) else relative


def validated(name: str) -> str:
    """Return a name that Django's ``Storage.save`` does not refuse."""
    # In a plain one there is nothing that it looks for.
    if not (type(name) is str and is_plain(name)):
        validate_file_name(name, allow_relative_path=True)
    return name


def refuse_dots(name: StrPath) -> None:
    """Raise what Django's ``Storage.save`` raises for a name, also where it folds to one.

    (An absolute name that the chain takes is a name in the storage.)
    """
    validate_file_name(str(name).lstrip("/\\"), allow_relative_path=True)


def refuse_no_file(name: StrPath) -> None:
    """Raise what Django's storages raise for a name that climbs, or is of no file."""
    directory, filename = posixpath.split(str(name).replace("\\", "/"))
    if ".." in PurePosixPath(directory).parts:
        raise SuspiciousFileOperation(
            f"Detected path traversal attempt in '{directory}'"
        )
    validate_file_name(filename)


def is_plain(text: str) -> bool:
    """Whether there is nothing to fold or refuse; as most names are, of every call."""
    return (
        text != ""
        and text[0] not in "/."
        and text[-1] != "/"
        and "/." not in text
        and "//" not in text
        and "\\" not in text
        and "\0" not in text
        and not IS_NT
    )


# What is to be folded or refused within a name, at its beginning, and at its end.
ODD: Final = ("\\", "\0", "//", "/.", "\n/", "\n.", "/\n", "\n\n")


def are_plain(texts: Collection[str]) -> bool:
    """Whether ``is_plain`` holds for each. False may be wrong."""
    joined = "\n".join(("", *texts, ""))
    return os.name != "nt" and not any(odd in joined for odd in ODD)


def memo_key(clean: str) -> str | None:
    """Return the memo's key for a clean name, or None if it must not be memoised.

    The root and names with a trailing slash mean directories, of which each kind
    of backend has its own idea.
    """
    return None if not clean or clean.endswith("/") else clean


def memo_keys(cleans: Iterable[str]) -> list[str]:
    """Return those of which ``memo_key`` is one."""
    return [clean for clean in cleans if clean and clean[-1] != "/"]


def affected(*names: StrPath) -> frozenset[str]:
    """Return every name of which a write to ``names`` may change what is known.

    These are the names and their ancestors: saving ``a/b/c`` makes ``exists("a/b")``
    true on a file system.
    """
    result: frozenset[str] = frozenset()
    for name in names:
        try:
            head = clean_name(name).rstrip("/")
        except (SuspiciousFileOperation, TypeError):
            continue  # what a backend returned: nothing can be known of it
        if head:
            above = _lineage if len(head) <= KEPT_LENGTH else _lineage.__wrapped__
            result = result.union(above(head.rpartition("/")[0]), (head,))
    return result


@lru_cache(maxsize=64)
def _lineage(directory: str) -> tuple[str, ...]:
    """Return a directory and its ancestors. Most of what is written lies in few."""
    found = []
    while directory:
        found.append(directory)
        directory = directory.rpartition("/")[0]
    return tuple(found)


# This package's own folders. Staged files lie in one beside other files, whiteouts below
# the root.
STAGING_FOLDER: Final = ".fallback-staging"

WHITEOUTS_FOLDER: Final = ".fallback-whiteouts"


def is_name(name: str, *, own: bool = False) -> bool:
    """Whether a storage reaches what is listed under this name, and it is not ours.

    ``own``: it may be ours.
    """
    try:
        reached = clean_name(name) == name and memo_key(name) is not None
    except SuspiciousFileOperation:
        return False
    return reached and (own or not is_own(name))


def is_passed_over(name: str) -> bool:
    """Whether a listing shows a file that no storage reaches, and that is not ours.

    (Object stores have empty objects for directories.)
    """
    return not (name.endswith("/") or is_own(name) or is_name(name))


def is_own(name: str) -> bool:
    """Whether a file is in a folder of this package: a whiteout, a staged file."""
    return name.startswith(f"{WHITEOUTS_FOLDER}/") or (
        STAGING_FOLDER in name and f"/{STAGING_FOLDER}/" in f"/{name}"
    )


# Characters of a name up to which its ancestors are kept: these are few then.
KEPT_LENGTH: Final = 200

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
