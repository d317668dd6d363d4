"""Where the files of a storage are, as far as its class says."""

from __future__ import annotations

from pathlib import Path
from types import FunctionType, MemberDescriptorType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Container

# Attributes by which storages say where their files are, also if a setting said so.
PLACES = (
    "location",
    "base_location",
    "bucket_name",
    "endpoint_url",
    "account_name",
    "azure_container",
    "root_path",
    "host",
    "_host",
    "_root_path",
)

# Whose classes compute places from their options and the settings, and not by tenant.
STEADY = frozenset({"django", "storages", "fallback_storage"})

PLAIN = (FunctionType, MemberDescriptorType)


def class_path(klass: type) -> str:
    """Return where a class is to be found."""
    return f"{klass.__module__}.{klass.__qualname__}"


def computes_its_place(klass: type, known: Container[str]) -> bool:
    """Whether it is a class of somebody's own that says anew each time where it is.

    ``known``: paths of classes of which that is known.
    """
    for base in klass.__mro__:
        if base.__module__.partition(".")[0] in STEADY or class_path(base) in known:
            return False
        own = vars(base)
        found = [own[place] for place in PLACES if place in own]
        # (What computes nothing when it is read: methods, and slots.)
        if any(hasattr(type(e), "__get__") and not isinstance(e, PLAIN) for e in found):
            return True
    return False


def root_of_directory(storage: Any) -> tuple[str, str]:
    """Return what all directories lie in, and where in it the files of this one begin."""
    return "", Path(storage.location).resolve().as_posix()


def root_of_s3storage(storage: Any) -> tuple[str, str]:
    """Return the bucket, whoever may use it, and what its keys begin with."""
    return f"{storage.endpoint_url} {storage.bucket_name}", storage.location
