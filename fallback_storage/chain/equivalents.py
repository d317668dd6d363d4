"""Equivalents: what a storage would answer, told without the detours that it takes.

Most of what ``FileSystemStorage`` takes for an answer is the path that it makes of the
name; of a URL, that it is quoted and joined. Here both are put together, where it is
certain to be the same.

Only for methods that are the class's own: not a subclass's, not set on the instance or
replaced in the class (a test may), which each call looks at anew, as at what the answer
rests on (``MEDIA_ROOT``, ``MEDIA_URL``). In any doubt the storage itself is asked.
"""

from __future__ import annotations

import os
import re
from operator import attrgetter
from stat import S_ISDIR, S_ISLNK
from types import NoneType
from typing import TYPE_CHECKING, Any, Final

from django.core.files.base import File
from django.core.files.storage import FileSystemStorage

from fallback_storage.chain.outcomes import ABSENT, HELD, TAKEN, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Look = Callable[[str], Outcome]
    Glance = Callable[[str], bool]

# Nothing of such a name is quoted in a URL, and it is no URL itself.
PLAIN: Final = re.compile(r"[A-Za-z0-9_.~!*()'/-]+").fullmatch

# Names of which URLs are made to see what stands before the name.
SAMPLES: Final = ("a/b.c", "~!*()'-_0")

# What is the same as long as it is equal.
STEADY: Final = frozenset({str, bool, NoneType})

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
    for method in ("exists", "path", "open", "_open", "location", "size", *TIMES)
}


def has_djangos(storage: Any, *methods: str) -> bool:
    """Whether it is a ``FileSystemStorage`` in which these are Django's."""
    if not isinstance(storage, FileSystemStorage) or _intercepts(storage):
        return False
    return all(
        getattr(type(storage), method, None) is _DJANGOS[method]
        and (method == "location" or method not in vars(storage))
        for method in methods
    )


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


def plain_look(storage: FileSystemStorage, otherwise: Look) -> Look:
    """Return what tells what has a clean name, as ``exists`` does; or ``otherwise`` does.

    For a storage that ``has_djangos`` "exists" and "path".
    """
    beginning = _beginning(storage, "exists")

    def look(name: str, lstat: Any = os.lstat) -> Outcome:
        start = beginning()
        if start is None:
            return otherwise(name)
        if not name or name[-1] == "/" or ".." in name:
            return kind_of(storage.path(name))
        try:
            mode = lstat(start + name).st_mode
        except (OSError, ValueError):
            return ABSENT
        return HELD if mode & TYPE_BITS == REGULAR else _kind(start + name, mode)

    return look


def plain_glance(storage: FileSystemStorage) -> Glance:
    """Return what tells whether anything has a name that was looked up before.

    For those in which "location" is Django's as well. What it denies may be there.
    """
    # (As ``_beginning``, whose call would take a tenth of the time.)
    kind, own = type(storage), vars(storage)
    exists, path = _DJANGOS["exists"], _DJANGOS["path"]
    made: tuple[Any, str] = kind, ""

    def glance(name: str, access: Any = os.access, anything: int = os.F_OK) -> bool:
        nonlocal made
        location, start = made
        if "exists" in own or "path" in own:
            return False
        if kind.exists is not exists or kind.path is not path:
            return False
        told = storage.location
        if location is not told:  # MEDIA_ROOT may change
            location = told
            start = _below(location) or ""
            made = location, start
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
            start = _below(location)
            made = location, start
        return start

    return beginning


def _below(location: Any) -> str | None:
    """Return what stands before the names in a directory; None: it can be anything.

    A location that was given to the instance need not be absolute.
    """
    plain = os.name == "posix" and location == os.path.abspath(location)
    return os.path.join(location, "") if plain else None


def quick_url_of(
    storage: Any, rests_on: Sequence[str], made_by: Sequence[str]
) -> Callable[[str], str] | None:
    """Return what makes the URL of a clean name as the storage does.

    ``rests_on``: the attributes that decide what stands before a name in its URL
    (``Profile.url_rests_on``); None without. ``made_by``: the methods that make it.
    """
    if not rests_on or _intercepts(storage):
        return None
    read = attrgetter(*rests_on)
    is_untouched = _untouched(storage, made_by)
    made: tuple[Any, str | None] = _untouched, None

    def url(name: str, is_plain: Any = PLAIN) -> str:
        nonlocal made
        known, start = made
        try:
            told = read(storage)
        except AttributeError:
            return storage.url(name)  # type: ignore[no-any-return]
        if told != known:
            start = _before_names(storage, told)
            if read(storage) == told:
                made = told, start
        if start is None or not is_plain(name) or not is_untouched():
            return storage.url(name)  # type: ignore[no-any-return]
        return start + name

    return url


def _intercepts(storage: object) -> bool:
    """Whether its class decides at each look which methods it has."""
    return type(storage).__getattribute__ is not object.__getattribute__


def _untouched(storage: Any, names: Sequence[str]) -> Callable[[], bool]:
    """Return what tells whether methods are what they are now, as far as there are any."""
    kind, own = type(storage), vars(storage)
    methods = [(name, getattr(kind, name)) for name in names if hasattr(kind, name)]

    def is_untouched() -> bool:
        for name, function in methods:
            if name in own or getattr(kind, name) is not function:
                return False
        return True

    return is_untouched


def _before_names(storage: Any, told: Any) -> str | None:
    """Return what stands before every name in its URL; None if there is no such thing.

    ``told``: what that rests on, one or several; the first is what there must be.
    """
    told = told if type(told) is tuple else (told,)
    if not told[0] or not STEADY.issuperset(map(type, told)):
        return None
    try:
        first, second = map(storage.url, SAMPLES)
    except Exception:  # noqa: BLE001 - who asks for a URL will be told
        return None
    start = first.removesuffix(SAMPLES[0]) if type(first) is str else None
    return (
        start
        if (first, second) == tuple(f"{start}{name}" for name in SAMPLES)
        else None
    )
