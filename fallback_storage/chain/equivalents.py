"""Equivalents: what a storage would answer, told without the detours that it takes.

Most of what ``FileSystemStorage`` takes for an answer is the path that it makes of the
name. Here that is put together, where it is certain to be the same (as a URL is, see
``quick_url``).

Only for methods that are the class's own: not a subclass's, not set on the instance or
replaced in the class (a test may), which each call looks at anew, as at what the answer
rests on (``MEDIA_ROOT``). In any doubt the storage itself is asked.
"""

from __future__ import annotations

import os
from functools import partial
from operator import attrgetter
from stat import S_ISDIR, S_ISLNK
from typing import TYPE_CHECKING, Any, Final

from django.core.files.base import File
from django.core.files.storage import FileSystemStorage

from fallback_storage.chain.outcomes import ABSENT, HELD, TAKEN, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Look = Callable[[str], Outcome]
    Glance = Callable[[str], bool]

# The file type in a mode, and that of a file.
TYPE_BITS: Final = 0o170000
REGULAR: Final = 0o100000

# What tells a time, and of which field of ``os.stat`` it is made.
TIMES: Final = {
    "get_accessed_time": "st_atime",
    "get_created_time": "st_ctime",
    "get_modified_time": "st_mtime",
}

_DJANGOS: Final = {
    method: getattr(FileSystemStorage, method)
    for method in (
        *("exists", "path", "open", "_open", "location", "size", *TIMES),
        "_ensure_location_group_id",
    )
}


def has_djangos(storage: Any, *methods: str) -> bool:
    """Whether it is a ``FileSystemStorage`` in which these are Django's."""
    if not isinstance(storage, FileSystemStorage) or intercepts(storage):
        return False
    kind, own = type(storage), vars(storage)
    for method in methods:
        if getattr(kind, method, None) is not _DJANGOS[method]:
            return False
        if method in own and method != "location":
            return False
    return True


def kind_of(path: str) -> Outcome:
    """Return what is at a path; whatever keeps one from looking counts as nothing.

    As for ``os.path.lexists``. A link to a file is one.
    """
    try:
        mode = os.lstat(path).st_mode
    except (OSError, ValueError):
        return ABSENT
    return _kind(path, mode)


def _kind(path: str, mode: int) -> Outcome:
    if S_ISLNK(mode):
        try:
            mode = os.stat(path).st_mode
        except OSError:
            return TAKEN
    return TAKEN if S_ISDIR(mode) else HELD


# The hot path: nothing from here on is for beauty.

# Whether anything is at a path, also a link that leads nowhere: ``lexists`` in half the
# time, without a ``stat_result`` or an exception.
_ACCESS = {"effective_ids": True, "follow_symlinks": False}
_lexists: Glance = partial(os.access, mode=os.F_OK, **_ACCESS)


def _tells(lexists: Glance) -> bool:
    """Whether the system can tell it so; it denies what it cannot tell.

    (Some filters of system calls, and C libraries, do not know those flags.)
    """
    try:
        return lexists(os.sep)
    except NotImplementedError:
        return False


LEXISTS: Final = _lexists if _tells(_lexists) else None


def plain_look(  # noqa: C901
    storage: FileSystemStorage, otherwise: Look
) -> Look:
    """Return what tells what has a clean name, as ``exists`` does; or ``otherwise`` does.

    For a storage that ``has_djangos`` "exists" and "path".
    """
    # (As ``_beginning``, whose call would take a quarter of the time.)
    kind, own = type(storage), vars(storage)
    exists, path = _DJANGOS["exists"], _DJANGOS["path"]
    made: tuple[Any, str | None] = kind, None
    # Names that are not there come one after the other: a page of remote files.
    is_absent = False

    def look(name: str, lstat: Any = os.lstat) -> Outcome:
        nonlocal made, is_absent
        if (
            kind.exists is not exists
            or kind.path is not path
            or "exists" in own
            or "path" in own
        ):
            return otherwise(name)
        location, start = made
        told = storage.location
        if location is not told:  # MEDIA_ROOT may change
            if location != told:
                start = below(told)
            made = told, start
        if start is None:
            return otherwise(name)
        if not name or name[-1] == "/" or ".." in name:
            return kind_of(storage.path(name))
        file = start + name
        try:
            if is_absent and LEXISTS and not LEXISTS(file):
                return ABSENT
            mode = lstat(file).st_mode
        except (OSError, ValueError):
            is_absent = True
            return ABSENT
        is_absent = False
        return HELD if mode & TYPE_BITS == REGULAR else _kind(file, mode)

    return look


