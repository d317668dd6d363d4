"""A look at what has a name in a local directory: a system call, not a question.

Most of what ``FileSystemStorage.exists`` costs is the path that it makes. Here that is
put together, where it is certain to be the same; so is the URL. And a look tells a file
from what only has the name: a directory, or a link that leads nowhere.
"""

from __future__ import annotations

import os
import re
from functools import partial
from pathlib import PurePosixPath
from stat import S_ISDIR, S_ISLNK, S_ISREG
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin

from django.core.files.storage import FileSystemStorage

from fallback_storage.chain.outcomes import ABSENT, HELD, TAKEN, Outcome
from fallback_storage.exceptions import NameBlockedError

if TYPE_CHECKING:
    from collections.abc import Callable

    Look = Callable[[str], Outcome]
    Glance = Callable[[str], bool]

# Nothing of such a name is quoted in a URL, and it is no URL itself.
PLAIN: Final = re.compile(r"[A-Za-z0-9_.~!*()'/-]+").fullmatch


def look_at(
    storage: Any, is_directory: Callable[[Any, str], bool] | None = None
) -> Look | None:
    """Return what looks a clean name up in a local directory; None for other storages.

    It answers *held*, *taken* or *absent*, and as ``exists`` does: what is taken is
    there. A storage with an ``exists`` of its own is asked that; what it raises is
    raised. ``is_directory``: see ``Profile``.
    """
    if is_plain_directory(storage):
        return _plain_look(storage)
    if is_directory is not None:
        return partial(_look_by, storage, is_directory)
    if not isinstance(storage, FileSystemStorage):
        return None
    if _has_djangos(storage, "exists"):
        return lambda name: kind_of(storage.path(name))
    return partial(_ask, storage)


def is_plain_directory(storage: Any, *also: str) -> bool:
    """Whether a name is where it says, and there is no more to it.

    ``also``: methods that have to be Django's own as well.
    """
    local = isinstance(storage, FileSystemStorage)
    return local and _has_djangos(storage, "exists", "path", *also)


def _has_djangos(storage: FileSystemStorage, *methods: str) -> bool:
    return all(
        getattr(type(storage), method) is getattr(FileSystemStorage, method)
        and method not in vars(storage)
        for method in methods
    )


def looks_only(storage: Any) -> bool:
    """Whether a look at it is one system call: its ``exists`` is Django's."""
    local = isinstance(storage, FileSystemStorage)
    return local and _has_djangos(storage, "exists")


def look_again_at(storage: Any) -> Look | None:
    """Return what tells whether a file that is remembered in a storage is there.

    It makes no request and raises nothing; what it cannot tell is *held*. None: nothing
    can be told of this storage.
    """
    look: Look | None = look_at(storage) or getattr(storage, "_look_again", None)
    return look if look is None or _is_sure(storage) else partial(_believing, look)


def glance_at(storage: Any, look: Look) -> Glance:
    """Return what tells whether anything has a name that was looked up before.

    For less than ``look`` takes, where that is possible. False need not be true.
    """
    sure = _is_sure(storage)
    return _plain_glance(storage) if sure else lambda name: look(name) is HELD


def quick_url_of(storage: Any) -> Callable[[str], str] | None:
    """Return what makes the URL of a remembered file as ``FileSystemStorage`` does.

    None for a storage that may make it in another way.
    """
    local = isinstance(storage, FileSystemStorage) and _has_djangos(storage, "url")
    if not local or type(storage).base_url is not FileSystemStorage.base_url:
        return None
    checked: str | None = None

    def url(name: str, is_plain: Any = PLAIN) -> str:
        nonlocal checked
        base = storage.base_url
        if base is not checked:  # MEDIA_URL may change
            if type(base) is not str or urljoin(base, "a/b.c") != f"{base}a/b.c":
                return storage.url(name)  # type: ignore[no-any-return]
            checked = base
        return base + name if is_plain(name) else storage.url(name)  # type: ignore[no-any-return]

    return url


def obstacle(look: Look | None, name: str) -> NameBlockedError | None:
    """Return what keeps a local directory from having a file of this name, if it does."""
    if look is None:
        return None
    if look(name) is TAKEN:
        return NameBlockedError(name, name, "a directory or a broken link")
    for place in map(str, list(PurePosixPath(name).parents)[:-1]):
        if look(place) is HELD:
            return NameBlockedError(name, place, "a file")
    return None


def _is_sure(storage: Any) -> bool:
    """Whether nothing can be raised."""
    own = getattr(type(storage), "location", None)
    return is_plain_directory(storage) and own is FileSystemStorage.location


def _ask(storage: FileSystemStorage, name: str) -> Outcome:
    if not storage.exists(name):
        return ABSENT
    try:
        kind = kind_of(storage.path(name))
    except Exception:  # noqa: BLE001 - its files may be anywhere
        return HELD
    return TAKEN if kind is TAKEN else HELD


def _look_by(
    storage: Any, is_directory: Callable[[Any, str], bool], name: str
) -> Outcome:
    if not storage.exists(name):
        return ABSENT
    return TAKEN if is_directory(storage, name) else HELD


def _believing(look: Look, name: str) -> Outcome:
    try:
        return look(name)
    except Exception:  # noqa: BLE001 - a failure is no reason to forget
        return HELD


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


# The hot path: nothing in these two is for beauty.


def _plain_look(storage: FileSystemStorage) -> Look:
    made: tuple[Any, str | None] = None, None

    def look(name: str, lstat: Any = os.lstat, is_file: Any = S_ISREG) -> Outcome:
        nonlocal made
        location, start = made
        if location != storage.location:  # MEDIA_ROOT may change
            location, start = made = _made(storage.location)
        if start is None or not name or name[-1] == "/" or ".." in name:
            return kind_of(storage.path(name))
        try:
            mode = lstat(start + name).st_mode
        except (OSError, ValueError):
            return ABSENT
        return HELD if is_file(mode) else _kind(start + name, mode)

    return look


def _plain_glance(storage: FileSystemStorage) -> Glance:
    made: tuple[Any, str | None] = None, None

    def glance(name: str, access: Any = os.access, anything: int = os.F_OK) -> bool:
        nonlocal made
        location, start = made
        if location != storage.location:
            location, start = made = _made(storage.location)
        # (Nothing is remembered of names that end with a slash.)
        return start is not None and access(start + name, anything)

    return glance


def _made(location: Any) -> tuple[Any, str | None]:
    """Return a location, and what stands before a clean name in its path.

    For a name without a slash at its end. None where that is not all there is to it:
    a location that was given to the instance need not be absolute.
    """
    plain = os.name == "posix" and location == os.path.abspath(location)
    return location, os.path.join(location, "") if plain else None
