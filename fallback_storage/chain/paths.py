"""Where Django's ``FileSystemStorage`` keeps a file: its path, told without the detour.

As ``equivalents``, for who writes. A storage is looked at anew each time: only what is the
class's own, and not replaced, is left out.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any, Final

from django.core.files.storage import FileSystemStorage

from fallback_storage.chain.equivalents import below, intercepts

PATH: Final = FileSystemStorage.path
DELETE: Final = FileSystemStorage.delete

# (A location that is not absolute is not plain, wherever the process is.)
_below = lru_cache(maxsize=64)(below)


def path_of(storage: Any, name: str) -> str:
    """Return what ``storage.path`` does for a clean name. Raises what that raises."""
    kind = type(storage)
    if (
        getattr(kind, "path", None) is not PATH
        or intercepts(storage)
        or "path" in vars(storage)
    ):
        return storage.path(name)  # type: ignore[no-any-return]
    start = _below(storage.location)
    if start is None or not name or "/" in {name[0], name[-1]} or ".." in name:
        return storage.path(name)  # type: ignore[no-any-return]
    return start + name


def delete(storage: Any, name: str) -> None:
    """Do what ``storage.delete`` does for a clean name. Raises what that raises."""
    kind = type(storage)
    if (
        getattr(kind, "delete", None) is not DELETE
        or intercepts(storage)
        or "delete" in vars(storage)
        or not name
    ):
        storage.delete(name)
        return
    path = path_of(storage, name)
    try:  # noqa: SIM105 - that takes longer than the call
        (os.rmdir if os.path.isdir(path) else os.remove)(path)  # noqa: PTH112
    except FileNotFoundError:
        pass