def plain_glance(storage: FileSystemStorage) -> Glance:
    """Return what tells whether anything has a name that was looked up before.

    For those in which "location" is Django's as well. What it denies may be there.
    """
    # (As ``plain_look``.)
    kind, own = type(storage), vars(storage)
    exists, path = _DJANGOS["exists"], _DJANGOS["path"]
    made: tuple[Any, str] = kind, ""

    def glance(name: str, access: Any = os.access, anything: int = os.F_OK) -> bool:
        nonlocal made
        if kind.exists is not exists or kind.path is not path:
            return False
        if "exists" in own or "path" in own:
            return False
        location, start = made
        told = storage.location
        if location is not told:
            start = below(told) or ""
            made = told, start
        # (Nothing is remembered of names that end with a slash.)
        return start != "" and access(start + name, anything)

    return glance


def answers_of(storage: Any) -> Mapping[str, Callable[..., Any]]:
    """Return what answers in place of methods of a storage, by their names.

    What it returns of a file that is there is what the method does, or None: in doubt,
    and for a directory. What it raises need not be the same.
    """
    if not has_djangos(storage, "path", "location"):
        return {}
    fields = {"size": "st_size", **TIMES}
    found: dict[str, Callable[..., Any]] = {
        method: _statting(storage, method, field)
        for method, field in fields.items()
        if has_djangos(storage, method)
    }
    return found | (
        {"_open": _opening(storage)} if has_djangos(storage, "_open") else {}
    )


def _opening(storage: FileSystemStorage) -> Callable[[str, str], Any]:
    beginning = _beginning(storage, "_open")

    def opened(name: str, mode: str) -> File[Any] | None:
        start = beginning()
        return None if start is None else File(open(start + name, mode))

    return opened


def _statting(storage: Any, method: str, field: str) -> Callable[[str], Any]:
    beginning = _beginning(storage, method)
    is_time = method in TIMES
    read = attrgetter("st_mode", field)

    def told(name: str, stat: Any = os.stat) -> Any:
        start = beginning()
        if start is None:
            return None
        mode, found = read(stat(start + name))
        if mode & TYPE_BITS != REGULAR:
            return None
        return storage._datetime_from_timestamp(found) if is_time else found  # noqa: SLF001

    return told


def _beginning(storage: Any, method: str) -> Callable[[], str | None]:
    """Return what tells what stands before a clean name in the path of its file.

    For a name without a slash at its end. None where that is not all there is to it, or
    the method is not Django's any more.
    """
    kind, own = type(storage), vars(storage)
    function, path = _DJANGOS[method], _DJANGOS["path"]
    made: tuple[Any, str | None] = None, None

    def beginning() -> str | None:
        nonlocal made
        if method in own or "path" in own or kind.path is not path:
            return None
        if getattr(kind, method) is not function:
            return None
        location, start = made
        if location != storage.location:  # MEDIA_ROOT may change
            location = storage.location
            start = below(location)
            made = location, start
        return start

    return beginning


def below(location: Any) -> str | None:
    """Return what stands before the names in a directory; None: it can be anything.

    A location that was given to the instance need not be absolute.
    """
    plain = os.name == "posix" and location == os.path.abspath(location)
    return os.path.join(location, "") if plain else None


def intercepts(storage: object) -> bool:
    """Whether its class decides at each look which methods it has."""
    return type(storage).__getattribute__ is not object.__getattribute__
