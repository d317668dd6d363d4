"""The directories of a ``FileSystemStorage``, made as it makes them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def make_directories(storage: Any, name: str) -> None:
    """Make the directories that ``name`` lies in, as ``FileSystemStorage`` does."""
    directory = Path(storage.path(name)).parent
    mode = storage.directory_permissions_mode
    lineage = (directory, *directory.parents)
    missing = [] if mode is None else [each for each in lineage if not each.exists()]
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        # In its words. (Not that the name is taken: another one would not help.)
        text = f"{directory} exists and is not a directory."
        raise FileExistsError(text) from error
    for each in missing:
        # mkdir() does not apply a mode to the parents that it makes.
        each.chmod(mode)


def in_directory(storage: Any, name: str, action: Callable[[], T]) -> T:
    """Return what ``action`` does in the directory of ``name``.

    That is made if it is missing, which costs nothing where it is not. (An empty one
    may be deleted at any moment.) Raises what ``action`` and ``make_directories`` raise.
    """
    try:
        return action()
    except (FileNotFoundError, NotADirectoryError):
        make_directories(storage, name)
        return action()
